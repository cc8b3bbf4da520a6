"""The notations of values in the oracle's two files, read into values of Python."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ferrule.terraform import cty


def number(text: str) -> int | float | Decimal:
    """The number of a text, as a program would have it."""
    if text.lstrip("+-").lower() in {"inf", "infinity"}:
        return -math.inf if text.startswith("-") else math.inf
    return int(text) if text.lstrip("-").isdecimal() and len(text) < 4000 and text != "-0" else Decimal(text)


def read_marked(notation: Any) -> Any:
    """A value of `cty.json`: what JSON has no word for is an object whose only name begins with a dollar sign."""
    if isinstance(notation, list):
        return list(map(read_marked, notation))
    if not isinstance(notation, dict):
        return notation
    (mark, inner), *rest = notation.items()
    if mark == "$number":
        # With 64 bits it is an integer that came as one.
        return float(Decimal(inner)) if rest and rest[0][1] < 64 else number(inner)
    return _MARKED[mark](inner)


def _repeated(inner: list[Any]) -> Any:
    part, count = inner
    return part * count if isinstance(part, str) else [read_marked(part)] * count


def _marked_unknown(given: dict[str, Any]) -> cty.Unknown | None:
    if "null" in given:
        return None
    refinements = {name: read_marked(each) for name, each in given.items()}
    if (unsafe := refinements.pop("prefix_safe", None)) is not None:
        refinements["prefix"] = cty.safe_prefix(unsafe)
    return cty.Unknown(**refinements)


_MARKED: dict[str, Callable[[Any], Any]] = {
    "$bytes": lambda inner: bytes.fromhex(inner).decode("utf-8", "surrogateescape"),
    "$repeat": _repeated,
    "$tuple": read_marked,
    "$set": read_marked,
    "$map": lambda inner: {key: read_marked(each) for key, each in inner.items()},
    "$object": lambda inner: {key: read_marked(each) for key, each in inner.items()},
    "$unknown": _marked_unknown,
    "$dynamic": lambda inner: cty.Typed(read_marked(inner["value"]), cty.Type.from_notation(inner["type"])),
}


def read_tagged(notation: Any) -> Any:
    """A value of `functions-cty.jsonl`: all but null is an object whose only name tells the kind."""
    if notation is None:
        return None
    ((tag, inner),) = notation.items()
    return _TAGGED[tag](inner)


def _tagged_unknown(given: dict[str, Any]) -> cty.Unknown:
    refinements: dict[str, Any] = {}
    for name, each in given.items():
        if name in {"min", "max"}:
            bound = "lower" if name == "min" else "upper"
            refinements[bound], refinements[f"{bound}_inclusive"] = number(each[0]), each[1]
        else:
            refinements[name.replace("_len", "_length")] = each
    return cty.Unknown(**refinements)


_TAGGED: dict[str, Callable[[Any], Any]] = {
    "string": lambda inner: inner,
    "bool": lambda inner: inner,
    "number": number,
    "float": float,
    **dict.fromkeys(("list", "set", "tuple"), lambda inner: list(map(read_tagged, inner))),
    **dict.fromkeys(("map", "object"), lambda inner: {key: read_tagged(each) for key, each in inner.items()}),
    "unknown": _tagged_unknown,
    "dynamic": lambda inner: cty.Typed(read_tagged(inner["value"]), cty.Type.from_notation(inner["type"])),
}
