"""Configuring a provider."""

from typing import Any

from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import CAPABILITIES, BlockType, Context
from ferrule.terraform.operations.exchange import Exchange

__all__ = ["configure", "validate"]


def validate(context: Context, config: Any) -> Operation[None]:
    """Has the provider check a configuration of its own; what is not known yet may be UNKNOWN.

    Raises:
        ConfigurationError: The schema refuses it.
        ProviderError: The provider refuses it.
    """
    exchange = Exchange(context)
    yield from _validated(exchange, _own_config(context, config))


def configure(context: Context, config: Any) -> Operation[None]:
    """Checks the provider's configuration and gives it to the provider, which takes one only once.

    Raises:
        ConfigurationError: The schema refuses it.
        ProviderError: The provider refuses it.
    """
    exchange = Exchange(context)
    data = _own_config(context, config)
    yield from _validated(exchange, data)
    yield from exchange.call(
        "ConfigureProvider",
        terraform_version=context.terraform_version,
        config=data,
        client_capabilities=CAPABILITIES,
    )


def _own_config(context: Context, config: Any) -> bytes:
    own = BlockType("the provider", context.schema.provider.block)
    return own.encoded(own.coerced(config))


def _validated(exchange: Exchange, config: bytes) -> Operation[None]:
    # Core ignores the `prepared_config` of protocol 5, and so does this: the original goes to Configure.
    yield from exchange.call("ValidateProviderConfig", config=config)
