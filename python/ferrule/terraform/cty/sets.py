"""Sets: which elements are the same, and in which order go-cty has them.

Facts: go-cty v1.20, cty/set_internals.go and cty/set. The order matters, for it decides the bytes that are sent.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any
from zlib import crc32

from ferrule.terraform.cty.equality import has_unknown
from ferrule.terraform.cty.set_keys import exact_set_key, set_key
from ferrule.terraform.cty.strings import utf8
from ferrule.terraform.cty.types import BOOL, NUMBER, STRING, Type
from ferrule.terraform.cty.unknown import Unknown

__all__ = ["arranged"]


def arranged(elements: list[Any], of: Type) -> list[Any]:
    """The elements of a set in cty's order, equal ones once, those that may turn out to be equal all.

    Args:
        elements: Values in normal form.
        of: Their type.
    """
    if of is STRING and all(type(each) is str for each in elements):
        return sorted(set(elements), key=utf8)
    if len(elements) < 2:
        return list(elements)
    buckets = _buckets(elements, of)
    if of in (STRING, NUMBER, BOOL):
        # go-cty finds the elements in the order of checksums, and sorts stably: zero and minus zero stay in that order.
        found = list(
            chain.from_iterable(bucket for _, bucket in sorted(buckets.items(), key=lambda item: crc32(item[0])))
        )
        return sorted(found, key=_ORDER_OF_PRIMITIVES[of])
    last = {b"?": 1, b"~": 2}
    return list(chain.from_iterable(buckets[key] for key in sorted(buckets, key=lambda key: (last.get(key, 0), key))))


def _buckets(elements: list[Any], of: Type) -> dict[bytes, list[Any]]:
    """The elements that are different, by the text by which go-cty finds them."""
    key, exact_key = set_key(of), exact_set_key(of)
    buckets: dict[bytes, list[Any]] = {}
    seen: dict[bytes, set[str]] = {}
    for each in elements:
        text = utf8(key(each))
        bucket = buckets.setdefault(text, [])
        if not bucket or has_unknown(each):
            bucket.append(each)
            continue
        if text not in seen:
            seen[text] = {exact_key(other) for other in bucket if not has_unknown(other)}
        if (exact := exact_key(each)) not in seen[text]:
            seen[text].add(exact)
            bucket.append(each)
    return buckets


def _known_first(key: Callable[[Any], Any], zero: Any) -> Callable[[Any], tuple[int, Any]]:
    """By the key; unknown values after the known ones, null last."""

    def order(value: Any) -> tuple[int, Any]:
        if value is None:
            return 2, zero
        return (1, zero) if type(value) is Unknown else (0, key(value))

    return order


_ORDER_OF_PRIMITIVES = {
    STRING: _known_first(utf8, b""),
    # Python compares int, float and Decimal exactly.
    NUMBER: _known_first(lambda value: value, 0),
    BOOL: _known_first(lambda value: value, False),
}
