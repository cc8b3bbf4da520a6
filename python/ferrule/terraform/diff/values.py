"""Values as a diff has them: hidden where they are sensitive, and comparable in all."""

import json
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, cast

from ferrule.terraform.cty import Path, Typed, Unknown
from ferrule.terraform.cty.numbers import equality_key, number_text, settled
from ferrule.terraform.redaction import WithoutValue, with_replaced
from ferrule.terraform.schema.model import Attribute, Block, NestedType, Nesting

__all__ = [
    "ABSENT",
    "WRITE_ONLY",
    "Hidden",
    "block_of",
    "equality",
    "has_lines",
    "hidden",
    "inline",
    "parsed_json",
    "revealed",
]


ABSENT: Final = WithoutValue("(absent)")
"""In place of what one side has not: an attribute that is null, an element, a key."""
WRITE_ONLY: Final = WithoutValue("(write-only)")
"""In place of a write-only attribute that the configuration gives: neither side has its value."""


@dataclass(frozen=True, slots=True, repr=False)
class Hidden:
    """A sensitive value."""

    value: Any

    def __repr__(self) -> str:
        return "(sensitive value)"


def revealed(value: Any) -> Any:
    """The value without any `Hidden`, and None for what is absent."""
    match value:
        case Hidden():
            return revealed(value.value)
        case WithoutValue():
            return None
        case dict():
            return {key: revealed(each) for key, each in value.items()}
        case list():
            return list(map(revealed, value))
    return value


def hidden(value: Any, block: Block, paths: Iterable[Path]) -> Any:
    """The value with `Hidden` around what the schema or a path says to be sensitive; any `Typed` goes."""
    return _hidden_in_block(with_replaced(value, paths, lambda each: None if each is None else Hidden(each)), block)


def _hidden_in_block(value: Any, block: Block) -> Any:
    match value:
        case Typed():
            return _hidden_in_block(value.value, block)
        case dict():
            return {name: _hidden_member(each, name, block) for name, each in value.items()}
    return value


def _hidden_member(value: Any, name: str, block: Block) -> Any:
    if (attribute := block.attributes.get(name)) is not None:
        return _hidden_in_attribute(value, attribute)
    if (nested := block.block_types.get(name)) is not None:
        return _hidden_in_nested(value, nested.nesting, nested.block)
    return _plain(value)


def _hidden_in_attribute(value: Any, attribute: Attribute) -> Any:
    if value is None or isinstance(value, Hidden):
        return value
    if attribute.sensitive:
        return Hidden(_plain(value))
    if attribute.nested_type is not None:
        return _hidden_in_nested(value, attribute.nested_type.nesting, block_of(attribute.nested_type))
    return _plain(value)


def _hidden_in_nested(value: Any, nesting: Nesting, block: Block) -> Any:
    if isinstance(value, Typed):
        value = value.value
    if nesting in {Nesting.SINGLE, Nesting.GROUP}:
        return _hidden_in_block(value, block)
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden_in_block(each, block) for each in value]
    if isinstance(value, dict):
        return {key: _hidden_in_block(each, block) for key, each in value.items()}
    return value


def block_of(nested: NestedType) -> Block:
    """The objects of a nested attribute as a block that has attributes alone."""
    if "block" not in nested.memo:
        nested.memo["block"] = Block(nested.attributes)
    return cast("Block", nested.memo["block"])


def _plain(value: Any) -> Any:
    match value:
        case Typed():
            return _plain(value.value)
        case list() | tuple() | set() | frozenset():
            return list(map(_plain, value))
        case dict():
            return {key: _plain(each) for key, each in value.items()}
    return value


def equality(value: Any) -> Hashable:
    """What is the same for two values if they are equal as cty compares them: numbers by value or shortest text."""
    # A write-only attribute is null on either side.
    made: Hashable = None if isinstance(value, WithoutValue) else value
    match value:
        case bool() | Unknown():
            made = type(value), value
        case int() | float() | Decimal():
            made = int, equality_key(settled(value))
        case dict():
            made = dict, frozenset((key, equality(each)) for key, each in value.items())
        case list():
            made = list, tuple(map(equality, value))
        case Hidden():
            made = equality(value.value)
    return made


def has_lines(text: str) -> bool:
    """Whether the text has several lines."""
    return "\n" in text[:-1]


def parsed_json(text: str) -> Any:
    """What the text is as JSON, if that is an object or array with something in it; else None."""
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        parsed = json.loads(text, parse_float=Decimal) or None
        # Numbers may be beyond what can be compared.
        equality(parsed)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return parsed


def inline(value: Any) -> str:
    """The value on one line, as Python writes it; numbers as they are."""
    match value:
        case Unknown():
            return "(known after apply)"
        case Decimal():
            return number_text(value)
        case dict():
            return f"{{{', '.join(f'{key!r}: {inline(each)}' for key, each in value.items())}}}"
        case list():
            return f"[{', '.join(map(inline, value))}]"
    return repr(value)
