"""Whether two values are the same to Terraform's core: in all but what is known about unknown values.

Facts: OpenTofu v1.12.6, internal/plans/objchange/plan_valid.go (unrefinedValue); go-cty v1.20, cty/value_ops.go
(RawEquals).
"""

from typing import Any

from ferrule.terraform.cty import BOOL, STRING, UNKNOWN, Type, Typed, Unknown
from ferrule.terraform.cty.set_keys import exact_set_key
from ferrule.terraform.cty.values import resolved

__all__ = ["is_null", "is_unknown", "part", "same", "with_own_type"]


def is_null(value: Any) -> bool:
    """Whether the value is null, of whatever type."""
    return value is None or (type(value) is Typed and value.value is None)


def is_unknown(value: Any) -> bool:
    """Whether the value is unknown as a whole, of whatever type."""
    return type(value) is Unknown or (type(value) is Typed and type(value.value) is Unknown)


def part(value: Any, name: str) -> Any:
    """The attribute of an object; of a null object all attributes are null, of an unknown one unknown."""
    if value is None:
        return None
    return UNKNOWN if type(value) is Unknown else value[name]


def with_own_type(value: Any, of: Type) -> tuple[Any, Type]:
    """The value with the type that it has itself, in which something else stands for each `DYNAMIC` of the given one.

    Where there is no `DYNAMIC` the value is taken as it is: `decode` and `coerce` give values in normal form.
    """
    return resolved(value, of) if of.has_dynamic else (value, of)


def same(a: Any, b: Any, of: Type) -> bool:
    """Whether two values of a type are the same.

    All unknown values of one type are, since a provider that takes a value apart and puts it together again loses what
    was known about it. Under a `DYNAMIC` the types must be the same, those of nulls too.
    """
    (a, of), (b, of_b) = with_own_type(a, of), with_own_type(b, of)
    if of != of_b:
        return False
    if a == b:
        return True
    if of is STRING or of is BOOL:
        return type(a) is Unknown and type(b) is Unknown
    # The texts have nothing of what is known about unknown values in them.
    key = exact_set_key(of)
    return key(a) == key(b)
