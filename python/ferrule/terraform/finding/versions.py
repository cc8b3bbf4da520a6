"""Versions of providers and constraints on them, as the cores' installers read them.

The rules are those of the Go module go-versions, with which both cores choose a provider's version.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ferrule import _validation as rules
from ferrule.errors import ConfigError

__all__ = ["Constraints", "Version"]

_LARGEST_NUMBER = 2**64 - 1
_VERSION: Final = r"(\d{1,20})(?:\.(\d{1,20}))?(?:\.(\d{1,20}))?(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?"
_PARSE_VERSION = re.compile(_VERSION, re.ASCII).fullmatch
_PARSE_CONSTRAINT = re.compile(r"(=|!=|>=|<=|>|<|~>|)\s*" + _VERSION, re.ASCII).fullmatch
_HINT = "Write it as in required_providers, such as '~> 3.6' or '>= 3.0, != 3.4.1'; versions have up to three numbers."


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version. Versions that differ in their metadata alone are neither equal nor ordered.

    Example:
        >>> Version.of("3.6.0-beta1") < Version.of("3.6")
        True
    """

    major: int
    minor: int = 0
    patch: int = 0
    prerelease: str = ""
    metadata: str = ""

    @classmethod
    def of(cls, text: str) -> Version:
        """Reads a version of one to three numbers.

        Raises:
            ValueError: The text is no version.
        """
        match = _PARSE_VERSION(text)
        if match is None:
            raise ValueError(f"{rules.shown(text)} is no version")
        return _version(*match.groups())

    def __str__(self) -> str:
        prerelease = f"-{self.prerelease}" if self.prerelease else ""
        metadata = f"+{self.metadata}" if self.metadata else ""
        return f"{self.major}.{self.minor}.{self.patch}{prerelease}{metadata}"

    def __lt__(self, other: Version) -> bool:
        return self.precedence < other.precedence

    @property
    def precedence(self) -> tuple[object, ...]:
        """What versions are ordered by: all but the metadata. A release comes after its pre-releases."""
        parts = [_identifier(part) for part in self.prerelease.split(".") if part]
        return self.major, self.minor, self.patch, not self.prerelease, parts


def _identifier(part: str) -> tuple[int, int, str]:
    """What a part of a pre-release is ordered by: numbers first, of any length."""
    digits = part.lstrip("0")
    return (0, len(digits), digits) if part.isdigit() else (1, 0, part)


def _version(major: str, minor: str | None, patch: str | None, prerelease: str | None, metadata: str | None) -> Version:
    first, second, third = (int(number or 0) for number in (major, minor, patch))
    if max(first, second, third) > _LARGEST_NUMBER:
        raise ValueError("a number of the version is too large")
    return Version(first, second, third, prerelease or "", metadata or "")


_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True, slots=True)
class _Constraint:
    """One condition: operator, version, and below which version `~>` ends."""

    operator: str
    version: Version
    end: Version

    def allows(self, version: Version) -> bool:
        if self.operator == "=":
            return version == self.version
        if self.operator == "!=":
            return version != self.version
        if self.operator == "~>":
            return self.version.precedence <= version.precedence < self.end.precedence
        return _COMPARISONS[self.operator](version.precedence, self.version.precedence)


@dataclass(frozen=True, slots=True)
class Constraints:
    """Conditions between commas that must all be met; none of them allows each release.

    Example:
        >>> Constraints.of("~> 3.1, != 3.4.0").allows(Version.of("3.5.2"))
        True
    """

    text: str
    _parts: tuple[_Constraint, ...] = ()

    @classmethod
    def of(cls, text: str | None) -> Constraints:
        """Reads constraints; None and empty text have none.

        Raises:
            ConfigError: The text has another form.
        """
        if not isinstance(text, str | None):
            raise _refused(text, "the constraints as text")
        stripped = (text or "").strip()
        conditions = stripped.split(",") if stripped else []
        if conditions and not conditions[-1].strip():
            # One comma at the end is allowed.
            conditions.pop()
        return cls(stripped, tuple(_condition(stripped, each.strip()) for each in conditions))

    def allows(self, version: Version) -> bool:
        """Whether a version meets all conditions; a pre-release only where it is named with `=`; 0.0.0 never."""
        if version == Version(0):
            # Go-versions has no other word for "none".
            return False
        if version.prerelease and not any(part.operator == "=" for part in self._parts):
            return False
        return all(part.allows(version) for part in self._parts)


def _condition(text: str, condition: str) -> _Constraint:
    match = _PARSE_CONSTRAINT(condition)
    if match is None:
        detail = ": a version is written without v" if re.search(r"(^|[\s=<>])v\d", condition) else ""
        raise _refused(text, f"constraints such as '~> 3.6'; {rules.shown(condition)} is none{detail}")
    sign, *numbers = match.groups()
    try:
        version = _version(*numbers)
    except ValueError as error:
        raise _refused(text, f"constraints that can be met; {error}") from None
    end = Version(version.major + 1) if numbers[2] is None else Version(version.major, version.minor + 1)
    return _Constraint(sign or "=", version, end)


def _refused(text: object, expected: str) -> ConfigError:
    return ConfigError(f"the version is {rules.shown(text)}, expected {expected}", _HINT, rules.INVALID)
