"""Bringing a stored state to the provider's schema: before anything else is done with it, also at an equal version."""

from typing import Any

from ferrule.terraform.errors import StateError
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import Context, ResourceType
from ferrule.terraform.operations.exchange import Exchange
from ferrule.terraform.operations.removed import without_removed
from ferrule.terraform.operations.states import stored, without_unknowns, write_only_found
from ferrule.terraform.state import ResourceState

__all__ = ["current", "raw_state", "stored_bytes", "upgrade"]


def upgrade(context: Context, state: ResourceState) -> Operation[ResourceState]:
    """Has the provider bring a state to the version of its schema.

    Raises:
        StateError: The state is of a newer schema, or of another provider.
        ProviderError: The provider cannot upgrade it.
        InvalidResponseError: The answer does not fit the schema.
    """
    resource = context.resource(state.type)
    exchange = Exchange(context, state.type)
    return (yield from _upgraded(exchange, resource, state))


def current(exchange: Exchange, resource: ResourceType, state: ResourceState | None) -> Operation[ResourceState | None]:
    """The state in the provider's schema: as it is if it comes from this provider, else upgraded.

    Raises:
        StateError: The state is of another type, of another provider, or of a newer schema.
    """
    if state is None:
        return None
    if state.type != resource.name:
        raise StateError(f"the state is one of {state.type}, not of {resource.name}")
    if state.is_of(exchange.context.origin):
        return state
    return (yield from _upgraded(exchange, resource, state))


def raw_state(state: ResourceState, resource: ResourceType | None = None) -> dict[str, Any]:
    """The message RawState of a stored state: the text as it was stored.

    Of a state in the version of the resource's schema the attributes go that the schema has no longer.
    """
    if state.json is None:
        return {"flatmap": dict(state.flatmap or {})}
    text = state.json
    if resource is not None and state.schema_version == resource.version:
        try:
            text = without_removed(text, resource.type)
        except ValueError as error:
            raise StateError(f"the state of this {state.type} is no JSON: {error}") from None
    return {"json": stored_bytes(state, text)}


def stored_bytes(state: ResourceState, text: str) -> bytes:
    """The bytes of a state's JSON. A file's that are not UTF-8 go to the provider as they are, as the cores send them.

    Raises:
        StateError: The text has half of a surrogate pair, which no bytes stand for.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        what = f"the state of this {state.type} is no text in Unicode, at character {error.start} of its JSON"
        raise StateError(what) from None


def _upgraded(exchange: Exchange, resource: ResourceType, state: ResourceState) -> Operation[ResourceState]:
    _check_provider(exchange.context, state)
    _check_version(resource, "state", state.schema_version, resource.version)
    response = yield from exchange.call(
        "UpgradeResourceState",
        type_name=resource.name,
        version=state.schema_version,
        raw_state=raw_state(state, resource),
    )
    value = exchange.decoded(response.upgraded_state, resource, "an invalid upgraded state")
    if value is None:
        raise exchange.invalid("an upgraded state that is null")
    _, problems = without_unknowns(resource, value)
    if problems := problems + write_only_found(resource, value):
        raise exchange.invalid("an invalid upgraded state", problems)
    identity = yield from _upgraded_identity(exchange, resource, state)
    return stored(exchange.context, resource, value, state.private, identity, tainted=state.tainted)


def _upgraded_identity(exchange: Exchange, resource: ResourceType, state: ResourceState) -> Operation[Any]:
    schema, of = resource.identity, resource.identity_type
    if schema is None or of is None or state.identity_json is None:
        return None
    if state.identity_schema_version == schema.version:
        return state.identity_value(of)
    _check_version(resource, "identity", state.identity_schema_version, schema.version)
    response = yield from exchange.call(
        "UpgradeResourceIdentity",
        type_name=resource.name,
        version=state.identity_schema_version,
        raw_identity={"json": stored_bytes(state, state.identity_json)},
    )
    return exchange.decoded_as(response.upgraded_identity.identity_data, of, "an invalid upgraded identity")


def _check_provider(context: Context, state: ResourceState) -> None:
    # The host does not count: Terraform and OpenTofu find the same providers in two registries.
    theirs, ours = (each.partition("/")[2] for each in (state.provider, context.source))
    if theirs and ours and theirs != ours:
        raise StateError(
            f"the state of this {state.type} is of the provider {state.provider}, not of {context.source}",
            "move it, or give the state this provider's address if it takes the other's place",
            "terraform.state-provider",
        )


def _check_version(resource: ResourceType, what: str, version: int, newest: int) -> None:
    if version > newest:
        raise StateError(
            f"the {what} of this {resource.name} is of version {version} of the schema, and the provider has {newest}",
            "use the release of the provider that wrote it, or a newer one",
            "terraform.state-version",
        )
