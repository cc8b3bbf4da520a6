"""A reader for what Terraform and OpenTofu write in HCL about themselves: the CLI configuration and the lock file.

Nothing is computed: values are texts, lists and bodies; anything else is an `Expression`, which is passed over.
The JSON form of HCL gives equal items, without their places.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ferrule.terraform.finding.hcl_tokens import Kind, Position, Token, refused, tokens_of

__all__ = ["Body", "Expression", "Item", "Value", "read_hcl", "read_hcl_file"]

_MAX_DEPTH: Final = 50
_OPENING, _CLOSING = ("(", "[", "{"), (")", "]", "}")
_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Expression:
    """A value that is neither text nor list nor body: a number, a name, or what would have to be computed."""

    text: str


@dataclass(frozen=True, slots=True)
class Value:
    """A value and its place."""

    content: str | list[Value] | Body | Expression
    position: Position

    def text(self, what: str) -> str:
        """The text.

        Raises:
            ConfigError: The value is none.
        """
        if not isinstance(self.content, str):
            raise refused(self.position, f"{what} is no text, expected it in quotes")
        return self.content

    def texts(self, what: str) -> list[str]:
        """The texts of a list.

        Raises:
            ConfigError: The value is no list, or one of its elements is no text.
        """
        if not isinstance(self.content, list):
            raise refused(self.position, f"{what} is no list, expected it in brackets")
        return [value.text(what) for value in self.content]


@dataclass(frozen=True, slots=True)
class Item:
    """A block or an attribute.

    Attributes:
        name: The type of the block, or the name of the attribute.
        labels: The labels of the block.
        value: Its body, or the attribute's value.
        position: The place of the name.
    """

    name: str
    labels: tuple[str, ...]
    value: Value
    position: Position


@dataclass(frozen=True, slots=True)
class Body:
    """Blocks and attributes, in their order."""

    items: tuple[Item, ...]

    def named(self, name: str) -> list[Item]:
        return [item for item in self.items if item.name == name]

    def last(self, name: str) -> Value | None:
        """The value of an attribute; the last of several wins."""
        found = self.named(name)
        return found[-1].value if found else None


def read_hcl_file(path: str) -> Body:
    """Reads a file.

    Raises:
        ConfigError: The file is neither HCL nor JSON; the message has file, line and column.
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise refused(Position(path), f"the file has more than {_MAX_BYTES} bytes")
    try:
        source = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise refused(Position(path, line, column), "the file is no UTF-8") from None
    return read_hcl(source, path)


def read_hcl(source: str, file: str) -> Body:
    """Reads text: JSON if it begins with a brace, HCL otherwise.

    Args:
        source: The text.
        file: The name of its file, for messages.

    Raises:
        ConfigError: The text is neither; the message has line and column.
    """
    if source.lstrip().startswith("{"):
        return _read_json(source, file)
    parser = _Parser(tokens_of(source, file))
    return parser.body(None)


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._index = 0
        self._depth = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._index]

    def _take(self) -> Token:
        token = self._token
        if token.kind is not Kind.END:
            self._index += 1
        return token

    def _pass_line_ends(self) -> None:
        while self._token.kind is Kind.LINE_END:
            self._index += 1

    def _pass_commas(self) -> None:
        while self._token.kind is Kind.LINE_END or self._token.is_sign(","):
            self._index += 1

    def body(self, opening: Token | None) -> Body:
        """Items up to the brace that closes the opening one, which is taken too; without one up to the end."""
        items: list[Item] = []
        while True:
            self._pass_commas()
            if opening is not None and self._token.is_sign("}"):
                self._take()
                return Body(tuple(items))
            if self._token.kind is Kind.END:
                if opening is None:
                    return Body(tuple(items))
                raise refused(opening.position, "the block has no end, expected }")
            items.append(self._item())

    def _item(self) -> Item:
        name = self._take()
        if name.kind not in (Kind.NAME, Kind.TEXT):
            raise refused(name.position, f"{name} stands there, expected the name of a block or attribute")
        labels: list[str] = []
        while True:
            token = self._take()
            if token.is_sign("=", ":"):
                return Item(name.text, tuple(labels), self._value(None), name.position)
            if token.is_sign("{"):
                return Item(name.text, tuple(labels), self._nested(token), name.position)
            if token.kind not in (Kind.NAME, Kind.TEXT):
                raise refused(token.position, f"{token} follows {name.text!r}, expected = or {{")
            labels.append(token.text)

    def _nested(self, opening: Token) -> Value:
        self._enter(opening)
        content = self.body(opening) if opening.text == "{" else self._list(opening)
        self._depth -= 1
        return Value(content, opening.position)

    def _enter(self, opening: Token) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise refused(opening.position, f"more than {_MAX_DEPTH} levels are nested")

    def _list(self, opening: Token) -> list[Value]:
        values: list[Value] = []
        while True:
            self._pass_commas()
            if self._token.is_sign("]"):
                self._take()
                return values
            if self._token.kind is Kind.END:
                raise refused(opening.position, "the list has no end, expected ]")
            values.append(self._value(opening))

    def _value(self, opening: Token | None) -> Value:
        """A value of an attribute, or of the list that a bracket opened."""
        begin, token = self._index, self._take()
        if token.kind is Kind.TEXT:
            value = Value(token.text, token.position)
        elif token.is_sign("[", "{"):
            value = self._nested(token)
        else:
            value = None
        if value is not None and self._is_behind_value(opening):
            return value
        self._index = begin
        return self._expression(opening)

    def _is_behind_value(self, opening: Token | None) -> bool:
        """Whether a value ends before the next token. The next attribute may begin on the same line, as in HCL 1."""
        if opening is not None:
            self._pass_line_ends()
            return self._token.is_sign(",", "]")
        if self._token.kind is Kind.SIGN:
            return self._token.is_sign(",", "}")
        before = self._tokens[self._index - 1]
        is_operand = before.kind is not Kind.SIGN or before.is_sign(*_CLOSING)
        return self._token.kind in (Kind.LINE_END, Kind.END) or is_operand

    def _expression(self, opening: Token | None) -> Value:
        """Anything else, up to the end of the line, a comma, or the next attribute, outside of brackets."""
        begin = self._token
        words: list[str] = []
        open_brackets: list[Token] = []
        while self._token.kind is not Kind.END:
            if not open_brackets and self._is_behind_value(opening):
                break
            token = self._take()
            words.append(token.text)
            if token.is_sign(*_OPENING):
                open_brackets.append(token)
            elif token.is_sign(*_CLOSING) and not (open_brackets and _closes(token, open_brackets.pop())):
                raise refused(token.position, f"{token} closes nothing")
        if open_brackets:
            raise refused(open_brackets[-1].position, f"{open_brackets[-1]} has no end")
        if not words:
            raise refused(begin.position, f"{begin} stands there, expected a value")
        return Value(Expression(" ".join(words)), begin.position)


def _closes(closing: Token, opening: Token) -> bool:
    return _CLOSING.index(closing.text) == _OPENING.index(opening.text)


def _read_json(source: str, file: str) -> Body:
    try:
        pairs = json.loads(source, object_pairs_hook=_Pairs, parse_int=Expression, parse_float=Expression)
    except json.JSONDecodeError as error:
        raise refused(Position(file, error.lineno, error.colno), f"the file is no JSON: {error.msg}") from None
    except RecursionError:
        raise refused(Position(file), "too many levels are nested") from None
    return _json_body(pairs, Position(file), 0)


class _Pairs(list[tuple[str, Any]]):
    """The pairs of a JSON object in their order, equal names included."""


def _json_body(pairs: Iterable[tuple[str, Any]], position: Position, depth: int) -> Body:
    """The items of an object. A list of objects is as many blocks."""
    if depth > _MAX_DEPTH:
        raise refused(position, f"more than {_MAX_DEPTH} levels are nested")
    items = []
    for name, content in pairs:
        several = isinstance(content, list) and not isinstance(content, _Pairs)
        blocks = content if several and content and all(isinstance(each, _Pairs) for each in content) else [content]
        items += [Item(name, (), _json_value(each, position, depth + 1), position) for each in blocks]
    return Body(tuple(items))


def _json_value(content: Any, position: Position, depth: int) -> Value:
    if isinstance(content, _Pairs):
        return Value(_json_body(content, position, depth), position)
    if isinstance(content, list):
        if depth > _MAX_DEPTH:
            raise refused(position, f"more than {_MAX_DEPTH} levels are nested")
        return Value([_json_value(each, position, depth + 1) for each in content], position)
    if isinstance(content, str | Expression):
        return Value(content, position)
    return Value(Expression(json.dumps(content)), position)
