"""JSON text whose values stay as they are written: states are handed to providers, and back to files, as their text.

Numbers are never made numbers here, so that no exponent makes megabytes and no digit is lost.
"""

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple, NoReturn

from ferrule.terraform.cty import Unknown
from ferrule.terraform.cty.numbers import number_text

__all__ = ["JSONTextError", "Written", "dumped", "elements", "members", "value"]


class JSONTextError(ValueError):
    """The text is not what was wanted.

    Attributes:
        at (int): Index of the character.
    """

    def __init__(self, problem: str, at: int) -> None:
        super().__init__(problem)
        self.at = at


class NumberText(str):
    """A number as it is written."""

    __slots__ = ()


class Written(NamedTuple):
    """A value and where it stands in the text: from `begin` to before `end`."""

    value: Any
    begin: int
    end: int

    def text(self, source: str) -> str:
        return source[self.begin : self.end]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER: Final = json.JSONDecoder(parse_int=NumberText, parse_float=NumberText, parse_constant=_no_constant)
_SPACE: Final = re.compile(r"[ \t\r\n]*")


def _after_space(source: str, at: int) -> int:
    found = _SPACE.match(source, at)
    assert found is not None
    return found.end()


def value(source: str, at: int = 0) -> Written:
    """The value that begins at a place, or after white space there; numbers in it are `NumberText`.

    Raises:
        JSONTextError: No JSON.
    """
    begin = _after_space(source, at)
    try:
        parsed, end = _DECODER.raw_decode(source, begin)
    except json.JSONDecodeError as error:
        raise JSONTextError(f"no JSON: {error.msg}", error.pos) from None
    except ValueError as error:
        raise JSONTextError(str(error), begin) from None
    except RecursionError:
        raise JSONTextError("too many levels", begin) from None
    return Written(parsed, begin, end)


def whole(source: str) -> Written:
    """The value of a text that has nothing else.

    Raises:
        JSONTextError: No JSON, or more than one value.
    """
    only = value(source)
    if (rest := _after_space(source, only.end)) != len(source):
        raise JSONTextError("more than one value", rest)
    return only


def members(source: str, at: int = 0) -> dict[str, Written]:
    """The members of the object that begins at a place, in their order.

    Raises:
        JSONTextError: No JSON, no object, or a name twice.
    """
    found: dict[str, Written] = {}
    at = _opened(source, at, "{", "an object")
    while at >= 0:
        at = _after_space(source, at)
        if not found and source.startswith("}", at):
            break
        name = value(source, at)
        if type(name.value) is not str:
            raise JSONTextError("expected a name in quotes", name.begin)
        colon = _after_space(source, name.end)
        if not source.startswith(":", colon):
            raise JSONTextError("expected a colon", colon)
        if name.value in found:
            raise JSONTextError(f"the member {json.dumps(name.value)} comes twice", name.begin)
        found[name.value] = value(source, colon + 1)
        at = _continued(source, found[name.value].end, "}")
    return found


def elements(source: str, at: int = 0) -> list[Written]:
    """The elements of the array that begins at a place.

    Raises:
        JSONTextError: No JSON, or no array.
    """
    found: list[Written] = []
    at = _opened(source, at, "[", "an array")
    while at >= 0:
        at = _after_space(source, at)
        if not found and source.startswith("]", at):
            break
        found.append(value(source, at))
        at = _continued(source, found[-1].end, "]")
    return found


def _opened(source: str, at: int, bracket: str, wanted: str) -> int:
    at = _after_space(source, at)
    if not source.startswith(bracket, at):
        raise JSONTextError(f"expected {wanted}", at)
    return at + 1


def _continued(source: str, at: int, closing: str) -> int:
    """Where the next member begins; -1 after the last one."""
    at = _after_space(source, at)
    if source.startswith(closing, at):
        return -1
    if not source.startswith(",", at):
        raise JSONTextError(f"expected a comma or {closing}", at)
    return at + 1


def dumped(value: Any) -> str:
    """JSON of a value, with all digits of its numbers; what JSON has not is text, and what is not known null."""
    match value:
        case None | Unknown():
            return "null"
        case dict() | Mapping():
            return f"{{{', '.join(f'{json.dumps(str(key))}: {dumped(each)}' for key, each in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(map(dumped, value))}]"
        case bool() | str():
            return json.dumps(value)
        case int() | Decimal() | float() if math.isfinite(value):
            return number_text(value)
    return json.dumps(str(value))
