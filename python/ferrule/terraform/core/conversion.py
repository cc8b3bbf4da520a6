"""Conversion of an attribute's value, with all that is wrong in it where cty names the first thing alone."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ferrule.terraform.core.sameness import is_null
from ferrule.terraform.core.secrets import is_secret
from ferrule.terraform.core.types import attribute_type
from ferrule.terraform.cty import BOOL, NUMBER, STRING, CtyError, List, Map, Object, Path, Set, Tuple, Type
from ferrule.terraform.cty import Attribute as AttributeStep
from ferrule.terraform.cty.coercion import coercion
from ferrule.terraform.cty.forms import text_keys
from ferrule.terraform.errors import Problem
from ferrule.terraform.schema.model import Attribute, NestedType, Nesting

__all__ = ["absent", "conversion", "conversion_problems"]


def conversion(attribute: Attribute) -> Callable[[Any], Any]:
    """The function that makes an attribute's value of what a configuration gives; it raises `CtyError`."""
    return coercion(attribute_type(attribute))


def conversion_problems(attribute: Attribute, given: Any, path: Path) -> list[Problem]:
    """What is wrong in a value that `conversion` refused; `path` is the attribute's."""
    of = attribute_type(attribute)
    if is_secret(attribute):
        return [Problem(path, f"not a value of type {of.name}; the one given is not shown, for it may be secret")]
    return [Problem((*path, *each.path), each.problem, each.hint) for each in _refusals(given, of)]


def _refusals(given: Any, of: Type) -> list[CtyError]:
    """An error for each place that is wrong: that of the whole only if nothing inside is."""
    try:
        coercion(of)(given)
    except CtyError as error:
        if isinstance(given, Mapping) and of in (STRING, NUMBER, BOOL):
            error.hint = "this is an attribute, not a block"
        return list(_refusals_inside(given, of)) or [error]
    return []


def _refusals_inside(given: Any, of: Type) -> Iterator[CtyError]:
    parts: list[tuple[Any, Any, Type]] = []
    match of:
        case List(element=element) | Set(element=element) if isinstance(given, list | tuple):
            parts = [(step, each, element) for step, each in enumerate(given)]
        case Tuple(elements=elements) if isinstance(given, list | tuple) and len(given) == len(elements):
            parts = list(zip(range(len(given)), given, elements, strict=True))
        case Map(element=element) if isinstance(given, Mapping):
            parts = [(key, each, element) for key, each in _keyed(given).items()]
        case Object(attributes=attributes, optional=optional) if isinstance(given, Mapping):
            by_name = _keyed(given)
            for name in attributes:
                if name not in by_name and name not in optional:
                    yield CtyError(f'the attribute "{name}" is required')
            parts = [(AttributeStep(name), by_name[name], each) for name, each in attributes.items() if name in by_name]
    for step, each, inner in parts:
        for error in _refusals(each, inner):
            yield error.under(step)


def _keyed(given: Mapping[Any, Any]) -> dict[str, Any]:
    try:
        return dict(zip(text_keys(given), given.values(), strict=True))
    except CtyError:
        return {}


def absent(nested: NestedType, value: Any) -> Iterator[Path]:
    """Paths of required attributes that are null, in the value of a nested attribute."""
    objects: Iterable[tuple[Path, Any]] = [((), value)]
    if isinstance(value, list):
        objects = (((step,), each) for step, each in enumerate(value))
    elif nested.nesting is Nesting.MAP and isinstance(value, dict):
        objects = (((key,), each) for key, each in value.items())
    for path, each in objects:
        if isinstance(each, dict):
            yield from (path + inner for inner in _absent_in(nested, each))


def _absent_in(nested: NestedType, value: dict[str, Any]) -> Iterator[Path]:
    for name, attribute in nested.attributes.items():
        if attribute.required and is_null(value[name]):
            yield (AttributeStep(name),)
        elif attribute.nested_type is not None:
            yield from ((AttributeStep(name), *inner) for inner in absent(attribute.nested_type, value[name]))
