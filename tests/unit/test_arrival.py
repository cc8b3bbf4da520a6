"""What a task awaits until bytes have come: asyncio's interface of a future, with its promises to callbacks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ferrule._core import Arrival, Stream


def make_arrival() -> Arrival:
    return Stream("unix", "/nobody/listens", None, asyncio.get_running_loop()).arrival(1)


class Asking:
    """A callback that does something when it is compared."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def __eq__(self, other: object) -> bool:
        self._act()
        return False

    __hash__ = None  # type: ignore[assignment]


async def test_callbacks_that_are_removed_are_not_called() -> None:
    called: list[str] = []
    arrival = make_arrival()
    first, second = (lambda _: called.append("first")), (lambda _: called.append("second"))
    for callback in (first, second, first):
        arrival.add_done_callback(callback)
    assert arrival.remove_done_callback(first) == 2
    arrival.cancel()
    await asyncio.sleep(0)
    assert called == ["second"]


async def test_an_end_amid_the_removal_of_another_callback_is_told() -> None:
    called: list[Arrival] = []
    arrival = make_arrival()
    arrival.add_done_callback(called.append)
    assert arrival.remove_done_callback(Asking(arrival.cancel)) == 0  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert called == [arrival]


async def test_a_comparison_that_fails_loses_no_callback() -> None:
    called: list[Arrival] = []
    arrival = make_arrival()
    arrival.add_done_callback(called.append)
    with pytest.raises(ZeroDivisionError):
        arrival.remove_done_callback(Asking(lambda: 1 // 0))  # type: ignore[arg-type]
    arrival.cancel()
    await asyncio.sleep(0)
    assert called == [arrival]
