"""The name that a wrong one may have meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from heapq import nlargest
from itertools import pairwise
from typing import Final

__all__ = ["nearest"]

CANDIDATES: Final = 10
"""Names that are compared in full: `difflib` takes a tenth of a second for the 1,500 resources of a large provider."""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that is most like the wrong one; None if none is.

    Example:
        >>> nearest("aws_s3_buket", ["aws_instance", "aws_s3_bucket", "aws_s3_object"])
        'aws_s3_bucket'
    """
    pairs = _pairs(name)

    def likeness(other: str) -> float:
        theirs = _pairs(other)
        return len(pairs & theirs) / (len(pairs) + len(theirs) or 1)

    found = get_close_matches(name.lower(), nlargest(CANDIDATES, names, key=likeness), n=1)
    return found[0] if found else None


def _pairs(name: str) -> set[str]:
    """Neighbouring characters."""
    name = name.lower()
    return set(map("".join, pairwise(name)))
