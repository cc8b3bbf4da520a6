"""cty's types and their JSON notation, which schemas, states and dynamic values carry.

Facts: go-cty v1.20, cty/json.go and the files of the types. Types are immutable, equal by structure, hashable.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache, wraps
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

from ferrule.terraform.cty.errors import Attribute, CtyError, shown
from ferrule.terraform.cty.strings import json_text, normalized, replaced, utf8

__all__ = [
    "BOOL",
    "DYNAMIC",
    "MAX_DEPTH",
    "NUMBER",
    "STRING",
    "List",
    "Map",
    "Object",
    "Set",
    "Tuple",
    "Type",
    "cached_by_types",
    "object_type",
]

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

MAX_DEPTH: Final = 100
"""Levels of nesting that a type, and with it a value, may have."""


class Type:
    """Base of all types.

    Attributes:
        json (str): The notation in JSON, as go-cty writes it.
        name (str): The type in words, `list of string`.
        depth (int): Levels of nesting, 0 for a primitive type.
        has_dynamic (bool): `DYNAMIC` is somewhere in the type.
        plain (Type): The type without optional attributes at any level: the type of values, as they are sent.
    """

    __slots__ = ("_hash", "_json", "_parts", "_plain", "codecs", "depth", "has_dynamic", "has_optional", "size")
    depth: int
    has_dynamic: bool
    has_optional: bool
    size: int
    """Types in the type, itself among them."""
    codecs: dict[str, Callable[..., Any]]
    """Functions that other modules have put together for the type."""
    _parts: tuple[object, ...]
    _hash: int
    _json: str
    _plain: "Type"

    def _set(self, parts: tuple[object, ...], inner: Collection["Type"], optional: bool = False) -> None:
        """Sets what the type is made of, by which types are equal, and what follows from the types inside."""
        depth = 1 + max((each.depth for each in inner), default=0)
        if depth > MAX_DEPTH:
            raise CtyError(f"the type has more than {MAX_DEPTH} levels")
        put = object.__setattr__
        put(self, "_parts", parts)
        put(self, "_hash", hash((type(self), parts)))
        put(self, "depth", depth)
        put(self, "has_dynamic", any(each.has_dynamic for each in inner))
        put(self, "has_optional", optional or any(each.has_optional for each in inner))
        put(self, "size", 1 + sum(each.size for each in inner))
        put(self, "codecs", {})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other) or not isinstance(other, Type):
            return False
        return self._hash == other._hash and self._parts == other._parts

    def __hash__(self) -> int:
        return self._hash

    @property
    def name(self) -> str:
        raise NotImplementedError

    @property
    def json(self) -> str:
        try:
            return self._json
        except AttributeError:
            # Types inside this one keep no notation: every level would repeat that of all below it.
            object.__setattr__(self, "_json", self._notation())
        return self._json

    def _notation(self) -> str:
        raise NotImplementedError

    def __reduce__(self) -> tuple[Any, ...]:
        return Type.from_json, (self.json,)

    @property
    def plain(self) -> "Type":
        if not self.has_optional:
            return self
        try:
            return self._plain
        except AttributeError:
            object.__setattr__(self, "_plain", self._without_optional())
        return self._plain

    def _without_optional(self) -> "Type":
        return self

    @staticmethod
    def from_json(text: str | bytes) -> "Type":
        """The type of a notation in JSON.

        Raises:
            CtyError: The text is not JSON or no notation of a type.

        Example:
            >>> Type.from_json('["list","string"]')
            List(STRING)
        """
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        try:
            notation = json.loads(replaced(text))
        except (ValueError, RecursionError) as error:
            # Not only of syntax: Python reads no whole number of more than 4,300 digits.
            raise CtyError(f"the type is not JSON: {error}") from None
        return Type.from_notation(notation)

    @staticmethod
    def from_notation(notation: object) -> "Type":
        """The type of a notation that was read from JSON already: a str, or a list.

        Raises:
            CtyError: No notation of a type.

        Example:
            >>> Type.from_notation(["object", {"a": "number"}, ["a"]])
            Object({'a': NUMBER}, optional={'a'})
        """
        return _from_notation(notation, 0)


class _Primitive(Type):
    __slots__ = ()

    def __init__(self, name: str) -> None:
        self._set((name,), ())
        object.__setattr__(self, "depth", 0)
        object.__setattr__(self, "has_dynamic", name == "dynamic")

    @property
    def name(self) -> str:
        return str(self._parts[0])

    def _notation(self) -> str:
        return f'"{self.name}"'

    def __repr__(self) -> str:
        return self.name.upper()


STRING: Final[Type] = _Primitive("string")
NUMBER: Final[Type] = _Primitive("number")
BOOL: Final[Type] = _Primitive("bool")
DYNAMIC: Final[Type] = _Primitive("dynamic")
"""Any type: each value brings its own."""
_PRIMITIVE = {each.name: each for each in (STRING, NUMBER, BOOL, DYNAMIC)}


class _Collection(Type):
    __slots__ = ("element",)
    element: Type

    def __init__(self, element: Type) -> None:
        object.__setattr__(self, "element", element)
        self._set((element,), (element,))

    @property
    def name(self) -> str:
        return f"{type(self).__name__.lower()} of {self.element.name}"

    def _notation(self) -> str:
        return f'["{type(self).__name__.lower()}",{self.element._notation()}]'

    def _without_optional(self) -> Type:
        return type(self)(self.element.plain)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.element!r})"


class List(_Collection):
    """Elements of one type in an order; `List(STRING)`."""

    __slots__ = ()


class Set(_Collection):
    """Elements of one type, each once; `Set(STRING)`."""

    __slots__ = ()


class Map(_Collection):
    """Elements of one type under keys that are text; `Map(STRING)`."""

    __slots__ = ()


class Tuple(Type):
    """As many elements as there are types; `Tuple([STRING, NUMBER])`."""

    __slots__ = ("elements",)
    elements: tuple[Type, ...]

    def __init__(self, elements: Iterable[Type]) -> None:
        object.__setattr__(self, "elements", tuple(elements))
        self._set(self.elements, self.elements)

    @property
    def name(self) -> str:
        return "tuple"

    def _notation(self) -> str:
        return f'["tuple",[{",".join(each._notation() for each in self.elements)}]]'

    def _without_optional(self) -> Type:
        return Tuple(each.plain for each in self.elements)

    def __repr__(self) -> str:
        return f"Tuple([{', '.join(map(repr, self.elements))}])"


class Object(Type):
    """A type for each attribute's name; `Object({"a": STRING, "b": NUMBER}, optional={"b"})`.

    Optional attributes are a matter of conversion: where one is absent, null takes its place. Values never have them.

    Raises:
        CtyError: An optional attribute that is not there, or two names that are one in Unicode's NFC.
    """

    __slots__ = ("attributes", "optional")
    attributes: dict[str, Type]
    """By name, in the order of the names' UTF-8. Not to be changed."""
    optional: frozenset[str]

    def __init__(self, attributes: Mapping[str, Type], optional: Iterable[str] = ()) -> None:
        by_name = {normalized(name): each for name, each in attributes.items()}
        if len(by_name) != len(attributes):
            raise CtyError("two names of attributes are the same in Unicode's normal form NFC")
        object.__setattr__(self, "attributes", {name: by_name[name] for name in sorted(by_name, key=utf8)})
        object.__setattr__(self, "optional", frozenset(map(normalized, optional)))
        if unknown := self.optional - by_name.keys():
            raise CtyError(f"optional attribute {json_text(min(unknown))} is no attribute of the object")
        types = tuple(self.attributes.values())
        self._set((tuple(self.attributes), types, self.optional), types, bool(self.optional))

    @property
    def name(self) -> str:
        return "object"

    def _notation(self) -> str:
        attributes = ",".join(f"{json_text(name)}:{each._notation()}" for name, each in self.attributes.items())
        marks = f",[{','.join(map(json_text, sorted(self.optional, key=utf8)))}]" if self.optional else ""
        return f'["object",{{{attributes}}}{marks}]'

    def _without_optional(self) -> Type:
        return Object({name: each.plain for name, each in self.attributes.items()})

    def __repr__(self) -> str:
        optional = f", optional={{{', '.join(map(repr, sorted(self.optional)))}}}" if self.optional else ""
        return f"Object({self.attributes!r}{optional})"


MAX_CACHED_SIZE: Final = 200
"""Types within types up to which results about them are kept."""


def cached_by_types(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """The function with a memory for its latest results, in which large types have no place.

    A value of ten thousand elements under a `DYNAMIC` has a type with as many types in it.
    """
    cached = lru_cache(maxsize=1024)(function)

    def size(argument: object) -> int:
        if isinstance(argument, Type):
            return argument.size
        return sum(map(size, argument)) if isinstance(argument, tuple) else 0

    @wraps(function)
    def remembering(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        if size(args) > MAX_CACHED_SIZE:
            return function(*args, **kwargs)
        return cached(*args, **kwargs)  # type: ignore[arg-type]

    return remembering


_COLLECTION: dict[object, type[_Collection]] = {"list": List, "set": Set, "map": Map}


def _from_notation(notation: object, level: int) -> Type:
    if level > MAX_DEPTH:
        raise CtyError(f"the type has more than {MAX_DEPTH} levels")
    match notation:
        case str() if notation in _PRIMITIVE:
            return _PRIMITIVE[notation]
        case [("list" | "set" | "map") as kind, element]:
            return _COLLECTION[kind](_from_notation(element, level + 1))
        case ["tuple", list() | None as elements]:
            return Tuple(_from_notation(each, level + 1) for each in elements or ())
        case ["object", dict() | None as attributes, *rest] if len(rest) <= 1:
            return _object(attributes or {}, rest[0] if rest else None, level)
    raise CtyError(f"no notation of a type: {shown(notation)}", hint='such as "string" or ["list","string"]')


def _object(attributes: dict[str, object], optional: object, level: int) -> Type:
    if optional is not None and not (isinstance(optional, list) and all(isinstance(each, str) for each in optional)):
        raise CtyError("the optional attributes of an object type are not a list of names")
    types: dict[str, Type] = {}
    for name, each in attributes.items():
        try:
            types[replaced(name)] = _from_notation(each, level + 1)
        except CtyError as error:
            raise error.under(Attribute(name)) from None
    return object_type(tuple(types.items()), tuple(optional or ()))


@cached_by_types
def object_type(attributes: tuple[tuple[str, Type], ...], optional: tuple[str, ...] = ()) -> Object:
    """As `Object`, which takes its time: the types of many values are the same."""
    return Object(dict(attributes), optional)
