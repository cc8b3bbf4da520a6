"""Many items, a bounded number at once: abandoned, cancelled and broken anywhere, they leave nothing running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from ferrule.ray.in_flight import in_flight
from router.virtual_time import run

ITEMS = 15


class Work:
    """A function that takes a while, and its items that are being worked on."""

    def __init__(self) -> None:
        self.alive: set[int] = set()

    async def __call__(self, item: int) -> int:
        self.alive.add(item)
        try:
            await asyncio.sleep(0.01 * (item % 3))
            return item
        finally:
            self.alive.discard(item)


def breaking() -> Iterator[int]:
    yield from range(ITEMS)
    raise ValueError("no more")


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("room", [1, 4])
def test_items_that_break_come_after_all_results(ordered: bool, room: int) -> None:
    async def main() -> None:
        work, seen = Work(), []

        async def consume() -> None:
            async for result in in_flight(breaking(), work, room, ordered=ordered):
                seen.append(result)
                assert len(work.alive) <= room

        with pytest.raises(ValueError, match="no more"):
            await consume()
        assert sorted(seen) == list(range(ITEMS))
        assert not ordered or seen == sorted(seen)

    run(main())


@pytest.mark.parametrize("ordered", [False, True])
def test_a_consumer_that_is_cancelled_leaves_nothing(ordered: bool) -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        for turns in range(60):
            work = Work()

            async def consume(work: Any = work) -> None:
                async for _ in in_flight(breaking(), work, 4, ordered=ordered):
                    pass

            consuming = asyncio.ensure_future(consume())
            await asyncio.sleep(0.0007 * turns)
            for _ in range(turns % 7):
                await asyncio.sleep(0)
            consuming.cancel()
            await asyncio.wait([consuming])
            assert work.alive == set()
            assert asyncio.all_tasks() == before

    run(main())


def test_endless_items_are_closed_when_they_are_abandoned() -> None:
    closed: list[str] = []

    async def endless() -> AsyncIterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
        finally:
            closed.append("closed")

    async def main() -> None:
        work = Work()
        async with aclosing(in_flight(endless(), work, 4, ordered=False)) as results:  # type: ignore[type-var]
            async for result in results:
                if result > 20:
                    break
        assert closed == ["closed"]
        assert work.alive == set()

    run(main())
