"""Agent: the node's side of a router, over the node's own pool. An engine's actor hands it messages and heartbeats."""

from __future__ import annotations

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from ferrule.errors import LaunchError
from ferrule.pool.clock import Clock
from ferrule.pool.errors import PluginUnavailable, PoolError
from ferrule.ray.router import outcomes
from ferrule.ray.router.fence import SHUTDOWN_LADDER, Fence
from ferrule.ray.router.messages import (
    Admit,
    Admitted,
    Answer,
    Cancel,
    Failed,
    Finished,
    Go,
    Join,
    Joined,
    Message,
    Refused,
    Repeated,
    Run,
    Stop,
    Stopped,
)
from ferrule.ray.router.timing import sleep_until

__all__ = ["Agent", "LocalPool", "watch"]

ADMISSION_LIMIT = 30.0
"""Seconds that a lease is held for a `Go` that does not come: its router may be gone."""

REMEMBERED_TASKS = 10_000
"""Tasks that have begun and ended of which a repeated message is still known."""

IDLE_CHECK = 1.0
"""Seconds between two looks for an epoch to watch."""


class LocalPool(Protocol):
    """What an agent needs of the node's pool, a `PluginPool`."""

    def lease(self, spec: Any, *, priority: int, timeout: float | None) -> AbstractAsyncContextManager[Any]: ...

    async def close(self, *, force: bool = False) -> None: ...


class _Work:
    """One task on this node."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.admitted: asyncio.Future[None] = loop.create_future()
        self.go: asyncio.Future[None] = loop.create_future()
        self.has_begun = False
        self.runner: asyncio.Task[Answer]

    def expire(self) -> None:
        """Gives the lease back: the `Go` did not come."""
        self.go.cancel()


class Agent:
    """Does a router's work on one node, on one event loop.

    Args:
        open_pool: Makes the node's pool and opens it, for each epoch anew.
        fence: Until when the node may work.
        clock: The node's clock.
        prepare: What a spec becomes on this node; asked once per key and epoch.
    """

    def __init__(
        self,
        open_pool: Callable[[], Awaitable[LocalPool]],
        fence: Fence,
        clock: Clock,
        prepare: Callable[[Any], Awaitable[Any]],
    ) -> None:
        self._open_pool = open_pool
        self._fence = fence
        self._clock = clock
        self._prepare = prepare
        self.pool: LocalPool | None = None
        self._spec_by_key: dict[bytes, Any] = {}
        self._works: dict[int, _Work] = {}
        self._ended: OrderedDict[int, None] = OrderedDict()
        self._is_draining = False
        self._is_ending = False
        self._changing = asyncio.Lock()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is there that a fence would have to end."""
        return self.pool is None and not self._is_ending

    def figures(self) -> dict[str, Any]:
        """The node's figures."""
        # A copy: heartbeats come on another thread.
        works = list(self._works.values())
        begun = sum(work.has_begun for work in works)
        return {"admitted": len(works) - begun, "running": begun}

    async def handle(self, message: Message) -> Answer:
        """The answer to a message."""
        answer: Answer = Refused("fenced")
        if isinstance(message, Join):
            answer = await self._join(message)
        elif isinstance(message, Go):
            answer = await self._go(message)
        elif not self._fence.is_up(message.epoch):
            match message:
                case Admit():
                    answer = await self._admit(message)
                case Run():
                    answer = await self._run(message)
                case Cancel():
                    answer = self._cancel(message)
                case Stop():
                    answer = await self._stop(message)
        return answer

    def _cancel(self, message: Cancel) -> Answer:
        if work := self._works.get(message.task):
            work.runner.cancel()
        return Refused("cancelled")

    async def _stop(self, message: Stop) -> Answer:
        self._is_draining = True
        if not message.force and self._works:
            await asyncio.wait([work.runner for work in self._works.values()])
        async with self._changing:
            await self._end(force=message.force)
        return Stopped()

    async def obey_fence(self) -> None:
        """Ends all work and all plugins if the lease of time has ended, and returns when nothing is left."""
        async with self._changing:
            # A new epoch may have begun meanwhile.
            if self._fence.is_up():
                await self._end(force=True)

    async def _end(self, *, force: bool) -> None:
        self._is_ending = True
        try:
            await self._end_works_and_pool(force=force)
        finally:
            self._is_ending = False

    async def _end_works_and_pool(self, *, force: bool) -> None:
        self._fence.end()
        runners = [work.runner for work in self._works.values()]
        for runner in runners:
            runner.cancel()
        pool, self.pool = self.pool, None
        if pool is not None:
            await pool.close(force=force)
        if runners:
            await asyncio.wait(runners)
        self._spec_by_key.clear()

    async def _join(self, join: Join) -> Answer:
        async with self._changing:
            if join.epoch <= self._fence.epoch:
                return Refused("an epoch of the past")
            await self._end(force=True)
            self._is_draining = False
            if not self._fence.begin(join):
                return Refused("late")
            try:
                self.pool = await self._open_pool()
            except Exception as error:  # noqa: BLE001 - limits that this machine cannot hold, for example.
                return Failed(error)
            return Joined()

    # Work.

    async def _admit(self, message: Admit) -> Answer:
        work = self._works.get(message.task) or self._start(message)
        if not isinstance(work, _Work):
            return work
        futures: set[asyncio.Future[Any]] = {work.runner, work.admitted}
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        return Admitted() if work.admitted.done() and not work.admitted.cancelled() else await self._answer_of(work)

    async def _run(self, message: Run) -> Answer:
        work = self._works.get(message.task) or self._start(message)
        if not isinstance(work, _Work):
            return work
        if not work.go.done():
            work.go.set_result(None)
        return await self._answer_of(work)

    async def _go(self, message: Go) -> Answer:
        work = self._works.get(message.task)
        # Before any look at the fence: a repetition of what has begun is never told that it has not.
        if work is None or work.go.cancelled():
            return Repeated() if message.task in self._ended else Refused("no longer admitted")
        if not work.go.done() and self._fence.is_up(message.epoch):
            return Refused("fenced")
        if not work.go.done():
            # From this moment on the task counts as begun, whatever ends it.
            work.has_begun = True
            work.go.set_result(None)
        return await self._answer_of(work)

    async def _answer_of(self, work: _Work) -> Answer:
        # A message that is given up, or sent again, does not end the work of the others.
        await asyncio.wait({work.runner})
        return Refused("cancelled") if work.runner.cancelled() else work.runner.result()

    def _start(self, message: Admit | Run) -> _Work | Answer:
        if message.task in self._ended:
            return Repeated()
        if self._is_draining:
            return Refused("draining")
        work = self._works[message.task] = _Work()
        work.runner = asyncio.get_running_loop().create_task(self._perform(message, work))
        # Not in the coroutine: one that is cancelled before its first step never runs.
        work.runner.add_done_callback(lambda _: self._forget(message.task))
        return work

    def _forget(self, task: int) -> None:
        work = self._works.pop(task)
        work.admitted.cancel()
        work.go.cancel()
        if work.has_begun:
            self._ended[task] = None
            if len(self._ended) > REMEMBERED_TASKS:
                self._ended.popitem(last=False)

    async def _perform(self, message: Admit | Run, work: _Work) -> Answer:
        try:
            return await self._with_lease(message, work)
        except asyncio.CancelledError:
            if not work.has_begun:
                return Refused("cancelled")
            if isinstance(message, Run) and self._fence.is_up(message.epoch):
                # The node's end, and not the router's word for this task: it may go on elsewhere.
                return Repeated()
            return Failed(outcomes.revoked())
        except Exception as error:  # noqa: BLE001 - the caller is told.
            return Failed(error)
        except BaseException as error:  # noqa: BLE001 - SystemExit and its like would end the loop, and all work on it.
            return Failed(PoolError(f"the function raised {type(error).__name__}: {error}", None, "ray.failed"))

    async def _with_lease(self, message: Admit | Run, work: _Work) -> Answer:
        pool = self.pool
        if pool is None:
            return Refused("fenced")
        spec = self._spec_by_key.get(message.key)
        if spec is None:
            # One object per key, which the pool finds its plugin by.
            spec = self._spec_by_key.setdefault(message.key, await self._prepare(message.spec))
        try:
            return await self._in_lease(
                pool.lease(spec, priority=message.priority, timeout=message.wait), message, work
            )
        except (LaunchError, PluginUnavailable):
            if not work.admitted.done():
                # The program may be gone: then this says so.
                await self._prepare(message.spec)
            raise

    async def _in_lease(self, leasing: Any, message: Admit | Run, work: _Work) -> Answer:
        async with leasing as lease:
            if not work.admitted.done():
                work.admitted.set_result(None)
            expiry = self._clock.call_at(self._clock.now() + ADMISSION_LIMIT, work.expire)
            try:
                await work.go
            finally:
                expiry.cancel()
            if self._fence.is_up(message.epoch):
                work.has_begun = False
                return Refused("fenced")
            work.has_begun = True
            return Finished(await _awaitable(message.function, message.function(lease, *message.args)))


def _awaitable(function: Any, returned: Any) -> Awaitable[Any]:
    if not inspect.isawaitable(returned):
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(f"the function {name} returned {type(returned).__name__}, and must be async")
    return returned


async def watch(
    fence: Fence,
    clock: Clock,
    is_idle: Callable[[], bool],
    end: Callable[[], Awaitable[None]],
    exit_now: Callable[[], None],
) -> None:
    """Ends the node's work whenever its lease of time ends; has the process exit if that takes too long."""
    while True:
        if not fence.is_up():
            await sleep_until(clock, fence.until)
        elif is_idle():
            await sleep_until(clock, clock.now() + IDLE_CHECK)
        else:
            ending = asyncio.ensure_future(end())
            _, late = await asyncio.wait({ending}, timeout=SHUTDOWN_LADDER)
            if late:
                exit_now()
                return
