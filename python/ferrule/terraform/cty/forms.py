"""Values checked and shaped: into their normal form, or into the form that msgpack packs for the wire.

Both are made by functions that are put together once for each type, so that a long list costs one call for each
element. Every function takes a value of any kind, and raises a `CtyError` whose path begins at that value.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from operator import itemgetter
from typing import Any, Final

from msgpack import ExtType, packb

from ferrule.terraform.cty.errors import Attribute, CtyError, shown
from ferrule.terraform.cty.numbers import INT64, Number, settled, wire_number
from ferrule.terraform.cty.prefixes import sendable_prefix
from ferrule.terraform.cty.sets import arranged
from ferrule.terraform.cty.strings import are_ascii, are_ascii_keys, json_text, normalized, utf8
from ferrule.terraform.cty.typed import Typed
from ferrule.terraform.cty.types import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from ferrule.terraform.cty.unknown import Unknown, settled_unknown

__all__ = ["REFINED_EXTENSION", "mapped", "normal_form", "parts_form", "sorted_items", "text_keys", "wire_form"]

Shape = Callable[[Any], Any]

REFINED_EXTENSION: Final = 12
"""The type of the extension that an unknown value with refinements is on the wire."""
_PLAIN_UNKNOWN = ExtType(0, b"\0")


@dataclass(frozen=True)
class Form:
    """How the parts of a value are shaped.

    Attributes:
        name: Under which a type keeps the function that was made for it.
        number: A number that is not an int64.
        unknown: An unknown value of a type.
        elements: The elements of a set of a type, whichever they are given in.
        inner: The function for the parts of a type.
    """

    name: str
    number: Callable[[Number], Any]
    unknown: Callable[[Unknown, Type], Any]
    elements: Callable[[Iterable[Any], Type], list[Any]]
    inner: Callable[[Type], Shape]


def normal_form(of: Type) -> Shape:
    """Checks a value of the type, which has no `DYNAMIC` in it, and gives its normal form."""
    return of.codecs.get("normal") or _made(of, _NORMAL)


def wire_form(of: Type) -> Shape:
    """Checks a value of the type and gives the form that msgpack packs for it.

    In the place of a `DYNAMIC` only null and unknown values are: those that have no type.
    """
    return of.codecs.get("wire") or _made(of, _WIRE)


def parts_form(of: Type) -> Shape:
    """Checks a structure's kind, length and names, and leaves its parts as they are given."""
    return of.codecs.get("parts") or _made(of, _PARTS)


def _made(of: Type, form: Form) -> Shape:
    match of:
        case List(element=element):
            shape = _sequence(of, form, form.inner(element))
        case Set(element=element):
            shape = _set(of, form)
        case Map(element=element):
            shape = _map(of, form, form.inner(element))
        case Tuple(elements=elements):
            shape = _tuple(of, form, [form.inner(each) for each in elements])
        case Object():
            shape = _object(of, form)
        case _:
            shape = {STRING: _string, NUMBER: _number, BOOL: _bool, DYNAMIC: _dynamic}[of](form)
    of.codecs[form.name] = shape
    return shape


def _other(value: Any, of: Type, form: Form, hint: str | None = None) -> Any:
    """Null, unknown, or an error: what is left when a value is not of the kind that its type wants."""
    if value is None:
        return None
    if isinstance(value, Unknown):
        return form.unknown(value, of)
    # A value with a type of its own, where that type is wanted.
    if isinstance(value, Typed) and value.type == of:
        return form.inner(of)(value.value)
    raise CtyError(f"expected {of.name}, got {shown(value)}", hint=hint)


def _string(form: Form) -> Shape:
    def string(value: Any) -> Any:
        if type(value) is str:
            return value if value.isascii() else normalized(value)
        return normalized(value) if isinstance(value, str) else _other(value, STRING, form)

    return string


def _number(form: Form) -> Shape:
    shape = form.number

    def number(value: Any) -> Any:
        if type(value) is int and value in INT64:
            return value
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return shape(value)
        return _other(value, NUMBER, form)

    return number


def _bool(form: Form) -> Shape:
    return lambda value: value if value is True or value is False else _other(value, BOOL, form)


def _dynamic(form: Form) -> Shape:
    return lambda value: _other(value, DYNAMIC, form)


def _sequence(of: List, form: Form, inner: Shape) -> Shape:
    of_text = of.element is STRING

    def sequence(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            unordered = "a set has no order: sort it" if isinstance(value, set | frozenset) else None
            return _other(value, of, form, unordered)
        if of_text and are_ascii(value):
            return list(value)
        shaped: list[Any] = []
        append = shaped.append
        try:
            for each in value:
                append(inner(each))
        except CtyError as error:
            raise error.under(len(shaped)) from None
        return shaped

    return sequence


def _set(of: Set, form: Form) -> Shape:
    element, elements = of.element, form.elements

    def set_(value: Any) -> Any:
        if isinstance(value, list | tuple | set | frozenset):
            return elements(value, element)
        return _other(value, of, form)

    return set_


def _tuple(of: Tuple, form: Form, inner: list[Shape]) -> Shape:
    def tuple_(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return _other(value, of, form)
        if len(value) != len(inner):
            raise CtyError(f"expected a tuple of {len(inner)}, got {shown(value)}")
        shaped: list[Any] = []
        try:
            for shape, each in zip(inner, value, strict=True):
                shaped.append(shape(each))
        except CtyError as error:
            raise error.under(len(shaped)) from None
        return shaped

    return tuple_


def text_keys(value: Mapping[Any, Any]) -> list[str]:
    """The keys of a map or an object in NFC.

    Raises:
        CtyError: A key that is no text, or two that are one in NFC.
    """
    if are_ascii_keys(value):
        return list(value)
    for key in value:
        if not isinstance(key, str):
            raise CtyError(f"the keys of a map are text, got {shown(key)}")
    keys = [normalized(key) for key in value]
    if len(set(keys)) != len(keys):
        raise CtyError("two keys are the same in Unicode's normal form NFC")
    return keys


def sorted_items(value: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    """The keys of a map in NFC, in the order of their bytes, with what is under them.

    Raises:
        CtyError: A key that is no text, or two that are one in NFC.
    """
    if are_ascii_keys(value):
        return sorted(value.items(), key=_key)
    return sorted(zip(text_keys(value), value.values(), strict=True), key=lambda item: utf8(item[0]))


_key = itemgetter(0)


def _map(of: Type, form: Form, inner: Shape) -> Shape:
    def map_(value: Any) -> Any:
        if type(value) is not dict and not isinstance(value, Mapping):
            return _other(value, of, form)
        return mapped(value, inner)

    return map_


def mapped(value: Mapping[Any, Any], inner: Shape) -> dict[str, Any]:
    """A map with what a function makes of each element, in the order of cty.

    Raises:
        CtyError: A key is no text, or the function raised the error, whose path then begins at the map.
    """
    done: dict[str, Any] = {}
    items = sorted_items(value)
    key = ""
    try:
        for key, each in items:
            done[key] = inner(each)
    except CtyError as error:
        raise error.under(key) from None
    return done


def _object(of: Object, form: Form) -> Shape:
    inner = [(name, form.inner(each)) for name, each in of.attributes.items()]
    count = len(inner)

    def object_(value: Any) -> Any:
        shaped: dict[str, Any] = {}
        if type(value) is not dict or len(value) != count:
            if not isinstance(value, Mapping):
                return _other(value, of, form)
            value = _matched(value, of)
        name = ""
        try:
            for name, shape in inner:
                shaped[name] = shape(value[name])
        except KeyError:
            # A name that is missing, and so another one that is not of the type, or not in NFC.
            return object_(_matched(value, of))
        except CtyError as error:
            raise error.under(Attribute(name)) from None
        return shaped

    return object_


def _matched(value: Mapping[Any, Any], of: Object) -> dict[str, Any]:
    """The value with the attributes of the type: names in NFC, null for optional ones that are absent."""
    given = dict(zip(text_keys(value), value.values(), strict=True))
    for name in given:
        if name not in of.attributes:
            near = get_close_matches(name, of.attributes, 1)
            hint = f"did you mean {near[0]}?" if near else None
            raise CtyError(f"the object has no attribute {json_text(name)}", hint=hint)
    for name in of.attributes:
        if name not in given and name not in of.optional:
            raise CtyError(f"the attribute {json_text(name)} is missing", hint="null is written as None")
    return {name: given.get(name) for name in of.attributes}


def _wire_unknown(value: Unknown, of: Type) -> Any:
    known = settled_unknown(value, of)
    if not isinstance(known, Unknown):
        return wire_form(of)(known)
    refinements: dict[int, Any] = {1: False} if known.not_null else {}
    if known.prefix:
        refinements[2] = sendable_prefix(known.prefix)
    for key, bound, inclusive in ((3, known.lower, known.lower_inclusive), (4, known.upper, known.upper_inclusive)):
        if bound is not None:
            refinements[key] = [wire_number(bound), inclusive]
    if known.min_length:
        refinements[5] = known.min_length
    if known.max_length is not None:
        refinements[6] = known.max_length
    return ExtType(REFINED_EXTENSION, packb(refinements)) if refinements else _PLAIN_UNKNOWN


def _elements(value: Iterable[Any], of: Type) -> list[Any]:
    return arranged(normal_form(List(of))(list(value)), of)


_NORMAL = Form("normal", settled, settled_unknown, _elements, normal_form)
_WIRE = Form(
    "wire",
    lambda number: wire_number(settled(number)),
    _wire_unknown,
    lambda value, of: list(map(wire_form(of), _elements(value, of))),
    wire_form,
)
_PARTS = Form("parts", settled, settled_unknown, lambda value, _: list(value), lambda _: lambda value: value)
