"""The words of HCL: names, texts, numbers, signs and ends of lines, each with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ferrule.errors import ConfigError

__all__ = ["Kind", "Position", "Token", "refused", "tokens_of"]

CODE: Final = "terraform.unreadable-file"
"""The `code` of the error for a file of Terraform's that cannot be read."""

_HINT = "Correct the file, or name another one."

_SPACE = re.compile(r"[ \t\r\ufeff]+")
_COMMENT = re.compile(r"(?:#|//)[^\n]*")
_LONG_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_NAME = re.compile(r"[^\W\d][\w.-]*")
_NUMBER = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)", re.ASCII)
_HEREDOC = re.compile(r"<<([-~]?)([^\W\d][\w.-]*)[ \t\r]*\n")
_PLAIN = re.compile(r'[^"\\$%\n]+')
# What counts in an interpolation: braces, and texts, in which they do not.
_INSIDE = re.compile(r'"(?:\\.|[^"\\\n])*"|[{}]')
_ESCAPE = re.compile(r'\\(?:([abfnrtv"\\])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))')
_SINGLE_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    '"': '"',
    "\\": "\\",
}


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file, counted from 1; line 0 is no place, as in JSON, whose values have none."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


def refused(position: Position, why: str) -> ConfigError:
    """The error for a place of a file."""
    return ConfigError(f"{position}: {why}", _HINT, CODE)


class Kind(Enum):
    """What a token is."""

    NAME = "a name"
    TEXT = "a text"
    NUMBER = "a number"
    SIGN = "a sign"
    LINE_END = "the end of the line"
    END = "the end of the file"


@dataclass(frozen=True, slots=True)
class Token:
    """One word.

    Attributes:
        kind: What it is.
        text: The word; of a text its content.
        position: Where it begins.
    """

    kind: Kind
    text: str
    position: Position

    def is_sign(self, *signs: str) -> bool:
        return self.kind is Kind.SIGN and self.text in signs

    def __str__(self) -> str:
        return repr(self.text) if self.kind is Kind.SIGN else self.kind.value


def tokens_of(source: str, file: str) -> list[Token]:
    """All tokens of a source, END as the last.

    Raises:
        ConfigError: A text, comment or heredoc has no end, or an unknown escape; the message has line and column.
    """
    return list(_Scanner(source, file).scan())


class _Scanner:
    def __init__(self, source: str, file: str) -> None:
        self._source = source
        self._file = file
        self._at = 0
        self._line = 1
        self._line_start = 0

    def scan(self) -> Iterator[Token]:
        while self._at < len(self._source):
            if self._skip(_SPACE) or self._skip(_COMMENT) or self._skip_long_comment():
                continue
            yield self._next()
        yield Token(Kind.END, "", self._position())

    def _position(self) -> Position:
        return Position(self._file, self._line, self._at - self._line_start + 1)

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self._source, self._at)
        if match is not None:
            self._at = match.end()
        return match is not None

    def _skip_long_comment(self) -> bool:
        if not self._source.startswith("/*", self._at):
            return False
        match = _LONG_COMMENT.match(self._source, self._at)
        if match is None:
            raise refused(self._position(), "the comment has no end, expected */")
        self._move(match.end())
        return True

    def _move(self, end: int) -> None:
        """Goes on behind something that may have lines in it."""
        lines = self._source.count("\n", self._at, end)
        if lines:
            self._line += lines
            self._line_start = self._source.rindex("\n", self._at, end) + 1
        self._at = end

    def _next(self) -> Token:
        position, letter = self._position(), self._source[self._at]
        if letter == "\n":
            self._move(self._at + 1)
            return Token(Kind.LINE_END, letter, position)
        if letter == '"':
            return Token(Kind.TEXT, self._text(), position)
        for kind, pattern in ((Kind.NAME, _NAME), (Kind.NUMBER, _NUMBER)):
            match = pattern.match(self._source, self._at)
            if match is not None:
                self._at = match.end()
                return Token(kind, match[0], position)
        if self._source.startswith("<<", self._at):
            text = self._heredoc(position)
            if text is not None:
                return Token(Kind.TEXT, text, position)
        self._at += 1
        return Token(Kind.SIGN, letter, position)

    def _heredoc(self, position: Position) -> str | None:
        """The lines up to the marker; with `<<-` without the indentation that all of them have."""
        head = _HEREDOC.match(self._source, self._at)
        if head is None:
            return None
        end = re.compile(rf"^[ \t]*{re.escape(head[2])}[ \t\r]*$", re.MULTILINE).search(self._source, head.end())
        if end is None:
            raise refused(position, f"the text has no end, expected a line with {head[2]}")
        text = self._source[head.end() : end.start()]
        self._move(end.end())
        if not head[1]:
            return text
        lines = text.splitlines(keepends=True)
        margin = min((len(line) - len(line.lstrip(" \t")) for line in lines if line.strip()), default=0)
        return "".join(line[margin:] if line.strip() else line for line in lines)

    def _text(self) -> str:
        """The content of a quoted text. Interpolations stay as they are written: nothing here computes them."""
        start = self._position()
        parts: list[str] = []
        self._at += 1
        while True:
            plain = _PLAIN.match(self._source, self._at)
            if plain is not None:
                parts.append(plain[0])
                self._at = plain.end()
            letter = self._source[self._at : self._at + 1]
            if letter in ("", "\n"):
                raise refused(start, 'the text has no end on its line, expected "')
            if letter == '"':
                self._at += 1
                return "".join(parts)
            parts.append(self._escape() if letter == "\\" else self._interpolation(start))

    def _escape(self) -> str:
        match = _ESCAPE.match(self._source, self._at)
        if match is None:
            raise refused(self._position(), rf"{self._source[self._at : self._at + 2]!r} is no escape of a text")
        single, hexadecimal, octal, *wide = match.groups()
        code = int(octal, 8) if octal else int(hexadecimal or wide[0] or wide[1] or "0", 16)
        if single is None and (code > 0x10FFFF or 0xD800 <= code < 0xE000):
            raise refused(self._position(), f"{match[0]} is no character")
        self._at = match.end()
        return _SINGLE_ESCAPES[single] if single else chr(code)

    def _interpolation(self, start: Position) -> str:
        """`${...}` or `%{...}` with all that is between its braces, or one letter that begins none of them."""
        begin = self._at
        if self._source[begin + 1 : begin + 2] != "{":
            self._at += 1
            return self._source[begin]
        depth = 0
        for match in _INSIDE.finditer(self._source, begin + 1):
            depth += (match[0] == "{") - (match[0] == "}")
            if depth == 0:
                self._move(match.end())
                return self._source[begin : self._at]
        raise refused(start, f"the text has {self._source[begin : begin + 2]} without }}")
