"""PoolActor: a node's pool of plugins, as an actor of Ray.

Messages arrive on the loop of the concurrency group `work`, heartbeats on that of `admin`, each with a thread of its
own: a function that blocks its loop does not silence the node.
"""

from __future__ import annotations

import asyncio
import os
import time
import traceback
from collections.abc import Callable
from typing import Any

from ferrule.pool import Limits, PluginPool
from ferrule.pool.clock import Timer
from ferrule.pool.errors import PoolError
from ferrule.ray.binaries import BinaryStore, Program, ShippedSpec, prepare
from ferrule.ray.router import FENCE_AFTER, Agent, Answer, Beat, Fence, Message, Pulse, watch
from ferrule.ray.router.messages import Failed

__all__ = ["CONCURRENCY_GROUPS", "PoolActor"]

CONCURRENCY_GROUPS = {"admin": 100, "work": 10_000}
"""Calls at once. The router keeps far below: what waits in Ray's queues may be lost with the node."""


class _NodeClock:
    """A clock that goes on while the machine is suspended, for leases of time; timers of the running loop."""

    @staticmethod
    def now() -> float:
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(max(0.0, when - self.now()), callback)


class PoolActor:
    """The plugins of one node.

    Args:
        name: The node's name, for errors.
        limits: What the node's plugins may use together.
        store: Where programs are kept; None where each node has its own.
    """

    def __init__(self, name: str, limits: Limits | None, store: BinaryStore | None) -> None:
        self._name = name
        self._limits = limits
        self._store = store
        clock = _NodeClock()
        self._clock = clock
        self._fence = Fence(clock.now, FENCE_AFTER)
        self._agent = Agent(self._open_pool, self._fence, clock, self._prepare)
        self._work_loop: asyncio.AbstractEventLoop | None = None
        self._watching: asyncio.Task[None] | None = None

    # Group `admin`.

    async def ready(self) -> int:
        """The actor's process."""
        return os.getpid()

    async def beat(self, beat: Beat) -> Pulse:
        """A heartbeat."""
        if self._watching is None:
            watching = watch(
                self._fence, self._clock, lambda: self._agent.is_idle, self._obey_fence, lambda: os._exit(1)
            )
            self._watching = asyncio.get_running_loop().create_task(watching)
        if self._work_loop is not None and not self._work_loop.is_running():
            # A task that a function left behind has ended it, by SystemExit: what runs here will have no answer.
            os._exit(1)
        self._fence.renew(beat)
        return Pulse(self._clock.now(), self._fence.epoch, self._fence.is_up(), self._agent.figures())

    async def _obey_fence(self) -> None:
        assert self._work_loop is not None
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._agent.obey_fence(), self._work_loop))

    # Group `work`.

    async def handle(self, message: Message) -> Answer:
        """The answer to a message of the router."""
        self._work_loop = asyncio.get_running_loop()
        answer = await self._agent.handle(message)
        return Failed(_told(answer.error, self._name)) if isinstance(answer, Failed) else answer

    async def store(self, program: Program, chunks: list[Any]) -> None:
        """Keeps a program that this node lacks; the chunks are references to objects."""
        assert self._store is not None
        await self._store.store(program, chunks)

    async def _open_pool(self) -> PluginPool:
        return await PluginPool(self._limits, name=self._name).__aenter__()

    async def _prepare(self, shipped: ShippedSpec) -> Any:
        return await prepare(shipped, self._store)


def _told(error: BaseException, node: str) -> BaseException:
    """An error that can be sent, with the node's traceback as a note."""
    from ray import cloudpickle

    lines = "".join(traceback.format_exception(error)).rstrip()
    try:
        sent: BaseException = cloudpickle.loads(cloudpickle.dumps(error))
    except Exception:  # noqa: BLE001 - whatever its own code raises.
        # The text of an error may raise, too.
        text = traceback.format_exception_only(error)[-1].strip()
        sent = PoolError(text, "This kind of exception cannot be pickled.", "ray.failed")
    sent.add_note(f"On node {node}:\n{lines}")
    return sent
