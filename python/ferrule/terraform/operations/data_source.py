"""What can be done with data sources."""

from typing import Any

from ferrule.terraform import core, cty
from ferrule.terraform.errors import Problem
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import CAPABILITIES, BlockType, Context
from ferrule.terraform.operations.exchange import Exchange

__all__ = ["read", "validate"]


def validate(context: Context, type_name: str, config: Any) -> Operation[None]:
    """Has the provider check the configuration of a data source; what is not known yet may be UNKNOWN.

    Raises:
        ConfigurationError: The schema refuses it.
        ProviderError: The provider refuses it.
    """
    source = context.data_source(type_name)
    yield from _validated(Exchange(context, type_name), source, source.coerced(config))


def read(context: Context, type_name: str, config: Any) -> Operation[dict[str, Any]]:
    """Reads a data source.

    A configuration with unknown values cannot be read: the provider is not called then, and all that it would tell is
    unknown in the result.

    Raises:
        ConfigurationError: The schema refuses the configuration.
        ProviderError: The provider refuses the configuration, or cannot read.
        InvalidResponseError: The answer does not fit the schema or the configuration.
    """
    source = context.data_source(type_name)
    value = source.coerced(config)
    if core.unknown_paths(value, source.type):
        planned: dict[str, Any] = cty.untyped(core.planned_unknown(source.block, value, core=context.core))
        return planned
    exchange = Exchange(context, type_name)
    yield from _validated(exchange, source, value)
    response = yield from exchange.call(
        "ReadDataSource",
        type_name=type_name,
        config=source.encoded(value),
        client_capabilities=CAPABILITIES,
        **context.meta,
    )
    found = exchange.decoded(response.state, source, "an invalid object")
    if found is None:
        raise exchange.invalid("null in place of an object")
    if unknown := core.unknown_paths(found, source.type):
        raise exchange.invalid("an invalid object", [Problem(path, "the value is unknown") for path in unknown])
    result: dict[str, Any] = cty.untyped(found)
    return result


def _validated(exchange: Exchange, source: BlockType, config: Any) -> Operation[None]:
    yield from exchange.call("ValidateDataResourceConfig", type_name=source.name, config=source.encoded(config))
