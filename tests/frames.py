"""What the frames of an exception show: what error reporters would send away."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Iterator, Mapping, Set
from types import TracebackType
from typing import Any


def shown(value: Any, depth: int = 3) -> str:
    """A value as reporters show it: by its repr, and by what they walk through.

    Some walk through all mappings, whatever their repr hides; some through dicts, and the fields of dataclasses.
    """
    texts = [repr(value)]
    if depth > 0:
        for walk in (_in_mappings, _in_fields):
            texts += [shown(part, depth - 1) for part in walk(value)]
    # Texts in PEM are broken into lines.
    return "\n".join(texts).replace("\\n", "").replace("\n", "")


def _in_mappings(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return list(value) if isinstance(value, list | tuple | Set) else []


def _in_fields(value: Any) -> list[Any]:
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return []
    fields = [field.name for field in dataclasses.fields(value) if field.repr]
    found = [getattr(value, name) for name in fields if hasattr(value, name)]
    return [each for each in found if isinstance(each, dict) or not isinstance(each, Mapping)]


def leaks(error: BaseException, secrets: Mapping[str, str]) -> list[str]:
    """Where secrets show in an exception, in what led to it, and in the variables of the frames of both.

    The frames of tests are left out: they are those of the library's callers.
    """
    found = [f"the text of {type(each).__name__} shows {what}" for each in _chain(error) for what in _in(each, secrets)]
    for each in _chain(error):
        for place, name, value in _variables(each.__traceback__):
            found += [f"{place}: the variable {name} shows {what}" for what in _in(value, secrets)]
    return found


def _in(value: Any, secrets: Mapping[str, str]) -> list[str]:
    text = shown(value)
    return [what for what, secret in secrets.items() if secret in text]


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is not None and current not in found:
            found.append(current)
            waiting += [current.__cause__, current.__context__]
    return found


def _variables(trace: TracebackType | None) -> Iterator[tuple[str, str, Any]]:
    for frame, _ in traceback.walk_tb(trace):
        if "/tests/" in frame.f_code.co_filename:
            continue
        for name, value in frame.f_locals.items():
            yield frame.f_code.co_qualname, name, value
