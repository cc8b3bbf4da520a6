"""Addresses of resources: `module.a["x"].data.aws_ami.b[0]`.

Source: OpenTofu v1.12.6, internal/addrs/instance_key.go and parse_target.go.
"""

import re
from dataclasses import dataclass
from typing import Final

from ferrule.terraform.errors import StateError

__all__ = ["Address"]

Key = int | str | None
"""Which instance of a resource or module: of `count`, of `for_each`, or the only one."""

_STEP: Final = re.compile(r'([^\W\d][\w-]*)(?:\[(?:(\d{1,18})|"((?:[^"\\]|\\.)*)")\])?(\.|\Z)')
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\(.)|([$%])\4(?=\{)", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_WRITTEN: Final = {value: f"\\{letter}" for letter, value in _ESCAPED.items()}
_EXAMPLE: Final = 'Addresses are like aws_s3_bucket.logs, module.a.aws_s3_bucket.logs["x"], data.aws_ami.web[0].'


@dataclass(frozen=True)
class Address:
    """One instance of a resource.

    Attributes:
        module: The module, `module.a["x"].module.b`; empty for the root.
        mode: "managed", or "data" for data sources.
        type: The type of the resource.
        name: Its name in the configuration.
        key: Which instance.

    Example:
        >>> Address.of('module.a.random_pet.b["x"]').key
        'x'
    """

    module: str
    mode: str
    type: str
    name: str
    key: Key = None

    @classmethod
    def of(cls, text: str) -> "Address":
        """The address of a text.

        Raises:
            StateError: No address of a resource.
        """
        steps = _steps(text)
        at = _end_of_module(steps)
        module, rest = steps[:at], steps[at:]
        data = bool(rest) and rest[0] == ("data", None)
        match rest[1:] if data else rest:
            case [(type_name, None), (name, key)]:
                mode = "data" if data else "managed"
                return cls(".".join(_step(*each) for each in module), mode, type_name, name, key)
        raise StateError(f"{text!r} is no address of a resource", _EXAMPLE)

    def __str__(self) -> str:
        parts = [self.module] if self.module else []
        parts += ["data"] if self.mode == "data" else []
        return ".".join([*parts, self.type, _step(self.name, self.key)])


def module_of(text: str) -> str:
    """The address of a module in its one form; empty for the root.

    Raises:
        StateError: No address of a module.
    """
    if not text:
        return ""
    steps = _steps(text)
    if _end_of_module(steps) != len(steps):
        raise StateError(f"{text!r} is no address of a module")
    return ".".join(_step(*each) for each in steps)


def _steps(text: str) -> list[tuple[str, Key]]:
    steps: list[tuple[str, Key]] = []
    at = 0
    while True:
        found = _STEP.match(text, at)
        if found is None:
            raise StateError(f"{text!r} is no address, from character {at} on", _EXAMPLE)
        name, index, key, after = found.groups()
        steps.append((name, int(index) if index else None if key is None else _ESCAPE.sub(_unescaped, key)))
        at = found.end()
        if not after:
            return steps


def _end_of_module(steps: list[tuple[str, Key]]) -> int:
    at = 0
    while at + 1 < len(steps) and steps[at] == ("module", None):
        at += 2
    return at


def _unescaped(found: "re.Match[str]") -> str:
    short, long, letter, introducer = found.groups()
    if introducer:
        return introducer
    if letter:
        return _ESCAPED.get(letter, letter)
    code = int(short or long, 16)
    return chr(code) if code <= 0x10FFFF else "\N{REPLACEMENT CHARACTER}"


def _step(name: str, key: Key) -> str:
    if key is None:
        return name
    return f"{name}[{key}]" if isinstance(key, int) else f'{name}["{_quoted(key)}"]'


def _quoted(key: str) -> str:
    return "".join(map(_written, re.sub(r"([$%])(?=\{)", r"\1\1", key)))


def _written(character: str) -> str:
    if character in _WRITTEN:
        return _WRITTEN[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
