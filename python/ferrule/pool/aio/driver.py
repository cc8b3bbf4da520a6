"""Driver: carries out what the policy of one pool decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import CodeType
from typing import Any

from ferrule.client import RPCPluginClient
from ferrule.pool.aio.process import Launcher, PooledProcess
from ferrule.pool.clock import Clock, Timer
from ferrule.pool.errors import PoolError
from ferrule.pool.events import PoolEvent
from ferrule.pool.key import key_of
from ferrule.pool.limits import Limits
from ferrule.pool.policy import (
    Abandon,
    Command,
    Configure,
    Entry,
    Grant,
    Hold,
    Plugin,
    Policy,
    Refuse,
    Revoke,
    Start,
    State,
    Stop,
    Tell,
)
from ferrule.pool.spec import PluginSpec

__all__ = ["Driver"]


class _Slots:
    """Start slots of this pool alone."""

    def __init__(self, number: int) -> None:
        self._free = number

    def take(self) -> bool:
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    def give(self) -> None:
        self._free += 1


class Driver:
    """Carries out what the policy of one pool decides, on the event loop that opened the pool.

    Args:
        limits: The pool's limits.
        clock: The time.
        launcher: Makes the clients.
    """

    def __init__(self, limits: Limits, clock: Clock, launcher: Launcher) -> None:
        self.limits = limits
        self.subscribers: list[Callable[[PoolEvent], object]] = []
        self._clock = clock
        self._launcher = launcher
        self._policy = Policy(limits, _Slots(limits.start_slots or 2))
        self._entry_by_spec: dict[PluginSpec, Entry] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: Timer | None = None
        self._is_carrying_out = False

    def open(self) -> None:
        """Binds the pool to the running loop."""
        self._loop = asyncio.get_running_loop()

    def evict(self, spec: PluginSpec) -> None:
        """Has the spec's plugin end after its leases."""
        entry = self._entry_by_spec.get(spec)
        if entry is not None:
            self._policy.evict(entry, self._clock.now())
            self._carry_out()

    async def close(self, *, force: bool) -> None:
        """Ends all plugins, and returns when nothing is left."""
        self._policy.close(self._clock.now(), force=force)
        self._carry_out()
        while self._tasks:
            await asyncio.wait(self._tasks)

    # Leases.

    def lease_now(self, spec: PluginSpec, place: tuple[CodeType, int] | None) -> Hold | None:
        """A lease, if one is to be had without waiting."""
        entry = self._entry_by_spec.get(spec)
        if entry is None:
            if self._loop is None:
                raise PoolError("the pool is not open", "Use `async with pool`.", "pool.not-open")
            entry = self._entry_by_spec[spec] = self._policy.entry(key_of(spec), spec)
        return self._policy.lease_now(entry, self._clock.now(), place)

    async def lease_later(
        self, spec: PluginSpec, priority: int, timeout: float | None, place: tuple[CodeType, int] | None
    ) -> Hold:
        """A lease, when one is to be had."""
        policy, now = self._policy, self._clock.now()
        deadline = now + (self.limits.acquire_timeout if timeout is None else timeout)
        waiter = policy.wait(self._entry_by_spec[spec], priority, deadline, now, place)
        granted: asyncio.Future[Hold] = asyncio.get_running_loop().create_future()
        waiter.driver = granted
        self._carry_out()
        try:
            return await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                policy.give_back(granted.result(), self._clock.now())
            else:
                policy.withdraw(waiter, self._clock.now())
            self._carry_out()
            raise

    def give_back(self, hold: Hold) -> None:
        """Ends a lease."""
        self._policy.give_back(hold, self._clock.now())
        if self._policy.commands:
            self._carry_out()

    # What the policy asks for.

    def _carry_out(self) -> None:
        if self._is_carrying_out:
            return
        self._is_carrying_out = True
        try:
            while self._policy.commands:
                self._carry_out_one(self._policy.commands.popleft())
        finally:
            self._is_carrying_out = False
        self._set_timer()

    def _carry_out_one(self, command: Command) -> None:
        match command:
            case Grant(waiter, hold):
                self._resolve(waiter.driver, lambda future: future.set_result(hold), hold)
            case Refuse(waiter, error):
                self._resolve(waiter.driver, lambda future: future.set_exception(error), None)
            case Start(plugin):
                process = plugin.driver = PooledProcess(self._launcher(plugin.entry.spec))
                process.starting = self._spawn(self._start(plugin, process))
            case Configure(plugin):
                plugin.driver.starting = self._spawn(self._configure(plugin, plugin.driver))
            case Abandon(plugin):
                plugin.driver.starting.cancel()
            case Stop(plugin, _):
                self._spawn(self._stop(plugin, plugin.driver.client))
            case Revoke():
                pass
            case Tell(event):
                for subscriber in list(self.subscribers):
                    subscriber(event)

    def _resolve(self, future: Any, settle: Callable[[Any], None], hold: Hold | None) -> None:
        if not future.done():
            settle(future)
        elif hold is not None:
            self._policy.give_back(hold, self._clock.now())

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _start(self, plugin: Plugin, process: PooledProcess) -> None:
        try:
            await process.client.start()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - those who wait are told.
            await process.client.close()
            self._policy.failed(plugin, _told(error), self._clock.now())
        else:
            self._policy.launched(plugin, self._clock.now())
            self._spawn(self._watch(plugin, process.client))
        self._carry_out()

    async def _configure(self, plugin: Plugin, process: PooledProcess) -> None:
        on_start = plugin.entry.spec.on_start
        assert on_start is not None
        try:
            await on_start(process.client)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - those who wait are told.
            await process.client.shutdown_plugin()
            await process.client.close()
            self._policy.failed(plugin, _told(error), self._clock.now())
        else:
            self._policy.configured(plugin, self._clock.now())
        self._carry_out()

    async def _watch(self, plugin: Plugin, client: RPCPluginClient) -> None:
        await client.wait_exited()
        if plugin.state in {State.READY, State.LEASED, State.DRAINING}:
            self._policy.exited(plugin, self._clock.now())
            self._carry_out()

    async def _stop(self, plugin: Plugin, client: RPCPluginClient) -> None:
        try:
            await client.shutdown_plugin()
        finally:
            await client.close()
            self._policy.stopped(plugin, self._clock.now())
            self._carry_out()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        when = self._policy.next_time()
        if when is not None:
            self._timer = self._clock.call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._policy.tick(self._clock.now())
        self._carry_out()


def _told(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else PoolError("the start was given up", None, "pool.abandoned")
