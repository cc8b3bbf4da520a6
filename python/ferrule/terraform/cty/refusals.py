"""Why values of one type cannot become values of another, and where."""

from typing import Any

from ferrule.terraform.cty.errors import Attribute, CtyError, shown
from ferrule.terraform.cty.strings import json_text
from ferrule.terraform.cty.types import DYNAMIC, List, Map, Object, Set, Tuple, Type
from ferrule.terraform.cty.unification import convertible
from ferrule.terraform.cty.unknown import Unknown

__all__ = ["refusal"]


def refusal(value: Any, source: Type, target: Type) -> CtyError:
    """The error for a conversion that there is not, at the first part of the value that has none.

    Args:
        value: In normal form; its parts are shown, and none are looked for in a null or an unknown value.
        source: Its type.
        target: The type wanted, which `source` is not convertible to.
    """
    known = value is not None and not isinstance(value, Unknown)
    match source, target:
        case Object(), Object():
            for name, each in target.attributes.items():
                if name not in source.attributes and name not in target.optional:
                    return CtyError(f"the attribute {json_text(name)} is required")
                if name in source.attributes and not convertible(source.attributes[name], each):
                    inner = value[name] if known else value
                    return refusal(inner, source.attributes[name], each).under(Attribute(name))
        case Tuple(), Tuple() if len(source.elements) != len(target.elements):
            return CtyError(f"expected a tuple of {len(target.elements)}, got one of {len(source.elements)}")
        case Tuple(), (Tuple() | List() | Set()):
            wanted = target.elements if isinstance(target, Tuple) else [target.element] * len(source.elements)
            for index, (given, each) in enumerate(zip(source.elements, wanted, strict=True)):
                if not convertible(given, each):
                    return refusal(value[index] if known else value, given, each).under(index)
        case Object(), Map():
            for name, given in source.attributes.items():
                if not convertible(given, target.element):
                    return refusal(value[name] if known else value, given, target.element).under(name)
    parts = isinstance(source, Tuple | Object) and isinstance(target, List | Set | Map)
    if parts and isinstance(target, List | Set | Map) and target.element is DYNAMIC:
        return CtyError(f"the elements of the {type(target).__name__.lower()} have no type in common")
    got = shown(value) if known and not isinstance(source, List | Set | Map) else source.name
    return CtyError(f"expected {target.name}, got {got}")
