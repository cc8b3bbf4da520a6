"""Line: what waits, in the order of its ranks."""

from __future__ import annotations

import heapq
import itertools
from typing import TypeVar

__all__ = ["Line"]

Item = TypeVar("Item")

_numbers = itertools.count()

_SPARE = 16
"""Outdated places that a heap may have before it is made anew."""


class Line(dict[Item, tuple[float, int]]):
    """Items by rank, lowest first, and by arrival among equals; each is there once.

    A dict of the items with their places, so that looking whether there are any costs nothing, over a heap in which
    places that are given up stay until they come to the top or outnumber the others. All methods take O(log n).
    """

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[float, int, Item]] = []

    def put(self, item: Item, rank: float) -> None:
        """Gives an item its place; one that has the rank already keeps it."""
        before = self.get(item)
        if before is not None and before[0] == rank:
            return
        number = next(_numbers)
        self[item] = (rank, number)
        heapq.heappush(self._heap, (rank, number, item))
        if len(self._heap) > 2 * len(self) + _SPARE:
            self._heap = [(*place, item) for item, place in self.items()]
            heapq.heapify(self._heap)

    def drop(self, item: Item) -> bool:
        """Takes an item out; whether it was there."""
        found = self.pop(item, None) is not None
        if not self:
            self._heap.clear()
        return found

    def first(self) -> Item | None:
        """The item with the lowest rank; None without any."""
        heap = self._heap
        while heap:
            rank, number, item = heap[0]
            if self.get(item) == (rank, number):
                return item
            heapq.heappop(heap)
        return None

    def first_rank(self) -> float | None:
        """The lowest rank; None without any item."""
        return None if self.first() is None else self._heap[0][0]

    def take(self) -> Item | None:
        """Takes the first item out."""
        item = self.first()
        if item is not None:
            self.drop(item)
        return item
