"""Values that are not known yet, and what is known about them already."""

import math
from dataclasses import dataclass, fields
from typing import Any, Final

from ferrule.terraform.cty.errors import CtyError
from ferrule.terraform.cty.numbers import Number, equal_numbers, number_text, settled
from ferrule.terraform.cty.strings import normalized
from ferrule.terraform.cty.types import DYNAMIC, NUMBER, STRING, List, Map, Set, Type

__all__ = ["UNKNOWN", "Unknown", "settled_unknown"]

MAX_UNKNOWN_ELEMENTS: Final = 100
"""Elements up to which a list of known length, but unknown otherwise, becomes a list of unknown elements.

go-cty has no limit, so that ten bytes of a peer make a list of two thousand million.
"""
MAX_GO_ELEMENTS: Final = 2**43
"""Elements from which on a Go peer, which makes a list of unknown elements of any known length, panics."""
MAX_LENGTH: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Unknown:
    """A value that is not known yet, with refinements: what is known about it already.

    Attributes:
        not_null: It will not be null.
        prefix: What a text begins with. Its end must not change by what follows: `safe_prefix` cuts it so.
        lower: The least number, or None.
        lower_inclusive: `lower` itself is possible.
        upper: The greatest number, or None.
        upper_inclusive: `upper` itself is possible.
        min_length: The least number of elements of a list, set or map.
        max_length: The greatest number of elements, or None.

    Example:
        >>> Unknown(not_null=True, prefix="i-")
        Unknown(not_null=True, prefix='i-')
        >>> Unknown()
        UNKNOWN
    """

    not_null: bool = False
    prefix: str = ""
    lower: Number | None = None
    lower_inclusive: bool = True
    upper: Number | None = None
    upper_inclusive: bool = True
    min_length: int = 0
    max_length: int | None = None

    def __repr__(self) -> str:
        given = [
            f"{each.name}={value!r}" for each in fields(self) if (value := getattr(self, each.name)) != each.default
        ]
        return f"Unknown({', '.join(given)})" if given else "UNKNOWN"


UNKNOWN: Final = Unknown()
"""A value about which nothing is known."""
NOT_NULL: Final = Unknown(not_null=True)


def settled_unknown(unknown: Unknown, of: Type) -> Any:
    """The unknown value in its normal form, or the value that its refinements leave as the only one.

    Raises:
        CtyError: A refinement that the type cannot have, or refinements that no value meets. Either makes a Go peer
        panic.
    """
    if unknown is UNKNOWN or of is DYNAMIC:
        return UNKNOWN
    _check_kind(unknown, of)
    if of is STRING:
        return _made(not_null=unknown.not_null, prefix=normalized(unknown.prefix))
    if of is NUMBER:
        return _settled_number(unknown)
    if isinstance(of, List | Set | Map):
        return _settled_collection(unknown, of)
    return NOT_NULL if unknown.not_null else UNKNOWN


def _made(**refinements: Any) -> Unknown:
    made = Unknown(**refinements)
    return UNKNOWN if made == UNKNOWN else made


def _check_kind(unknown: Unknown, of: Type) -> None:
    bounds = unknown.lower is not None or unknown.upper is not None
    lengths = unknown.min_length or unknown.max_length is not None
    for wrong, what, wanted in (
        (unknown.prefix and of is not STRING, "a prefix", "string"),
        (bounds and of is not NUMBER, "bounds", "number"),
        (lengths and not isinstance(of, List | Set | Map), "bounds of its length", "list, set or map"),
    ):
        if wrong:
            raise CtyError(f"an unknown {of.name} cannot have {what}: only a {wanted} can")


def _settled_number(unknown: Unknown) -> Any:
    # Bounds below or above all numbers say nothing.
    lower = None if unknown.lower in (None, -math.inf) else settled(unknown.lower)
    upper = None if unknown.upper in (None, math.inf) else settled(unknown.upper)
    both = unknown.lower_inclusive and unknown.upper_inclusive
    if lower is not None and upper is not None:
        if lower > upper or (lower == upper and not both):
            raise CtyError(f"no number is between the bounds {number_text(lower)} and {number_text(upper)}")
        if unknown.not_null and both and equal_numbers(lower, upper):
            return lower
    return _made(
        not_null=unknown.not_null,
        lower=lower,
        lower_inclusive=lower is None or unknown.lower_inclusive,
        upper=upper,
        upper_inclusive=upper is None or unknown.upper_inclusive,
    )


def _settled_collection(unknown: Unknown, of: List | Set | Map) -> Any:
    least, most = max(unknown.min_length, 0), unknown.max_length
    if most is not None and most < least:
        raise CtyError(f"no length is between the bounds {least} and {most}")
    if least > MAX_LENGTH or (most or 0) > MAX_LENGTH:
        raise CtyError("a bound of a length has more than 63 bits")
    if unknown.not_null and (MAX_LENGTH if most is None else most) == least:
        if not least:
            return {} if isinstance(of, Map) else []
        if isinstance(of, List) and least > MAX_GO_ELEMENTS:
            raise CtyError(f"a list of {least} elements is too long")
        if (isinstance(of, List) and least <= MAX_UNKNOWN_ELEMENTS) or (isinstance(of, Set) and least == 1):
            return [UNKNOWN] * least
    # go-cty says by Go's largest int that there is no bound.
    most = None if most == MAX_LENGTH else most
    return _made(not_null=unknown.not_null, min_length=least, max_length=most)
