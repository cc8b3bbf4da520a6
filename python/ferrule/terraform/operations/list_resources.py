"""Listing the resources that exist, for import."""

from dataclasses import dataclass
from typing import Any

from ferrule.terraform import cty
from ferrule.terraform.errors import ProviderError
from ferrule.terraform.operations.call import Call, Operation
from ferrule.terraform.operations.context import BlockType, Context
from ferrule.terraform.operations.exchange import Exchange, has_errors
from ferrule.terraform.operations.states import stored, without_unknowns
from ferrule.terraform.state import ResourceState

__all__ = ["Listed", "listed", "start", "validate"]


@dataclass(frozen=True)
class Listed:
    """One resource that exists.

    Attributes:
        type: The resource type.
        display_name: What to show to people.
        identity: Its identity, by which it can be imported.
        state: Its state, if it was asked for and the provider has it; without private data, so that a `read` has to
            follow before a plan.
    """

    type: str
    display_name: str
    identity: dict[str, Any] | None = None
    state: ResourceState | None = None


def validate(
    context: Context, type_name: str, config: Any, *, include_resource: bool = False, limit: int = 0
) -> Operation[None]:
    """Has the provider check the configuration of a list; what is not known yet may be UNKNOWN.

    Raises:
        ConfigurationError: The schema refuses it.
        ProviderError: The provider refuses it.
    """
    of = context.list_resource(type_name)
    yield from _validated(Exchange(context, type_name), of, of.coerced(config), include_resource, limit)


def start(
    context: Context, type_name: str, config: Any, *, include_resource: bool = False, limit: int = 0
) -> Operation[Call]:
    """Prepares a list.

    Args:
        context: The provider.
        type_name: The type of the list.
        config: Its configuration.
        include_resource: Whether each resource comes with its state; default False.
        limit: The number of resources after which to stop; default 0, as many as the provider wants.

    Returns:
        The call, whose responses are a stream; `listed` reads each. The caller stops reading at the limit, since a
        provider need not.

    Raises:
        ConfigurationError: The schema refuses the configuration.
        ProviderError: The provider refuses it.
    """
    of = context.list_resource(type_name)
    value = of.coerced(config)
    yield from _validated(Exchange(context, type_name), of, value, include_resource, limit)
    fields = {
        "type_name": type_name,
        "config": of.encoded(value),
        "include_resource_object": include_resource,
        "limit": limit,
    }
    return Call("ListResource", fields)


def listed(context: Context, type_name: str, event: Any) -> Listed:
    """The resource of one response of a list.

    Raises:
        ProviderError: The response has errors in place of a resource.
        InvalidResponseError: It does not fit the schema.
    """
    exchange = Exchange(context, type_name)
    found = exchange.hear(event)
    if has_errors(found):
        raise ProviderError(f"{type_name}: a resource cannot be listed", "ListResource", type_name, found)
    resource = context.resource(type_name)
    identity = None
    if resource.identity_type is not None:
        identity = exchange.decoded_as(event.identity.identity_data, resource.identity_type, "an invalid identity")
    state = None
    if event.HasField("resource_object"):
        value = exchange.decoded(event.resource_object, resource, "an invalid object")
        _, problems = without_unknowns(resource, value)
        if problems:
            raise exchange.invalid("an invalid object", problems)
        state = None if value is None else stored(context, resource, value, b"", identity)
    return Listed(type_name, event.display_name, cty.untyped(identity), state)


def _validated(exchange: Exchange, of: BlockType, config: Any, include_resource: bool, limit: int) -> Operation[None]:
    yield from exchange.call(
        "ValidateListResourceConfig",
        type_name=of.name,
        config=of.encoded(config),
        include_resource_object=cty.encode(include_resource, cty.BOOL),
        limit=cty.encode(limit, cty.NUMBER),
    )
