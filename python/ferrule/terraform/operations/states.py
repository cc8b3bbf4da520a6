"""States as operations make and use them."""

from typing import Any

from ferrule.terraform import core, cty
from ferrule.terraform.errors import Problem, StateError
from ferrule.terraform.operations.context import Context, ResourceType
from ferrule.terraform.operations.exchange import Exchange
from ferrule.terraform.state import ResourceState

__all__ = [
    "identity_field",
    "identity_of",
    "planned_identity",
    "read_identity",
    "stored",
    "value_of",
    "without_unknowns",
    "write_only_found",
]


def stored(
    context: Context, resource: ResourceType, value: Any, private: bytes, identity: Any = None, *, tainted: bool = False
) -> ResourceState:
    """The state of a value that a provider answered, known and without write-only values."""
    return ResourceState.of(
        resource.name,
        value,
        resource.type,
        identity=identity,
        identity_type=resource.identity_type,
        identity_schema_version=resource.identity.version if resource.identity else 0,
        schema_version=resource.version,
        private=private,
        provider=context.source,
        tainted=tainted,
        sensitive=core.sensitive_paths(resource.block, value),
        _origin=context.origin,
    )


def value_of(resource: ResourceType, state: ResourceState | None) -> Any:
    """The attributes of a state that needs no upgrade; null without a state.

    Raises:
        StateError: They do not fit the schema.
    """
    if state is None:
        return None
    try:
        return state.value(resource.type)
    except cty.CtyError as error:
        raise StateError(f"the state of this {resource.name} does not fit the schema, at {_place(error)}") from None


def identity_of(resource: ResourceType, state: ResourceState | None) -> Any:
    """The identity of a state; None without one."""
    of = resource.identity_type
    return None if state is None or of is None else state.identity_value(of)


def identity_field(name: str, resource: ResourceType, identity: Any) -> dict[str, Any]:
    """A field ResourceIdentityData of a request; absent where there is no identity."""
    if identity is None or resource.identity_type is None:
        return {}
    return {name: {"identity_data": cty.encode(identity, resource.identity_type)}}


def read_identity(exchange: Exchange, resource: ResourceType, message: Any, field: str) -> Any:
    """The identity in a field of a response; None where there is none, or where the type has no identity.

    Raises:
        InvalidResponseError: It is not of the identity's type, or not known.
    """
    identity = planned_identity(exchange, resource, message, field)
    if resource.identity_type is not None and (unknown := core.unknown_paths(identity, resource.identity_type)):
        raise exchange.invalid("an invalid identity", [Problem(path, "the value is unknown") for path in unknown])
    return identity


def planned_identity(exchange: Exchange, resource: ResourceType, message: Any, field: str) -> Any:
    """The identity in a field of a plan, which may be unknown; None where there is none.

    Raises:
        InvalidResponseError: It is not of the identity's type.
    """
    if resource.identity_type is None or not message.HasField(field):
        return None
    return exchange.decoded_as(getattr(message, field).identity_data, resource.identity_type, "an invalid identity")


def write_only_found(resource: ResourceType, value: Any) -> list[Problem]:
    """Write-only values, which no response may have."""
    return core.write_only_problems(resource.block, value)


def without_unknowns(resource: ResourceType, value: Any) -> tuple[Any, list[Problem]]:
    """The value with null for what is unknown, and a problem for each such place."""
    paths = core.unknown_paths(value, resource.type)
    if not paths:
        return value, []
    return core.unknown_as_null(value, resource.type), [Problem(path, "the value is still unknown") for path in paths]


def _place(error: cty.CtyError) -> str:
    return cty.format_path(error.path) or "its root"
