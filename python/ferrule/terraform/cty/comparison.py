"""Equality of values as callers have them."""

from typing import Any

from ferrule.terraform.cty.equality import equal
from ferrule.terraform.cty.equality import identical as identical_resolved
from ferrule.terraform.cty.errors import within_stack
from ferrule.terraform.cty.types import Type
from ferrule.terraform.cty.unknown import Unknown
from ferrule.terraform.cty.values import resolved

__all__ = ["equals", "identical"]


@within_stack
def equals(a: Any, b: Any, of: Type) -> bool | Unknown:
    """Whether the language's `==` takes two values of a type for the same.

    Returns:
        The answer, or `Unknown(not_null=True)` where it depends on an unknown value. Fractions are equal by their
        shortest text, so that the float 0.1 equals `Decimal("0.1")`; whole numbers by value; sets whatever their order.

    Raises:
        CtyError: One of them is not of the type.

    Example:
        >>> from ferrule.terraform.cty import STRING, UNKNOWN, Set
        >>> equals(["a", "b"], ["b", "a", "b"], Set(STRING))
        True
        >>> equals("a", UNKNOWN, STRING)
        Unknown(not_null=True)
    """
    return equal(*resolved(a, of), *resolved(b, of))


@within_stack
def identical(a: Any, b: Any, of: Type) -> bool:
    """Whether two values of a type are the same in all: type, nulls, and what is known of unknown values.

    This is how Terraform's core compares: an unknown value is identical to one with the same refinements.

    Raises:
        CtyError: One of them is not of the type.
    """
    return identical_resolved(*resolved(a, of), *resolved(b, of))
