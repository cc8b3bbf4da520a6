"""Lease: the right to use one plugin of a pool for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc.aio

from ferrule._contexts import AsyncContext
from ferrule._finalizers import finalizer
from ferrule.client import RPCPluginClient
from ferrule.pool.aio.driver import Driver, Place
from ferrule.pool.arguments import checked_priority, checked_seconds, checked_spec
from ferrule.pool.errors import PoolError
from ferrule.pool.policy import Hold
from ferrule.pool.spec import PluginSpec
from ferrule.pool.tracing import tell

if TYPE_CHECKING:
    from ferrule.pool.aio.process import PooledProcess
    from ferrule.pool.tracing import Tracer

__all__ = ["Lease"]

Stub = TypeVar("Stub")


class Lease(AsyncContext):
    """The right to use one plugin of a pool, from entry to exit of `async with`.

    `PluginPool.lease` makes one; it is used once. Any number of calls may be made with it, one after the other or at
    once. A plugin that dies meanwhile stays the lease's: calls that had not begun are made with its replacement.

    Attributes:
        spec (PluginSpec): The plugin's spec.
    """

    __slots__ = ("_driver", "_hold", "_place", "_priority", "_timeout", "_trace", "_warm", "spec")

    def __init__(
        self,
        driver: Driver,
        spec: PluginSpec,
        priority: int,
        timeout: float | None,
        place: Place,
        *,
        warm: bool = False,
    ) -> None:
        # Most leases are of a spec, at the default priority and with the default timeout.
        if type(spec) is not PluginSpec or priority != 0 or timeout is not None:
            spec, priority = checked_spec(spec), checked_priority(priority)
            timeout = None if timeout is None else checked_seconds(timeout)
        self.spec = spec
        self._driver = driver
        self._priority = priority
        self._timeout = timeout
        self._place = place
        self._warm = warm
        self._hold: Hold | None = None
        self._trace: tuple[Tracer, Any] | None = None

    async def __aenter__(self) -> Self:
        if self._hold is not None:
            raise _used_before()
        driver = self._driver
        if driver.tracer is not None:
            return await self._enter_traced(driver.tracer)
        hold = driver.lease_now(self.spec, self._place)
        if hold is None:
            hold = await driver.lease_later(self.spec, self._priority, self._timeout, self._place, warm=self._warm)
            self._begin(hold)
        else:
            self._hold = hold
        return self

    def _begin(self, hold: Hold) -> None:
        if self._hold is not None:
            # Two tasks have entered it at once.
            self._driver.give_back(hold)
            raise _used_before()
        self._hold = hold

    async def _enter_traced(self, tracer: Tracer) -> Self:
        driver, spec = self._driver, self.spec
        span = tell(tracer.lease_asked, str(spec.name), self._priority)
        try:
            hold, asked_at = driver.lease_now(spec, self._place), driver.clock.now()
            if hold is None:
                hold = await driver.lease_later(
                    spec, self._priority, self._timeout, self._place, warm=self._warm, span=span
                )
            self._begin(hold)
        except BaseException as error:
            tell(tracer.lease_ended, span, error)
            raise
        self._trace = tracer, span
        ready_at = hold.plugin.ready_at
        tell(tracer.lease_granted, span, hold.plugin.driver.pid, cold=ready_at is not None and ready_at >= asked_at)
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if self._hold is not None:
            self._driver.give_back(self._hold)
        if self._trace is not None:
            tracer, span = self._trace
            tell(tracer.lease_ended, span, error)

    @finalizer
    def __del__(self) -> None:
        # An __init__ that raised leaves an object without this attribute.
        hold: Hold | None = getattr(self, "_hold", None)
        if hold is not None and not hold.ended:
            self._driver.leaked(hold)
            if self._trace is not None:
                tracer, span = self._trace
                tell(tracer.lease_ended, span, None)

    def __repr__(self) -> str:
        hold = self._hold
        state = "not begun" if hold is None else "ended" if hold.ended else f"pid {hold.plugin.driver.pid}"
        return f"<Lease of {self.spec.name!r}: {state}>"

    @property
    def client(self) -> RPCPluginClient:
        """The client of the plugin, also after the lease. It is the pool's: do not close it."""
        return self._process_of(self._begun).client

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel to the plugin, for stubs: one object per plugin, always Ferrule's own."""
        return self._process.channel

    def stub(self, kind: Callable[[grpc.aio.Channel], Stub]) -> Stub:
        """The stub of a class, made once per plugin."""
        hold = self._hold
        # The way of most calls, without the properties.
        process = self._process if hold is None or hold.ended else hold.plugin.driver
        stub: Stub = process.stub(kind)
        return stub

    @property
    def pid(self) -> int:
        """The plugin's process, also after the lease."""
        pid = self._process_of(self._begun).pid
        assert pid is not None
        return pid

    @property
    def age(self) -> float:
        """Seconds since the plugin became ready."""
        ready_at = self._held.plugin.ready_at
        return 0.0 if ready_at is None else self._driver.clock.now() - ready_at

    @property
    def is_shared(self) -> bool:
        """Whether others have leases of the plugin at this moment."""
        return len(self._held.plugin.holds) > 1

    @property
    def calls(self) -> int:
        """Leases that the plugin has had, this one included."""
        return self._held.plugin.calls

    @property
    def _begun(self) -> Hold:
        if self._hold is None:
            raise PoolError("the lease has not begun", "Use it within `async with`.", "pool.no-lease")
        return self._hold

    @property
    def _held(self) -> Hold:
        hold = self._begun
        if hold.ended:
            raise PoolError("the lease has ended", "Use it within `async with`.", "pool.no-lease")
        return hold

    @property
    def _process(self) -> PooledProcess:
        return self._process_of(self._held)

    @staticmethod
    def _process_of(hold: Hold) -> PooledProcess:
        process: PooledProcess = hold.plugin.driver
        return process


def _used_before() -> PoolError:
    return PoolError("the lease was used before", "Ask the pool for another lease.", "pool.lease-used")
