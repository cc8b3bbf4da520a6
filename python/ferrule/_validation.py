"""The checks of settings: each field is `Annotated` with its rule, and one function applies them all.

A refusal names the setting, its value and type, and the expected kind of value. Secret values are not shown.
"""

import dataclasses
import functools
import inspect
import math
import operator
import os
import reprlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin

from ferrule.errors import ConfigError

INVALID = "config.invalid"
"""The `code` of the error for a refused setting, the core's refusals included."""

MAX_SECONDS = 1e9
"""The longest span of time, about thirty years: the core's clock arithmetic has an end somewhere."""

ConfigClass = TypeVar("ConfigClass")

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 120
shown = _repr.repr
"""The repr of a value as messages quote it, at most about 120 characters of a string."""


class Rule(NamedTuple):
    """The values that a setting accepts."""

    expected: str
    """Completes "setting x is 1 (int), expected ..."."""

    accept: Callable[[Any], Any]
    """Returns the value as it will be kept; raises ValueError, with or without a detail, if it does not fit."""

    secret: bool = False
    """Whether messages must hide the value."""


def settings(cls: type[ConfigClass]) -> type[ConfigClass]:
    """Decorates a dataclass of settings: `help()` can be read, and an unknown name is answered by the nearest.

    The signature that tools see is without the rules, which stay in the annotations for `check_fields`. It stands once,
    with the class: pydoc would repeat it with the constructor.
    """
    init = cls.__init__

    def described(self: Any, *args: Any, **settings: Any) -> None:
        """See help(type(self)) for all settings."""
        try:
            init(self, *args, **settings)
        except TypeError:
            names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
            unknown = ", ".join(f"{name!r} ({_instead(cls, name, '')})" for name in settings if name not in names)
            if not unknown:
                raise
            raise TypeError(f"{cls.__name__} has no setting {unknown}") from None

    described.__name__, described.__qualname__ = init.__name__, init.__qualname__
    described.__module__ = init.__module__
    cls.__signature__ = _plain_signature(cls)  # type: ignore[attr-defined] # inspect asks for it.
    cls.__init__ = described  # type: ignore[method-assign] # There is no object yet.
    return cls


def _plain_signature(cls: type[Any]) -> inspect.Signature:
    signature = inspect.signature(cls)
    plain = []
    for each in signature.parameters.values():
        kind = get_args(each.annotation)[0] if get_origin(each.annotation) is Annotated else each.annotation
        plain.append(each.replace(annotation=getattr(kind, "__forward_arg__", kind)))
    return signature.replace(parameters=plain)


def check(name: str, value: Any, rule: Rule, hint: str | None = None) -> Any:
    """The value as it will be kept.

    Raises:
        ConfigError: The value does not fit.
    """
    try:
        return rule.accept(value)
    except ConfigError:
        # A nested setting has named itself.
        raise
    except ValueError as error:
        quoted = "<hidden>" if rule.secret else shown(value)
        detail = f": {error}" if str(error) else ""
        message = f"setting {name} is {quoted} ({type(value).__name__}), expected {rule.expected}{detail}"
        # Not chained: the cause may quote what must stay hidden.
        raise ConfigError(message, hint, INVALID) from None


def check_fields(config: Any, prefix: str = "", described_by: str | None = None) -> None:
    """Checks every field of a frozen dataclass under construction and puts its normal form in place.

    Args:
        config: The object.
        prefix: What stands before the names of its fields in messages.
        described_by: The documented object that describes the fields; default its class, of the package itself.
    """
    cls: Any = type(config)
    for name, rule, default in _plan_of(cls):
        given = getattr(config, name)
        # Most settings are left alone, and a host of hundreds of plugins comes here for each.
        if given is not default:
            kept = check(prefix + name, given, rule, _help(cls, described_by))
            object.__setattr__(config, name, kept)


def from_mapping(cls: type[ConfigClass], values: Mapping[str, Any], prefix: str = "") -> ConfigClass:
    """A configuration from a mapping of its settings.

    Raises:
        ConfigError: A key is unknown or missing, or a value does not fit.
    """
    rules: dict[str, Rule] = _rules_of(cls)  # type: ignore[arg-type]
    if unknown := [key for key in values if key not in rules]:
        named = ", ".join(f"{shown(f'{prefix}{key}')} ({_instead(cls, str(key), prefix)})" for key in unknown)
        raise ConfigError(f"unknown setting{'s' if len(unknown) > 1 else ''} {named}", _help(cls), INVALID)
    for name in _required_of(cls):  # type: ignore[arg-type]
        if name not in values:
            raise ConfigError(
                f"setting {prefix}{name} is missing, expected {rules[name].expected}", _help(cls), INVALID
            )
    return cls(**values)


def _instead(cls: type[Any], unknown: str, prefix: str) -> str:
    """The setting that an unknown name may have meant, in the words of an error message."""
    import difflib

    from ferrule._migration import describe_counterpart

    # Lower case: such names come from environment variables and camel case.
    names = [field.name for field in dataclasses.fields(cls)]
    nearest = difflib.get_close_matches(unknown.lower(), names, n=1, cutoff=0)[0]
    # All names of a nested class: they are short, and near to anything.
    rest = f"; all: {', '.join(names)}" if prefix else ""
    return describe_counterpart(unknown, cls.__name__) or f"nearest: {prefix}{nearest}{rest}"


def _help(cls: type[Any], described_by: str | None = None) -> str:
    return f"See help({described_by or f'ferrule.{cls.__name__}'}): it describes every setting."


def flag() -> Rule:
    """True or False, not merely something true or false."""

    def accept(value: Any) -> bool:
        _require(isinstance(value, bool))
        return bool(value)

    return Rule("True or False", accept)


def text(expected: str, forbidden: str = "\0", secret: bool = False, empty: bool = False) -> Rule:
    """Text with none of the forbidden characters, and not empty unless `empty`."""

    none_of = frozenset(forbidden)

    def accept(value: Any) -> str:
        _require(isinstance(value, str) and (empty or value != "") and none_of.isdisjoint(value))
        return str(value)

    return Rule(expected, accept, secret)


def path(expected: str, empty: bool = False) -> Rule:
    """A path, or text that need not be one; kept as text."""

    def accept(value: Any) -> str:
        return str(plain.accept(os.fspath(value) if isinstance(value, os.PathLike) else value))

    plain = text(expected, empty=empty)
    return Rule(expected, accept)


def whole_number(low: int, high: int) -> Rule:
    """An int of a range, both ends included."""

    def accept(value: Any) -> int:
        # Not int(): 5.9 and "5" are mistakes. numpy's integers are fine.
        _require(hasattr(value, "__index__") and not isinstance(value, bool))
        number = operator.index(value)
        _require(low <= number <= high)
        return number

    return Rule(f"a whole number from {low} to {high}", accept)


def number(expected: str, fits: Callable[[float], bool]) -> Rule:
    """An int or a float that is finite and fits; kept as float."""

    def accept(value: Any) -> float:
        _require(isinstance(value, int | float) and not isinstance(value, bool))
        # The comparison with infinity first: a huge int cannot become a float.
        _require(-math.inf < value < math.inf and fits(value))
        return float(value)

    return Rule(expected, accept)


def seconds(limit: float = MAX_SECONDS) -> Rule:
    """A span of time."""
    return number(f"seconds: more than 0, at most {limit:.0f}", lambda value: 0 < value <= limit)


def one_of(*words: str, also: Mapping[str, str] | None = None) -> Rule:
    """One of these words; `also` maps further spellings to them."""
    spellings = {**dict(zip(words, words, strict=True)), **(also or {})}

    def accept(value: Any) -> str:
        _require(isinstance(value, str) and value in spellings)
        return spellings[value]

    return Rule(" or ".join(map(repr, words)), accept)


def several(element: Rule) -> Rule:
    """One or more values of one kind; kept as a tuple without repetitions."""

    def accept(value: Any) -> tuple[Any, ...]:
        _require(_is_list(value) and len(value) > 0)
        return tuple(dict.fromkeys(element.accept(each) for each in value))

    return Rule(f"a list of at least one, each {element.expected}", accept, element.secret)


def optional(rule: Rule) -> Rule:
    """None, or a value that `rule` accepts."""
    return Rule(f"{rule.expected}, or None", lambda value: None if value is None else rule.accept(value), rule.secret)


def instance(expected: str, fits: Callable[[Any], bool]) -> Rule:
    """Any object that fits; kept as it is."""

    def accept(value: Any) -> Any:
        _require(fits(value))
        return value

    return Rule(expected, accept)


def nested(cls: type[Any], prefix: str, secret: bool = False) -> Rule:
    """A configuration of its own, or a mapping of its settings."""

    def accept(value: Any) -> Any:
        _require(isinstance(value, cls | Mapping))
        return value if isinstance(value, cls) else from_mapping(cls, value, prefix)

    return Rule(f"a {cls.__name__} or a mapping of its settings", accept, secret)


def pairs() -> Rule:
    """Pairs of a name and a value of any kind; kept as a tuple of tuples."""

    def accept(value: Any) -> tuple[tuple[str, Any], ...]:
        _require(_is_list(value))
        kept = tuple(tuple(pair) if _is_list(pair) else () for pair in value)
        _require(all(len(pair) == 2 and isinstance(pair[0], str) and pair[0] for pair in kept))
        return kept

    return Rule("a list of pairs (name, value), each name text", accept)


def environment() -> Rule:
    """Variables for a process; kept as a copy that cannot change."""

    def accept(value: Any) -> Environment:
        _require(isinstance(value, Mapping))
        for name, content in value.items():
            if not isinstance(name, str) or not name or set(name) & set("=\0"):
                raise ValueError(f"{shown(name)} cannot name a variable")
            if not isinstance(content, str):
                raise ValueError(
                    f"the value of {name} is of type {type(content).__name__}, pass it as text: str(value)"
                )
            if "\0" in content:
                raise ValueError(f"the value of {name} contains a NUL character")
        return Environment(value)

    return Rule("a mapping of variable names to text", accept, secret=True)


class Environment(Mapping[str, str]):
    """Environment variables that cannot change and whose repr shows only the names."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"<variables: {', '.join(self._values) or 'none'}>"


@functools.cache
def _rules_of(cls: Any) -> dict[str, Rule]:
    """The rules in the annotations of a configuration's fields, by name."""
    rules = {field.name: get_args(field.type)[1] for field in dataclasses.fields(cls)}
    assert all(isinstance(rule, Rule) for rule in rules.values())
    return rules


@functools.cache
def _required_of(cls: Any) -> tuple[str, ...]:
    """The fields of a configuration that have no default, by name."""
    return tuple(field.name for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING)


_UNCHECKED = object()
"""Stands for the default of a field whose every value is to be checked."""


@functools.cache
def _plan_of(cls: Any) -> tuple[tuple[str, Rule, Any], ...]:
    """Name and rule of each field of a configuration, and its default if that is its own normal form."""
    rules = _rules_of(cls)
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    return tuple(
        (name, rule, defaults[name] if _is_normal(defaults[name], rule) else _UNCHECKED) for name, rule in rules.items()
    )


def _is_normal(value: Any, rule: Rule) -> bool:
    try:
        normal = rule.accept(value)
    except (ValueError, ConfigError):
        return False
    return type(normal) is type(value) and bool(normal == value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str | bytes | bytearray | Mapping)


def _require(fits: bool) -> None:
    if not fits:
        raise ValueError
