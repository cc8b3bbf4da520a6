"""Sensitive values: what stands in their place, and how files of Terraform write their paths."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from ferrule.terraform.cty import Attribute, Path, Step, Typed
from ferrule.terraform.json_text import NumberText

__all__ = ["SENSITIVE", "WithoutValue", "path_from_json", "path_to_json", "redacted", "with_replaced"]


class WithoutValue:
    """Words that stand in place of a value; their repr has no quotes."""

    __slots__ = ("_words",)

    def __init__(self, words: str) -> None:
        self._words = words

    def __repr__(self) -> str:
        return self._words


SENSITIVE: Final = WithoutValue("(sensitive value)")


def redacted(value: Any, paths: Iterable[Sequence[Step]]) -> Any:
    """The value with words in the places of the paths; a null stays."""
    return with_replaced(value, paths, lambda each: None if each is None else SENSITIVE)


def with_replaced(value: Any, paths: Iterable[Sequence[Step]], replace: Callable[[Any], Any]) -> Any:
    """The value with what is at the paths replaced; a place that is not there stays so."""
    for path in paths:
        value = _replaced(value, path, replace)
    return value


def _replaced(value: Any, path: Sequence[Step], replace: Callable[[Any], Any]) -> Any:
    if isinstance(value, Typed):
        value = value.value
    if not path:
        return replace(value)
    step, rest = path[0], path[1:]
    if isinstance(value, dict) and isinstance(step, str) and step in value:
        return {**value, step: _replaced(value[step], rest, replace)}
    if isinstance(value, list | tuple) and isinstance(step, int) and 0 <= step < len(value):
        return [*value[:step], _replaced(value[step], rest, replace), *value[step + 1 :]]
    return value


def path_to_json(path: Sequence[Step]) -> str:
    """The path as state files have it."""
    return json.dumps(list(map(_step_to_json, path)), ensure_ascii=False, separators=(",", ":"))


def _step_to_json(step: Step) -> dict[str, Any]:
    if isinstance(step, Attribute):
        return {"type": "get_attr", "value": step}
    return {"type": "index", "value": {"value": step, "type": "string" if isinstance(step, str) else "number"}}


def path_from_json(steps: Any) -> Path | None:
    """The path of parsed JSON; None if it is none, or if it leads into a set, whose elements have no index."""
    if not isinstance(steps, list):
        return None
    found = list(map(_step_from_json, steps))
    return None if None in found else tuple(step for step in found if step is not None)


def _step_from_json(step: Any) -> Step | None:
    match step:
        case {"type": "get_attr", "value": str(name)} if not isinstance(name, NumberText):
            return Attribute(name)
        case {"type": "index", "value": {"value": NumberText() as index, "type": "number"}} if index.isdecimal():
            return int(index) if len(index) < 19 else None
        case {"type": "index", "value": {"value": str(key), "type": "string"}} if not isinstance(key, NumberText):
            return key
    return None
