"""Actions of providers: what they do once, beside the life of resources."""

from typing import Any

from ferrule.terraform import core
from ferrule.terraform.errors import ConfigurationError, Problem, ProviderError
from ferrule.terraform.operations.call import Call, Operation
from ferrule.terraform.operations.context import CAPABILITIES, BlockType, Context
from ferrule.terraform.operations.exchange import Exchange, has_errors

__all__ = ["completed", "progress", "start", "validate"]


def validate(context: Context, type_name: str, config: Any) -> Operation[None]:
    """Has the provider check the configuration of an action; what is not known yet may be UNKNOWN.

    Raises:
        ConfigurationError: The schema refuses it.
        ProviderError: The provider refuses it.
    """
    action = context.action(type_name)
    yield from _validated(Exchange(context, type_name), action, action.coerced(config))


def start(context: Context, type_name: str, config: Any) -> Operation[Call]:
    """Checks and plans an action.

    Returns:
        The call that does it, whose responses are a stream: `progress` and `completed` read them.

    Raises:
        ConfigurationError: The schema refuses the configuration, or something in it is not known yet.
        ProviderError: The provider refuses it.
    """
    action = context.action(type_name)
    value = action.coerced(config)
    if unknown := core.unknown_paths(value, action.type):
        problems = [Problem(path, "the value is not known yet") for path in unknown]
        raise ConfigurationError(f"the action {type_name} cannot be done", problems)
    exchange = Exchange(context, type_name)
    yield from _validated(exchange, action, value)
    fields = {"action_type": type_name, "config": action.encoded(value), "client_capabilities": CAPABILITIES}
    yield from exchange.call("PlanAction", **fields)
    return Call("InvokeAction", fields)


def progress(event: Any) -> str | None:
    """What the provider tells while it is at it; None of the response that ends the action."""
    return event.progress.message if event.WhichOneof("type") == "progress" else None


def completed(context: Context, type_name: str, event: Any) -> bool:
    """Whether a response ends the action. A stream that ends without one has not done the action to its end.

    Raises:
        ProviderError: The action failed.
    """
    if event.WhichOneof("type") != "completed":
        return False
    found = Exchange(context, type_name).hear(event.completed)
    if has_errors(found):
        raise ProviderError(f"{type_name}: the action failed", "InvokeAction", type_name, found)
    return True


def _validated(exchange: Exchange, action: BlockType, config: Any) -> Operation[None]:
    yield from exchange.call("ValidateActionConfig", action_type=action.name, config=action.encoded(config))
