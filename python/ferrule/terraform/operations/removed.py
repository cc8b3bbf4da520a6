"""Stored attributes that a schema has no longer: they go before a provider sees the state.

Facts: OpenTofu v1.12.6, internal/tofu/upgrade_resource_state.go. Core reads numbers as floats there; here they keep
their digits.
"""

import json
from typing import Any

from ferrule.terraform.cty import List, Map, Object, Set, Type

__all__ = ["without_removed"]

_ESCAPES = str.maketrans({each: f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"})


class _Number(str):
    """A number as it was written."""


def without_removed(text: str, of: Type) -> str:
    """The JSON text of a value, without attributes of objects that the type has not got; the same text if it has all.

    Raises:
        ValueError: The text is no JSON.
    """
    value = json.loads(text, parse_int=_Number, parse_float=_Number)
    return _written(value) if _strip(value, of) else text


def _strip(value: Any, of: Type) -> bool:
    """Takes the attributes out of the value; whether there were any."""
    match value, of:
        case list(), List(element=element) | Set(element=element):
            return sum(_strip(each, element) for each in value) > 0
        case dict(), Map(element=element):
            return sum(_strip(each, element) for each in value.values()) > 0
        case dict(), Object(attributes=attributes):
            removed = value.keys() - attributes.keys()
            for name in removed:
                del value[name]
            return sum(_strip(each, attributes[name]) for name, each in value.items()) + len(removed) > 0
    return False


def _written(value: Any) -> str:
    match value:
        case _Number():
            return str(value)
        case dict():
            return f"{{{','.join(f'{_text(name)}:{_written(each)}' for name, each in sorted(value.items()))}}}"
        case list():
            return f"[{','.join(map(_written, value))}]"
        case str():
            return _text(value)
    return json.dumps(value)


def _text(value: str) -> str:
    # Go's encoder escapes what HTML or JavaScript would read otherwise.
    return json.dumps(value, ensure_ascii=False).translate(_ESCAPES)
