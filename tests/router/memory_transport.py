"""Nodes in this process, with all that can go wrong on the way to them and in them."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from ferrule.ray.router import Agent, Answer, Beat, Disconnected, Fence, Listener, Message, Node, Pulse, watch
from router.virtual_time import VirtualClock


@dataclass
class Trouble:
    """How bad the network is.

    Attributes:
        delay: Longest delay of a message, and of its answer, in seconds: they overtake each other.
        duplicated: Share of the messages that arrive twice.
        cut: Share of the messages whose connection breaks before they arrive.
        answer_cut: Share of the messages whose connection breaks before their answer arrives.
    """

    delay: float = 0.0
    duplicated: float = 0.0
    cut: float = 0.0
    answer_cut: float = 0.0


@dataclass
class Doing:
    """One stretch of work on a node."""

    number: int
    node: str
    key: str
    began: float
    stopped: float | None = None
    ended: bool = False


@dataclass
class MemoryJournal:
    """What really happened."""

    doings: list[Doing] = field(default_factory=list)

    def of(self, number: int) -> list[Doing]:
        """All that was done of one task."""
        return [doing for doing in self.doings if doing.number == number]


class NodeClock(VirtualClock):
    """The clock of a node; while the node is frozen no timer is seen, though time goes on."""

    def __init__(self) -> None:
        self.thawed = asyncio.Event()
        self.thawed.set()
        self._postponed: list[Callable[[], None]] = []

    def call_at(self, when: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        def due() -> None:
            if self.thawed.is_set():
                callback()
            else:
                self._postponed.append(lambda: None if timer.cancelled() else callback())

        timer = super().call_at(when, due)
        return timer

    def thaw(self) -> None:
        """Lets time be seen again: what was due meanwhile is called in its order."""
        self.thawed.set()
        postponed, self._postponed = self._postponed, []
        for callback in postponed:
            asyncio.get_running_loop().call_soon(callback)

    async def sleep(self, seconds: float) -> None:
        """A pause in the node's time."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_at(self.now() + seconds, lambda: None if over.done() else over.set_result(None))
        try:
            await over
        finally:
            timer.cancel()


@dataclass
class MemoryLease:
    """A lease of a plugin that does not exist."""

    node: MemoryNode
    spec: str

    async def work(self, number: int, seconds: float) -> int:
        """Takes time, and is written down."""
        doing = Doing(number, self.node.node.name, self.spec, self.node.clock.now())
        self.node.journal.doings.append(doing)
        try:
            await self.node.clock.sleep(seconds)
            doing.ended = True
        finally:
            doing.stopped = self.node.clock.now()
        return number


class MemoryPool:
    """A pool of plugins that take a moment to start, and another one to stop."""

    def __init__(self, node: MemoryNode) -> None:
        self.node = node
        self.plugins: set[str] = set()
        self.is_closed = False

    @contextlib.asynccontextmanager
    async def lease(self, spec: str, *, priority: int, timeout: float | None) -> AsyncIterator[MemoryLease]:
        if spec not in self.plugins:
            await self.node.clock.sleep(self.node.start_seconds)
            self.plugins.add(spec)
        yield MemoryLease(self.node, spec)

    async def close(self, *, force: bool = False) -> None:
        await self.node.clock.sleep(0.2)
        self.plugins.clear()
        self.is_closed = True


class MemoryNode:
    """One node: an agent, its fence, its pool."""

    def __init__(self, name: str, life: int, journal: MemoryJournal) -> None:
        self.node = Node(f"{name}/{life}", name)
        self.journal = journal
        self.clock = NodeClock()
        self.start_seconds = 0.05
        self.fence = Fence(self.clock.now)
        self.pools: list[MemoryPool] = []
        self.agent = Agent(self._open_pool, self.fence, self.clock, self._prepare)
        self.dead: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reachable = asyncio.Event()
        self.reachable.set()
        self.handling: set[asyncio.Task[Any]] = set()
        watching = watch(self.fence, self.clock, lambda: self.agent.is_idle, self.agent.obey_fence, self.die)
        self.watching = asyncio.get_running_loop().create_task(watching)

    async def _open_pool(self) -> MemoryPool:
        self.pools.append(MemoryPool(self))
        return self.pools[-1]

    async def _prepare(self, spec: str) -> str:
        return spec

    def die(self) -> None:
        """Ends the node's process."""
        if not self.dead.done():
            self.dead.set_result(None)
        for task in [*self.handling, *(work.runner for work in self.agent._works.values()), self.watching]:
            task.cancel()

    async def receive(self, message: Message | Beat) -> Any:
        """What the node answers, when it does."""
        await self.reachable.wait()
        await self.clock.thawed.wait()
        if self.dead.done():
            raise Disconnected("the process has ended")
        if isinstance(message, Beat):
            self.fence.renew(message)
            return Pulse(self.clock.now(), self.fence.epoch, self.fence.is_up(), self.agent.figures())
        answer = await self.agent.handle(message)
        await self.clock.thawed.wait()
        await self.reachable.wait()
        return answer


class MemoryTransport:
    """A transport without a network, and with its faults.

    Args:
        chosen: Where all chance comes from.
        trouble: How bad the network is; may be changed at any time.
        detection: Seconds after which a dead node is known to be dead.
    """

    def __init__(self, chosen: random.Random, trouble: Trouble | None = None, detection: float = 1.0) -> None:
        self.chosen = chosen
        self.trouble = trouble or Trouble()
        self.detection = detection
        self.journal = MemoryJournal()
        self.by_name: dict[str, MemoryNode] = {}
        self.messages: list[tuple[str, Message]] = []
        self._lives = 0
        self._listener: Listener | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    # The transport.

    async def open(self, listener: Listener) -> None:
        self._listener = listener
        for node in self.by_name.values():
            listener.joined(node.node)

    async def submit(self, node: Node, message: Message) -> Answer:
        self.messages.append((node.name, message))
        answer: Answer = await self._deliver(node, message)
        return answer

    async def heartbeat(self, node: Node, beat: Beat) -> Pulse:
        pulse: Pulse = await self._deliver(node, beat)
        return pulse

    async def close(self) -> None:
        for node in self.by_name.values():
            node.die()
        for task in self._tasks:
            task.cancel()
        left = [*self._tasks, *(node.watching for node in self.by_name.values())]
        if left:
            await asyncio.wait(left)

    # What may go wrong.

    def add(self, name: str) -> MemoryNode:
        """A node that joins."""
        self._lives += 1
        node = self.by_name[name] = MemoryNode(name, self._lives, self.journal)
        if self._listener is not None:
            self._listener.joined(node.node)
        return node

    def kill(self, name: str) -> None:
        """A node whose process ends at once; the router is told later."""
        node = self.by_name.pop(name)
        node.die()
        self._spawn(self._detect(node))

    async def _detect(self, node: MemoryNode) -> None:
        await asyncio.sleep(self.detection)
        if self._listener is not None:
            self._listener.lost(node.node, "its process has ended")

    async def _deliver(self, node: Node, message: Any) -> Any:
        there = self.by_name.get(node.name)
        if there is None or there.node != node:
            raise Disconnected("the node is gone")
        chance, trouble = self.chosen, self.trouble
        await asyncio.sleep(chance.uniform(0, trouble.delay))
        if chance.random() < trouble.cut:
            raise Disconnected("the connection broke")
        arrivals = [self._spawn(self._arrive(there, message))]
        if chance.random() < trouble.duplicated:
            arrivals.append(self._spawn(self._arrive(there, message, chance.uniform(0, 3 * trouble.delay))))
        done, _ = await asyncio.wait({*arrivals, there.dead}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(chance.uniform(0, trouble.delay))
        if there.dead in done:
            await asyncio.sleep(self.detection)
            raise Disconnected("the node died")
        if chance.random() < trouble.answer_cut:
            raise Disconnected("the connection broke")
        return done.pop().result()

    async def _arrive(self, node: MemoryNode, message: Any, later: float = 0.0) -> Any:
        await asyncio.sleep(later)
        task = asyncio.current_task()
        assert task is not None
        node.handling.add(task)
        try:
            return await node.receive(message)
        finally:
            node.handling.discard(task)

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._gone)
        return task

    def _gone(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()
