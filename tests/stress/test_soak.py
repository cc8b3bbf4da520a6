"""Many calls at changing concurrency, some of them cancelled at random: each of them ends, and nothing accumulates.

FERRULE_CALLS says how many (default 20,000; `make soak` makes 1,000,000), FERRULE_SEED repeats a run; with -s the
figures are shown.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from typing import Any

import pytest

from ferrule._mailbox import mailbox
from ferrule.channel import Channel, insecure_channel
from integration.bridge_program import LOOPS
from integration.usage import own_threads, thread_names
from stress.conftest import SEED
from stress.memory import MIB, resident_bytes
from waiting import until

CALLS = int(os.environ.get("FERRULE_CALLS", "20000"))
CONCURRENCY = (1, 2, 16, 64, 256)
ROUND = 2000
"""Calls until the concurrency changes."""
STUCK_AFTER = 20.0
"""Seconds without the end of a single call."""
CANCELLED_SHARE = 0.2

pytestmark = [pytest.mark.go, pytest.mark.timeout(3600)]


class Load:
    """Calls from several tasks, and a watch on whether they go on."""

    def __init__(self, channel: Channel, numbers: random.Random) -> None:
        self.ends: Counter[str] = Counter()
        self._numbers = numbers
        self._echo: Any = channel.unary_unary("/bench.Echo/Unary")
        self._stream: Any = channel.unary_stream("/bench.Echo/Stream")
        self._left = 0

    async def run(self, calls: int, concurrency: int) -> None:
        self._left = calls
        workers = asyncio.gather(*(self._work() for _ in range(concurrency)))
        while not workers.done():
            before = self.ends.total()
            await asyncio.wait([workers], timeout=STUCK_AFTER)
            assert workers.done() or self.ends.total() > before, f"no call has ended for {STUCK_AFTER} s: {self.ends}"
        await workers

    async def _work(self) -> None:
        while self._left > 0:
            self._left -= 1
            self.ends[await self._one()] += 1

    async def _one(self) -> str:
        numbers = self._numbers
        request = numbers.randbytes(numbers.choice((0, 16, 1000, 20_000)))
        call = self._echo(request)
        if numbers.random() >= CANCELLED_SHARE:
            assert await call == request
            return "answered"
        # At any moment: before it is sent, on its way out, on its way back, after its end.
        for _ in range(numbers.choice((0, 1, 2, 5, 20))):
            await asyncio.sleep(0)
        if not call.cancel():
            assert await call == request
            return "answered"
        try:
            await call
        except asyncio.CancelledError:
            assert call.cancelled()
            return "cancelled"
        raise AssertionError(call)


@pytest.mark.parametrize("loop_name", LOOPS)
def test_no_call_is_lost(loop_name: str, echo: str) -> None:
    print(f"FERRULE_SEED={SEED}")  # noqa: T201
    calls = CALLS // len(LOOPS)

    async def main() -> None:
        numbers = random.Random(SEED)
        async with insecure_channel(echo) as channel:
            load = Load(channel, numbers)
            await load.run(ROUND, max(CONCURRENCY))
            before, threads, begun = resident_bytes(), own_threads(), time.monotonic()
            while load.ends.total() < calls:
                await load.run(min(ROUND, calls - load.ends.total()), numbers.choice(CONCURRENCY))
            seconds, after = time.monotonic() - begun, resident_bytes()
            # The I/O thread counts the end of a cancelled call when its caller has gone on.
            await until(lambda: channel.stats()["calls_active"] == 0)
            stats = channel.stats()
            print(  # noqa: T201
                f"{loop_name}: {load.ends} in {seconds:.1f} s, resident {before / MIB:.1f} -> {after / MIB:.1f} MiB"
            )
        assert load.ends.total() == calls
        assert load.ends.keys() == {"answered", "cancelled"}
        assert stats["calls_started"] == calls
        assert stats["calls_succeeded"] + stats["calls_failed"] == calls
        assert stats["calls_active"] == 0
        assert stats["connections_opened"] == 1
        assert len(mailbox()) == 0
        assert own_threads() <= threads, thread_names()
        assert after - before < 16 * MIB

    with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
        runner.run(main())
