"""Reading what a resource is now."""

from ferrule.terraform import core
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import CAPABILITIES, Context, ResourceType
from ferrule.terraform.operations.exchange import Exchange
from ferrule.terraform.operations.states import (
    identity_field,
    identity_of,
    read_identity,
    stored,
    value_of,
    without_unknowns,
    write_only_found,
)
from ferrule.terraform.operations.upgrading import current
from ferrule.terraform.state import ResourceState

__all__ = ["read", "refreshed"]


def read(context: Context, state: ResourceState) -> Operation[ResourceState | None]:
    """Asks the provider what has become of a resource. A state that was stored is upgraded first.

    Returns:
        The state of now; None if the resource is gone.

    Raises:
        StateError: The state is of a newer schema.
        ProviderError: The provider cannot read it.
        InvalidResponseError: The answer does not fit the schema.
    """
    resource = context.resource(state.type)
    exchange = Exchange(context, state.type)
    known = yield from current(exchange, resource, state)
    assert known is not None
    return (yield from refreshed(exchange, resource, known))


def refreshed(exchange: Exchange, resource: ResourceType, state: ResourceState) -> Operation[ResourceState | None]:
    """The state of now of a resource whose state follows the schema."""
    response = yield from exchange.call(
        "ReadResource",
        type_name=resource.name,
        current_state=resource.encoded(value_of(resource, state)),
        private=state.private,
        client_capabilities=CAPABILITIES,
        **exchange.context.meta,
        **identity_field("current_identity", resource, identity_of(resource, state)),
    )
    value = exchange.decoded(response.new_state, resource, "an invalid state")
    if value is None:
        return None
    value = core.normalize_legacy(resource.block, value)
    _, unknown = without_unknowns(resource, value)
    if problems := unknown + write_only_found(resource, value):
        raise exchange.invalid("an invalid state", problems)
    found = read_identity(exchange, resource, response, "new_identity")
    return stored(exchange.context, resource, value, response.private, found, tainted=state.tainted)
