"""Configurations from the command line: files of JSON, standard input, and `name=value`."""

import json
import sys
from collections.abc import Container, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn

from ferrule.terraform.cty import DYNAMIC, NUMBER, STRING, Type
from ferrule.terraform.errors import TerraformError
from ferrule.terraform.schema.model import Block
from ferrule.terraform.schema.nearest import nearest

__all__ = ["STANDARD_INPUT", "InputError", "from_assignments", "read_object"]

STANDARD_INPUT: Final = "-"


class InputError(TerraformError):
    """A file or an argument that cannot be used; the message names it, and the line where there is one."""

    default_code = "config.invalid"


def read_object(source: str) -> dict[str, Any]:
    """The object in a file of JSON, or on standard input. Numbers with a fraction are decimals.

    Raises:
        InputError: The file cannot be read, is not JSON, or holds something else than an object.
    """
    name, text = _text_of(source)
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_without_twins)
    except json.JSONDecodeError as error:
        raise InputError(f"{name}:{error.lineno}:{error.colno}: not JSON: {error.msg}", _pointer(error)) from None
    except (ValueError, RecursionError) as error:
        reason = "too many levels" if isinstance(error, RecursionError) else error
        raise InputError(f"{name}: {reason}") from None
    if not isinstance(value, dict):
        raise InputError(f"{name}: expected an object, got {_kind(value)}")
    return value


def from_assignments(assignments: Iterable[tuple[str, str]], block: Block) -> dict[str, Any]:
    """The values of `name=value`, which the attribute's type tells how to read: JSON, but text for a string.

    Raises:
        InputError: A name twice, or a value that is no JSON where the type needs it.
    """
    types: dict[str, Type | None] = {name: each.type for name, each in block.attributes.items()}
    secret = {name for name, each in block.attributes.items() if each.sensitive or each.write_only}
    return from_typed_assignments(assignments, types, {*types, *block.block_types}, secret)


def from_typed_assignments(
    assignments: Iterable[tuple[str, str]],
    types: Mapping[str, Type | None],
    names: Iterable[str],
    secret: Container[str] = (),
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, text in _in_utf8(assignments):
        shown = f"{name}=..." if name in secret else f"{name}={text}"
        if name in values:
            raise InputError(f"{shown}: {name} is given twice")
        if name not in names:
            near = nearest(name, names)
            raise InputError(
                f"{name}={text}: no attribute or block has that name", f"Did you mean {near}?" if near else None
            )
        values[name] = _value(shown, text, types.get(name))
    return values


def _in_utf8(assignments: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The arguments as text, also where Python takes the locale's encoding for ASCII, and has bytes as surrogates.

    Raises:
        InputError: An argument is not UTF-8.
    """
    for name, text in assignments:
        try:
            yield _utf8(name), _utf8(text)
        except UnicodeError:
            raise InputError(f"{name}=...: not UTF-8", "Text on the command line is taken as UTF-8.") from None


def _utf8(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8")


def _value(shown: str, text: str, of: Type | None) -> Any:
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError) as error:
        if of is None or of not in {STRING, NUMBER, DYNAMIC}:
            what = "true or false" if of is not None and of.name == "bool" else "JSON"
            raise InputError(f"{shown}: expected {what}: {error}") from None
        return text
    # 007, 1.0 and true are texts too, and as texts they are what was written.
    return text if of == STRING and not isinstance(value, str | None) else value


def _text_of(source: str) -> tuple[str, str]:
    name = "standard input" if source == STANDARD_INPUT else source
    try:
        data = sys.stdin.buffer.read() if source == STANDARD_INPUT else Path(source).read_bytes()
        # A byte order mark is how some editors begin a file.
        return name, data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8: byte {error.start} is {data[error.start]:#04x}") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice in an object")
    return members


def _kind(value: object) -> str:
    kinds: dict[type, str] = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _pointer(error: json.JSONDecodeError) -> str | None:
    """The line that is wrong, with a mark below the place."""
    lines = error.doc.splitlines()
    line = lines[error.lineno - 1] if error.lineno <= len(lines) else ""
    if not line.strip() or len(line) > 200:
        return None
    return f"{line}\n{' ' * (error.colno - 1)}^"
