"""Importing resources that exist already, and taking over those of another type."""

from collections.abc import Mapping
from typing import Any

from ferrule.terraform import core, cty
from ferrule.terraform.errors import ConfigurationError, NotFoundError, Problem, UnsupportedError
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import CAPABILITIES, Context, ResourceType
from ferrule.terraform.operations.exchange import Exchange
from ferrule.terraform.operations.reading import refreshed
from ferrule.terraform.operations.states import (
    identity_field,
    read_identity,
    stored,
    without_unknowns,
    write_only_found,
)
from ferrule.terraform.operations.upgrading import raw_state, stored_bytes
from ferrule.terraform.state import ResourceState

__all__ = ["import_", "move"]


def import_(
    context: Context,
    type_name: str,
    id: str | None = None,  # noqa: A002 - the word of the protocol.
    *,
    identity: Mapping[str, Any] | None = None,
) -> Operation[tuple[ResourceState, ...]]:
    """Finds an object of a resource type by its id, or by its identity, and reads it.

    Args:
        context: The provider.
        type_name: The resource type.
        id: The id as the provider's documentation has it; None with an identity.
        identity: Attributes of the identity; None with an id.

    Returns:
        The states: one, if the provider does not import others along with it.

    Raises:
        ConfigurationError: Neither an id nor an identity, both, or an identity that the schema refuses.
        NotFoundError: There is no such object.
        ProviderError: The provider cannot import it.
        InvalidResponseError: The answer does not fit the schema.
    """
    resource = context.resource(type_name)
    by = _import_target(resource, id, identity)
    exchange = Exchange(context, type_name)
    response = yield from exchange.call(
        "ImportResourceState", type_name=type_name, client_capabilities=CAPABILITIES, **by
    )
    if not response.imported_resources:
        raise NotFoundError(f"{type_name}: the provider imported nothing", code="terraform.not-found")
    found = [_imported(context, each) for each in response.imported_resources]
    states = []
    for state in found:
        known = yield from refreshed(Exchange(context, state.type), context.resource(state.type), state)
        if known is None:
            raise NotFoundError(f"{state.type}: the imported object does not exist", code="terraform.not-found")
        states.append(known)
    return tuple(states)


def move(context: Context, state: ResourceState, type_name: str) -> Operation[ResourceState]:
    """Makes the state of a resource into one of another type, which the provider takes over.

    Args:
        context: The provider of the new type.
        state: The state of the old type, perhaps of another provider, as it was stored; its `provider` says of which.
        type_name: The new type.

    Raises:
        UnsupportedError: The provider takes over nothing.
        ProviderError: The provider does not take over that.
        InvalidResponseError: The answer does not fit the schema.
    """
    resource = context.resource(type_name)
    if context.core == "terraform" and not context.schema.capabilities.move_resource_state:
        raise UnsupportedError(
            f"the provider cannot take over a {state.type} as a {type_name}", code="terraform.unsupported"
        )
    exchange = Exchange(context, type_name)
    response = yield from exchange.call(
        "MoveResourceState",
        source_provider_address=state.provider,
        source_type_name=state.type,
        source_schema_version=state.schema_version,
        source_state=raw_state(state),
        target_type_name=type_name,
        source_private=state.private,
        **_source_identity(context, state),
    )
    value = _known_value(exchange, resource, response.target_state, "an invalid moved state")
    identity = read_identity(exchange, resource, response, "target_identity")
    return stored(context, resource, value, response.target_private, identity, tainted=state.tainted)


def _import_target(resource: ResourceType, by_id: str | None, identity: Mapping[str, Any] | None) -> dict[str, Any]:
    if (by_id is None) == (identity is None):
        raise _wrong_target(resource, [Problem((), "give either an id or an identity")])
    if identity is None:
        if not by_id:
            raise _wrong_target(resource, [Problem((), "the id is empty")])
        if (problem := _problem_of_id(by_id)) is not None:
            raise _wrong_target(resource, [problem])
        return {"id": by_id}
    if resource.identity is None or resource.identity_type is None:
        raise _wrong_target(resource, [Problem((), "this resource has no identity", "give an id")])
    if not isinstance(identity, Mapping):
        raise _wrong_target(resource, [Problem((), f"an identity is a mapping, got {type(identity).__name__}")])
    problems = [
        Problem((cty.Attribute(name),), "the attribute is required")
        for name, each in resource.identity.attributes.items()
        if each.required_for_import and identity.get(name) is None
    ]
    has = f"it has {', '.join(resource.identity.attributes)}"
    unknown = sorted(identity.keys() - resource.identity.attributes.keys())
    problems += [Problem((cty.Attribute(name),), "the identity has no such attribute", has) for name in unknown]
    if not problems:
        try:
            optional = cty.Object(resource.identity_type.attributes, optional=set(resource.identity_type.attributes))
            value = cty.convert(dict(identity), optional)
        except cty.CtyError as error:
            problems = [Problem(error.path, error.problem, error.hint)]
        else:
            unknowns = core.unknown_paths(value, resource.identity_type)
            problems = [Problem(path, "the value is not known yet") for path in unknowns]
            if not problems:
                return identity_field("identity", resource, value)
    raise _wrong_target(resource, problems)


def _problem_of_id(given: object) -> Problem | None:
    if not isinstance(given, str):
        return Problem((), f"an id is text, got {type(given).__name__}")
    try:
        given.encode()
    except UnicodeEncodeError as error:
        return Problem((), f"the id is no text in Unicode: character {error.start} is {given[error.start]!a}")
    return None


def _wrong_target(resource: ResourceType, problems: list[Problem]) -> ConfigurationError:
    return ConfigurationError(f"what to import as {resource.name} is wrong", problems)


def _imported(context: Context, message: Any) -> ResourceState:
    resource = context.resource(message.type_name)
    exchange = Exchange(context, resource.name)
    value = _known_value(exchange, resource, message.state, "an invalid imported state")
    return stored(context, resource, value, message.private, read_identity(exchange, resource, message, "identity"))


def _known_value(exchange: Exchange, resource: ResourceType, field: Any, what: str) -> Any:
    value = exchange.decoded(field, resource, what)
    if value is None:
        raise exchange.invalid(f"{what}: null")
    _, unknown = without_unknowns(resource, value)
    if problems := unknown + write_only_found(resource, value):
        raise exchange.invalid(what, problems)
    return value


def _source_identity(context: Context, state: ResourceState) -> dict[str, Any]:
    # OpenTofu sends none, and neither says of which version it is.
    if context.core == "opentofu" or state.identity_json is None:
        return {}
    return {"source_identity": {"json": stored_bytes(state, state.identity_json)}}
