"""Ephemeral resources: opened, renewed as long as they are needed, and closed. Their values are never stored."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ferrule.terraform import core, cty
from ferrule.terraform.errors import ConfigurationError, InvalidResponseError, Problem
from ferrule.terraform.operations.call import Operation
from ferrule.terraform.operations.context import CAPABILITIES, BlockType, Context
from ferrule.terraform.operations.exchange import Exchange

__all__ = ["Opened", "close", "open_", "renew", "validate"]


@dataclass(frozen=True)
class Opened:
    """An ephemeral resource that is open.

    Attributes:
        type: Its type.
        value: The object; its repr is hidden, since most are secrets.
        renew_at: When it must be renewed at the latest, with its time zone; None if it need not be.
        private: Bytes that are the provider's own affair; None if it has none.
    """

    type: str
    value: dict[str, Any]
    renew_at: datetime | None = None
    private: bytes | None = None

    def __repr__(self) -> str:
        return f"Opened(type={self.type!r}, renew_at={self.renew_at!r})"


def validate(context: Context, type_name: str, config: Any) -> Operation[None]:
    """Has the provider check the configuration of an ephemeral resource; what is not known yet may be UNKNOWN.

    Raises:
        ConfigurationError: The schema refuses it.
        ProviderError: The provider refuses it.
    """
    resource = context.ephemeral_resource(type_name)
    yield from _validated(Exchange(context, type_name), resource, resource.coerced(config))


def open_(context: Context, type_name: str, config: Any) -> Operation[Opened]:
    """Opens an ephemeral resource. `close` must follow.

    Raises:
        ConfigurationError: The schema refuses the configuration, or something in it is not known yet.
        ProviderError: The provider refuses the configuration, or cannot open.
        InvalidResponseError: The object does not fit the schema; it is closed then.
    """
    resource = context.ephemeral_resource(type_name)
    value = resource.coerced(config)
    if unknown := core.unknown_paths(value, resource.type):
        problems = [Problem(path, "the value is not known yet") for path in unknown]
        raise ConfigurationError(f"{type_name} cannot be opened", problems)
    exchange = Exchange(context, type_name)
    yield from _validated(exchange, resource, value)
    response = yield from exchange.call(
        "OpenEphemeralResource",
        type_name=type_name,
        config=resource.encoded(value),
        # Terraform says nothing here.
        client_capabilities=CAPABILITIES if context.core == "opentofu" else {},
    )
    opened = Opened(type_name, {}, _renew_at(response), _private(response))
    try:
        return replace(opened, value=_result(exchange, resource, response))
    except InvalidResponseError:
        yield from close(context, opened)
        raise


def renew(context: Context, opened: Opened) -> Operation[Opened]:
    """Renews an open resource; the result takes its place, with the time of the next renewal.

    Raises:
        ProviderError: The provider cannot renew it.
    """
    response = yield from Exchange(context, opened.type).call(
        "RenewEphemeralResource", type_name=opened.type, private=opened.private
    )
    return replace(opened, renew_at=_renew_at(response), private=_private(response))


def close(context: Context, opened: Opened) -> Operation[None]:
    """Closes an open resource.

    Raises:
        ProviderError: The provider cannot close it.
    """
    yield from Exchange(context, opened.type).call(
        "CloseEphemeralResource", type_name=opened.type, private=opened.private
    )


def _validated(exchange: Exchange, resource: BlockType, config: Any) -> Operation[None]:
    yield from exchange.call(
        "ValidateEphemeralResourceConfig", type_name=resource.name, config=resource.encoded(config)
    )


def _result(exchange: Exchange, resource: BlockType, response: Any) -> dict[str, Any]:
    value = exchange.decoded(response.result, resource, "an invalid object")
    if value is None:
        raise exchange.invalid("null in place of an object")
    if unknown := core.unknown_paths(value, resource.type):
        raise exchange.invalid("an invalid object", [Problem(path, "the value is unknown") for path in unknown])
    result: dict[str, Any] = cty.untyped(value)
    return result


def _renew_at(response: Any) -> datetime | None:
    if not response.HasField("renew_at"):
        return None
    try:
        when: datetime = response.renew_at.ToDatetime(tzinfo=UTC)
    except (OverflowError, ValueError):
        # Go has years that Python has not.
        return datetime.max.replace(tzinfo=UTC)
    return when


def _private(response: Any) -> bytes | None:
    return response.private if response.HasField("private") else None
