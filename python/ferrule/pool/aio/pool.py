"""PluginPool: plugins by spec, started when they are wanted, shared, watched, stopped when they are not."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Concatenate, ParamSpec, Self, TypeVar

from ferrule.pool.aio.driver import Driver
from ferrule.pool.aio.lease import Lease
from ferrule.pool.aio.process import Launcher, launch
from ferrule.pool.clock import Clock, LoopClock
from ferrule.pool.events import PoolEvent
from ferrule.pool.limits import Limits
from ferrule.pool.spec import PluginSpec

__all__ = ["PluginPool"]

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class PluginPool:
    """Plugins of any number of specs, each started when somebody wants it and shared by all who do.

    A pool may be made anywhere, and opens with `async with` on one event loop.

    Args:
        limits: What the plugins may use together; default `Limits()`.
        name: The pool's name in logs and measures.

    Example:
        >>> import asyncio
        >>> from ferrule.pool import PluginPool, PluginSpec
        >>> from ferrule.testing import KV_CONFIG, KVStub, kv_pb2, plugin_command
        >>> kv = PluginSpec(plugin_command(), KV_CONFIG, name="kv")
        >>> async def main():
        ...     async with PluginPool() as pool, pool.lease(kv) as lease:
        ...         await lease.stub(KVStub).Put(kv_pb2.PutRequest(key="colour", value=b"green"))
        ...         return (await lease.stub(KVStub).Get(kv_pb2.GetRequest(key="colour"))).value
        >>> asyncio.run(main())
        b'green'
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        name: str = "pool",
        _clock: Clock | None = None,
        _random: random.Random | None = None,
        _launcher: Launcher = launch,
    ) -> None:
        self.limits = limits or Limits()
        self.name = name
        self._driver = Driver(self.limits, _clock or LoopClock(), _launcher)

    async def __aenter__(self) -> Self:
        self._driver.open()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def lease(self, spec: PluginSpec, *, priority: int = 0, timeout: float | None = None) -> Lease:
        """A lease of the spec's plugin, for `async with`.

        Args:
            spec: The plugin.
            priority: Those with a higher one are served first; default 0.
            timeout: Seconds to wait; default None, `Limits.acquire_timeout`.
        """
        frame = sys._getframe(1)
        return Lease(self._driver, spec, priority, timeout, (frame.f_code, frame.f_lineno))

    async def run(
        self,
        spec: PluginSpec,
        function: Callable[Concatenate[Lease, Arguments], Awaitable[Result]],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Awaits `function(lease, *args, **kwargs)` with a lease of the spec's plugin."""
        async with self.lease(spec) as lease:
            return await function(lease, *args, **kwargs)

    async def warm(self, specs: Iterable[PluginSpec]) -> None:
        """Starts the plugins of these specs, with the lowest priority, and returns when all are ready."""

        async def one(spec: PluginSpec) -> None:
            async with self.lease(spec, priority=-100):
                pass

        await asyncio.gather(*(one(spec) for spec in specs))

    async def evict(self, spec: PluginSpec) -> None:
        """Has the spec's plugin end after its leases; the next lease gets a fresh one."""
        self._driver.evict(spec)

    def subscribe(self, on_event: Callable[[PoolEvent], object]) -> Callable[[], None]:
        """Has a function called with each event, at once and on the loop's thread; returns what ends that."""
        self._driver.subscribers.append(on_event)
        return lambda: self._driver.subscribers.remove(on_event)

    async def close(self, *, force: bool = False) -> None:
        """Ends all plugins, after their leases unless `force`, and returns when nothing is left."""
        await self._driver.close(force=force)
