"""One run of a router over nodes in memory, and its books: what callers were told, and what was done."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from ferrule.pool import OutcomeUnknown
from ferrule.ray import NodeLost
from ferrule.ray.router import Router, Task
from ferrule.ray.router.messages import Admit, Go
from router.memory_transport import MemoryLease, MemoryTransport, Trouble
from router.virtual_time import VirtualClock


async def work(lease: MemoryLease, number: int, seconds: float) -> int:
    """What all tasks do."""
    return await lease.work(number, seconds)


@dataclass
class Told:
    """The answer to one task."""

    write: bool
    key: str
    asked: float
    at: float
    value: Any = None
    error: BaseException | None = None


_IN_DOUBT = (OutcomeUnknown, asyncio.CancelledError)


class Scenario:
    """A router and its nodes.

    Args:
        transport: The nodes.
        in_flight: Tasks at once per node.
    """

    def __init__(self, transport: MemoryTransport, in_flight: int = 4, max_waiting: int = 1000) -> None:
        self.transport = transport
        self.router = Router(transport, in_flight_per_node=in_flight, max_waiting=max_waiting, _clock=VirtualClock())
        self.told: dict[int, Told] = {}
        self._numbers = 0

    async def ask(
        self, key: str, *, write: bool = True, seconds: float = 0.02, exclusive: bool = False, **limits: float
    ) -> Told:
        """What one task's caller is told."""
        number = self._numbers = self._numbers + 1
        asked = asyncio.get_running_loop().time()
        task = Task(
            key=key.encode(),
            spec=key,
            function=work,
            args=(number, seconds),
            idempotent=not write,
            exclusive=exclusive,
            **{"wait": 300.0, **limits},
        )
        value: Any = None
        error: BaseException | None = None
        try:
            value = await self.router.run(task)
        except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001 - part of the books.
            error = raised
        told = self.told[number] = Told(write, key, asked, asyncio.get_running_loop().time(), value, error)
        if isinstance(error, asyncio.CancelledError):
            raise error
        return told

    def check(self) -> None:
        """Nothing done twice, nothing told that is not so, nothing done without a word."""
        journal = self.transport.journal
        may_have_begun = self._given_a_go()
        for number, told in self.told.items():
            done = journal.of(number)
            if told.error is None:
                assert told.value == number
                assert any(doing.ended for doing in done)
            if told.write:
                assert len(done) <= 1, f"{number} was begun {len(done)} times"
                # An error that says that nothing has begun is true.
                assert done == [] or told.error is None or isinstance(told.error, _IN_DOUBT)
                # No caller has to look for a write that cannot have begun.
                assert not isinstance(told.error, OutcomeUnknown) or number in may_have_begun
        assert {doing.number for doing in journal.doings} <= self.told.keys()

    def _given_a_go(self) -> set[int]:
        """The writes that a node was told to begin."""
        messages = [message for _, message in self.transport.messages]
        ours = [message for message in messages if isinstance(message, Admit) and message.function is work]
        number_by_task = {message.task: message.args[0] for message in ours}
        begun = {message.task for message in messages if isinstance(message, Go)}
        return {number_by_task[task] for task in begun & number_by_task.keys()}

    def check_fences(self) -> None:
        """No write that was asked for after a loss began while an earlier one of its key went on at the lost node."""
        journal = self.transport.journal
        for number, told in self.told.items():
            if isinstance(told.error, NodeLost):
                for earlier in journal.of(number):
                    for later in journal.doings:
                        other = self.told[later.number]
                        if other.key == told.key and other.write and other.asked >= told.at:
                            assert earlier.stopped is not None
                            assert earlier.stopped <= later.began


@contextlib.asynccontextmanager
async def scenario(
    *names: str, seed: int = 1, trouble: Trouble | None = None, in_flight: int = 4, max_waiting: int = 1000
) -> AsyncIterator[Scenario]:
    """A router that is open, over nodes of these names; its books are checked in the end."""
    transport = MemoryTransport(random.Random(seed), trouble)
    running = Scenario(transport, in_flight, max_waiting)
    for name in names:
        transport.add(name)
    await running.router.open()
    await asyncio.sleep(1.0)
    try:
        yield running
    finally:
        transport.trouble = Trouble()
        await running.router.close(timeout=60.0)
    running.check()
