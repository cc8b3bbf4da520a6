"""What `RayPool` is given: one clear error for what does not fit."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ferrule import _validation as rules
from ferrule.pool import Limits, PluginSpec
from ferrule.pool.errors import PoolError

__all__ = ["COUNT", "DEADLINE", "FUNCTION", "LIMITS", "RESOURCE", "SPEC", "TIMEOUT", "unpicklable"]

COUNT = rules.whole_number(1, 2**31 - 1)
DEADLINE = rules.optional(rules.seconds())
TIMEOUT = rules.number(
    f"seconds: 0 or more, at most {rules.MAX_SECONDS:.0f}", lambda value: 0 <= value <= rules.MAX_SECONDS
)
FUNCTION = rules.instance(
    "an async function",
    lambda value: callable(value) and not inspect.isclass(value) and not inspect.isasyncgenfunction(value),
)
"""Also one that returns what can be awaited, such as a lambda."""

LIMITS = rules.optional(rules.instance("ferrule.pool.Limits", lambda value: isinstance(value, Limits)))
RESOURCE = rules.optional(rules.text("the name of a resource of Ray"))
SPEC = rules.instance("a PluginSpec", lambda value: isinstance(value, PluginSpec))


def unpicklable(message: Any, dumps: Callable[[Any], object]) -> PoolError | None:
    """The error of a message that could not be sent, with the part that is to blame; None if each can be pickled.

    The error of Ray itself shows all parts, with what may be secret in them.
    """
    for name, part in _parts(message):
        try:
            dumps(part)
        except Exception as error:  # noqa: BLE001 - whatever its own code raises.
            hint = "What goes to a node is pickled: make loggers with handlers, locks and open files there."
            return PoolError(f"{name} cannot be pickled: {type(error).__name__}: {error}", hint, "ray.unpicklable")
    return None


def _parts(message: Any) -> Iterator[tuple[str, Any]]:
    spec = getattr(getattr(message, "spec", None), "spec", None)
    if isinstance(spec, PluginSpec):
        for holder in (spec.config, spec):
            for field in dataclasses.fields(holder):  # type: ignore[arg-type]
                if field.name != "config":
                    yield f"setting {field.name} of plugin {spec.name!r}", getattr(holder, field.name)
    function = getattr(message, "function", None)
    if isinstance(function, partial):
        yield "the function", function.func
    yield "the function", function
    for number, argument in enumerate(getattr(message, "args", ()), 1):
        yield f"argument {number}", argument
