"""The registry of the loops' mailboxes: threads with loops of their own come and go."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from unittest.mock import Mock

import pytest

from ferrule import _mailbox as registry
from ferrule._core import Arrival
from ferrule._mailbox import mailbox, outcome, resume

THREADS = 8
LOOPS = 60


@pytest.fixture
def eager_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_switches")
def test_threads_open_and_abandon_loops_at_the_same_time() -> None:
    failures: list[BaseException] = []

    async def open_one() -> None:
        mailbox()

    def work() -> None:
        try:
            for _ in range(LOOPS):
                # Held until others have looked for what is closed.
                loop = asyncio.new_event_loop()
                loop.run_until_complete(open_one())
                loop.close()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is what this looks for.
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    gc.collect()
    asyncio.run(open_one())
    assert [loop for loop in registry._mailboxes if loop.is_closed()] == []


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_tasks_go_on_while_one_before_them_runs_their_loop(depth: int) -> None:
    """As in notebooks, whose cells run inside a loop that runs: the one before may wait for those behind it."""
    soon: deque[Callable[[], object]] = deque()
    loop = Mock(call_soon=lambda callback, *args: soon.append(lambda: callback(*args)))
    order: list[str] = []

    def task(number: int) -> Callable[[object], None]:
        def go_on(_: object) -> None:
            order.append(f"{number} goes on")
            while number < depth and soon:
                soon.popleft()()
            order.append(f"{number} ends")

        return go_on

    resume([(task(number), Arrival(loop), None) for number in range(5)])
    begun, ended = [f"{number} goes on" for number in range(depth)], [f"{number} ends" for number in range(depth)]
    rest = [f"{number} {what}" for number in range(depth, 5) for what in ("goes on", "ends")]
    assert order == begun + rest + ended[::-1]


def test_wait_that_outlives_its_loop_ends_without_a_word() -> None:
    """A coroutine that is collected after its loop was closed: nobody awaits it, so that its errors are printed."""
    futures: list[asyncio.Future[None]] = []
    waiting = outcome(lambda _mailbox, future: futures.append(future))

    async def begin() -> None:
        waiting.send(None)
        # As a task would: the loop is to tell it of the end.
        futures[0].add_done_callback(print)

    asyncio.run(begin())
    waiting.close()
