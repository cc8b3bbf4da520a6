"""The registry of the loops' mailboxes: threads with loops of their own come and go."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator

import pytest

from ferrule import _mailbox as registry
from ferrule._mailbox import mailbox

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
