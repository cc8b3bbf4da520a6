"""WeakSet: objects that are not kept alive, in a set for any number of threads."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

__all__ = ["WeakSet"]

Item = TypeVar("Item")


class WeakSet(Generic[Item]):
    """A set of objects that other threads may change and drop at any moment, also while one goes through it.

    `weakref.WeakSet` does not bear that, whatever locks its users hold: an object dies on the thread that drops it
    last, which holds none of them. Here each step is one operation of a set, which no thread divides, and whoever goes
    through the set has what was in it at the beginning. For objects that compare by identity: no code of theirs runs.

    Args:
        items: What is in the set.

    Example:
        >>> class Thing: ...
        >>> kept, things = Thing(), WeakSet([Thing()])
        >>> things.add(kept)
        >>> [each is kept for each in things]
        [True]
    """

    __slots__ = ("_references",)

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._references: set[weakref.ref[Item]] = set()
        self.update(items)

    def add(self, item: Item) -> None:
        """Adds an object, until it dies."""
        # One operation of the set again, and no code in Python, at a moment that nobody chooses.
        self._references.add(weakref.ref(item, self._references.discard))

    def update(self, items: Iterable[Item]) -> None:
        """Adds objects."""
        for item in items:
            self.add(item)

    def discard(self, item: Item) -> None:
        """Takes an object out, if it is there."""
        self._references.discard(weakref.ref(item))

    def clear(self) -> None:
        """Takes all objects out."""
        self._references.clear()

    def __contains__(self, item: Item) -> bool:
        return weakref.ref(item) in self._references

    def __len__(self) -> int:
        return len(self._references)

    def __iter__(self) -> Iterator[Item]:
        living = (reference() for reference in list(self._references))
        return iter([item for item in living if item is not None])
