"""PluginPool: plugins by spec, started when they are wanted, shared, watched, stopped when they are not."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from ferrule._contexts import AsyncContext
from ferrule._finalizers import finalizer
from ferrule._mailbox import cannot_await
from ferrule.pool import arguments
from ferrule.pool.aio.driver import Driver
from ferrule.pool.aio.lease import Lease
from ferrule.pool.aio.process import Launcher, launch
from ferrule.pool.aio.statistics import pool_stats
from ferrule.pool.clock import Clock, LoopClock
from ferrule.pool.events import PoolEvent
from ferrule.pool.limits import Limits
from ferrule.pool.machine import ProcessMeter, SystemMeter
from ferrule.pool.measures import MeasuresByName, PoolStats
from ferrule.pool.spec import PluginSpec
from ferrule.pool.tracing import Tracer

if TYPE_CHECKING:
    from ferrule.pool.metrics_socket import MetricsSocket

__all__ = ["PluginPool"]

CLOSE_SECONDS: Final = 30.0
"""How long leases may go on after `close`, unless it says otherwise."""

WARM_AT_ONCE: Final = 16
"""Specs that `warm` waits for at once: the start slots do the rest, and the queue stays short."""

LOWEST_PRIORITY: Final = -(2**31)

Result = TypeVar("Result")


class PluginPool(AsyncContext):
    """Plugins of any number of specs, each started when somebody wants it and shared by all who do.

    A pool may be made anywhere, and opens with `async with`, once, on one event loop. In a forked child it does
    nothing: the plugins are the parent's.

    Args:
        limits: What the plugins may use together; default `Limits()`.
        name: The pool's name in logs and measures.
        metrics_socket: Whether `ferrule top` may ask the pool, on a socket that is this user's alone: True, or the path
            of the socket; default False, only where the variable `FERRULE_POOL_SOCKET` names one.

    Attributes:
        name (str): As given.

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
        metrics_socket: bool | str | os.PathLike[str] = False,
        _clock: Clock | None = None,
        _random: random.Random | None = None,
        _launcher: Launcher = launch,
        _meter: ProcessMeter | None = None,
    ) -> None:
        limits = Limits() if limits is None else arguments.checked_limits(limits)
        self.name = arguments.checked_name(name)
        self._metrics_socket = arguments.checked_socket(metrics_socket)
        self._listening: MetricsSocket | None = None
        self._driver = Driver(limits, _clock or LoopClock(), _launcher, _random, _meter or SystemMeter())

    @property
    def limits(self) -> Limits:
        """The limits; in an open pool with numbers where the machine's were asked for."""
        return self._driver.limits

    def __repr__(self) -> str:
        driver = self._driver
        if driver.owner.loop is None:
            return f"<PluginPool {self.name!r}: {driver.owner.refusal().message}>"
        policy = driver.policy_now
        leases = sum(len(plugin.holds) for plugin in policy.live)
        return f"<PluginPool {self.name!r}: {len(policy.live)} plugins, {leases} leases, {policy.waiting} waiting>"

    @property
    def measures(self) -> MeasuresByName:
        """What the pool counts, for exporters."""
        return self._driver.accounts.measures

    @property
    def tracer(self) -> Tracer | None:
        """What is told of each lease and each start; default None."""
        return self._driver.tracer

    @tracer.setter
    def tracer(self, tracer: Tracer | None) -> None:
        self._driver.tracer = tracer

    async def __aenter__(self) -> Self:
        self._driver.open()
        if self._metrics_socket or os.environ.get(arguments.SOCKET_VARIABLE):
            try:
                await self._listen()
            except BaseException:
                await self._driver.close(0, force=True)
                raise
        return self

    async def _listen(self) -> None:
        # Most programs do without.
        from ferrule.pool.metrics_socket import open_socket

        name, driver = self.name, self._driver
        self._listening = await open_socket(self._metrics_socket, lambda: pool_stats(name, driver).to_dict())
        if self._listening is not None:
            self._driver.at_close = self._listening.close

    async def __aexit__(self, *exc_info: object) -> None:
        driver = self._driver
        if cannot_await(exc_info[0], driver.owner.loop):
            driver.abandon()
            if self._listening is not None:
                self._listening.abandon()
            return
        await self.close()

    @finalizer
    def __del__(self) -> None:
        # A refused argument leaves an object without a driver.
        driver: Driver | None = getattr(self, "_driver", None)
        if driver is not None and driver.is_open:
            message = f"the pool {self.name!r} was never closed: it is closed now, with its plugins"
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)
            driver.run_soon(driver.close_forgotten)

    def lease(self, spec: PluginSpec, *, priority: int = 0, timeout: float | None = None) -> Lease:
        """A lease of the spec's plugin, for `async with`.

        Args:
            spec: The plugin.
            priority: Those with a higher one are served first; default 0.
            timeout: Seconds to wait; default None, `Limits.acquire_timeout`.

        Entering it raises:
            LeaseTimeout: No lease was to be had in time.
            PoolFull: Too many wait already.
            PluginUnavailable: The plugin does not start, or has crashed too often.
            PoolError: The pool is closed, or belongs to another event loop or process.
            ConfigError: Another spec shares the process, and has another logger, other targets of output or promises.

        Raises:
            ConfigError: An argument does not fit.
        """
        frame = sys._getframe(1)
        return Lease(self._driver, spec, priority, timeout, (frame.f_code, frame.f_lineno))

    def run(
        self,
        spec: PluginSpec,
        function: Callable[..., Awaitable[Result]],
        *args: Any,
        priority: int = 0,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, Result]:
        """Awaits `function(lease, *args)` with a lease of the spec's plugin, once.

        Args:
            spec: The plugin.
            function: What is awaited; `functools.partial` gives it keywords.
            args: What it is given after the lease.
            priority: As of `lease`.
            timeout: As of `lease`: the time of the function does not count.

        Raises:
            ConfigError: An argument does not fit, or the function returned something that cannot be awaited.
        """
        # No coroutine function: the place of the lease is where it is called, not the event loop.
        arguments.checked_function(function)
        frame = sys._getframe(1)
        return _run(Lease(self._driver, spec, priority, timeout, (frame.f_code, frame.f_lineno)), function, args)

    async def warm(self, specs: Iterable[PluginSpec], *, timeout: float | None = None) -> None:
        """Starts the plugins of these specs in order, after those who wait for leases, and returns when all are ready.

        A start that has begun goes on if the caller is cancelled.

        Args:
            specs: The plugins.
            timeout: Seconds to wait for each; default None, `Limits.acquire_timeout`.

        Raises:
            ExceptionGroup: Some do not start, with the error of each; the others are ready.
        """
        rest, errors = iter(arguments.checked_specs(specs)), []

        async def some() -> None:
            for spec in rest:
                try:
                    async with Lease(self._driver, spec, LOWEST_PRIORITY, timeout, None, warm=True):
                        pass
                except Exception as error:  # noqa: BLE001 - all are told of at the end.
                    error.add_note(f"plugin {spec.name!r}")
                    errors.append(error)

        await asyncio.gather(*(some() for _ in range(WARM_AT_ONCE)))
        if errors:
            raise ExceptionGroup(f"{len(errors)} plugins of pool {self.name!r} are not ready", errors)

    async def evict(self, spec: PluginSpec, *, force: bool = False) -> None:
        """Has the spec's plugin take no more leases, and end; the next lease gets a fresh one.

        Args:
            spec: The plugin.
            force: Whether its leases are revoked, so that their calls end with `LeaseRevoked`; default False, the
                plugin ends after them.
        """
        self._driver.evict(arguments.checked_spec(spec), force=arguments.checked_force(force))

    def resize(self, limits: Limits) -> None:
        """Has other limits hold from now on. No lease ends by it.

        Raises:
            ConfigError: The machine has no room for as many plugins.
        """
        self._driver.resize(arguments.checked_limits(limits))

    def stats(self) -> PoolStats:
        """The pool at this moment, and what it has counted since it was opened. Any thread may ask."""
        return pool_stats(self.name, self._driver)

    def subscribe(self, on_event: Callable[[PoolEvent], object]) -> Callable[[], None]:
        """Has a function called with each event, at once and on the loop's thread; returns what ends that.

        An exception of the function is logged.
        """
        return self._driver.subscribers.add(arguments.checked_subscriber(on_event))

    async def close(self, timeout: float = CLOSE_SECONDS, *, force: bool = False) -> None:
        """Refuses leases, ends all plugins at once, each by its own ladder, and returns when nothing is left.

        May be called any number of times, at any moment; every call returns when nothing is left. A call that is
        cancelled has the plugins end at once, and leaves the wait for their end to others.

        Args:
            timeout: Seconds that leases may go on before they are revoked; default 30.
            force: Whether they are revoked now, so that their calls end with `LeaseRevoked`; default False.
        """
        await self._driver.close(arguments.checked_seconds(timeout), force=arguments.checked_force(force))


async def _run(lease: Lease, function: Callable[..., Awaitable[Result]], args: tuple[Any, ...]) -> Result:
    async with lease:
        result: Result = await arguments.checked_awaitable(function(lease, *args))
        return result
