"""Driver: carries out what the policy of one pool decides."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from asyncio import _get_running_loop
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from types import CodeType
from typing import Any

from ferrule.pool.aio.accounts import Accounts
from ferrule.pool.aio.alarm import Alarm
from ferrule.pool.aio.closing import Closing
from ferrule.pool.aio.commands import Commands
from ferrule.pool.aio.directory import Directory
from ferrule.pool.aio.owner import Owner
from ferrule.pool.aio.process import Launcher
from ferrule.pool.aio.resources import Resources
from ferrule.pool.aio.subscribers import Subscribers
from ferrule.pool.aio.workers import Workers
from ferrule.pool.calls import PluginCalls
from ferrule.pool.clock import Clock
from ferrule.pool.errors import PoolError
from ferrule.pool.events import PoolEvent
from ferrule.pool.limits import Limits
from ferrule.pool.machine import ProcessMeter
from ferrule.pool.policy import Entry, Hold, Plugin, Policy, Waiter
from ferrule.pool.spec import PluginSpec
from ferrule.pool.tracing import Tracer, tell

__all__ = ["Driver", "Place"]

Place = tuple[CodeType, int] | None
"""Where a lease was taken: a code object and a line."""

_logger = logging.getLogger("ferrule.pool")


class Driver:
    """Carries out what the policy of one pool decides, on the event loop that opened the pool.

    Args:
        limits: The pool's limits.
        clock: The time.
        launcher: Makes the clients.
        source: The source of jitter.
        meter: Measures processes.

    Attributes:
        subscribers: Who is told of events.
        accounts: What is counted.
        tracer: Told of leases and starts.
        at_close: Awaited when the pool is closed and all plugins have ended.
        owner: Where the pool may be used.
    """

    def __init__(
        self, limits: Limits, clock: Clock, launcher: Launcher, source: random.Random | None, meter: ProcessMeter
    ) -> None:
        self.subscribers = Subscribers()
        self.accounts = Accounts()
        self.tracer: Tracer | None = None
        self.at_close: Callable[[], Awaitable[None]] | None = None
        self.owner = Owner()
        self.clock = clock
        self.is_here = self.owner.is_here
        self.resources = Resources(limits, clock.now, meter)
        self._source = source
        self._workers = Workers(self, launcher)
        self._commands = Commands(self._workers, self.subscribers, self.accounts, clock.now)
        self._policy: Policy | None = None
        self._directory = Directory(self._entry, self._replaced, self.accounts)
        self._known = self._directory.known
        self._now = clock.now
        self._alarm = Alarm(clock, self._tick)
        self._closing = Closing(clock, self._workers, self._end_plugins, self._leave)

    @property
    def policy(self) -> Policy:
        """The policy.

        Raises:
            PoolError: The pool cannot be used here.
        """
        if self._policy is None or not self.is_here():
            raise self.owner.refusal()
        return self._policy

    @property
    def policy_if_opened(self) -> Policy | None:
        """The policy, on any thread; None before the pool was opened."""
        return self._policy

    @property
    def policy_now(self) -> Policy:
        """The policy of a pool that was opened, also on another thread."""
        assert self._policy is not None
        return self._policy

    @property
    def limits(self) -> Limits:
        """The limits, with numbers where the machine's were asked for once the pool is open."""
        return self.resources.limits

    @property
    def retry_unsent(self) -> bool:
        """Whether a call that had not begun is made again."""
        return self.limits.retry_unsent

    def open(self) -> None:
        """Binds the pool to the running loop.

        Raises:
            PoolError: It was open before.
            ConfigError: The machine has no room for as many plugins.
        """
        limits = self.resources.resolved()
        self.owner.open()
        self.resources.join(limits, self._room_made)
        self._policy = Policy(limits, self.resources.slots, self.resources.memory, self._source)

    # Leases.

    def lease_now(self, spec: PluginSpec, place: Place) -> Hold | None:
        """A lease, if one is to be had without waiting."""
        policy, now = self._policy, self._now()
        loop = self.owner.loop
        if policy is None or loop is None or _get_running_loop() is not loop:
            raise self.owner.refusal()
        known = self._known.get(spec)
        if known is None or now >= known.until:
            known = self._directory.look_up(spec, now)
        hold = policy.lease_now(known.entry, now, place)
        if hold is not None:
            # The first bucket, without a look for it.
            known.waits.counts[0] += 1
        return hold

    async def lease_later(
        self,
        spec: PluginSpec,
        priority: int,
        timeout: float | None,
        place: Place,
        *,
        warm: bool = False,
        span: Any = None,
    ) -> Hold:
        """A lease, when one is to be had."""
        policy, now = self.policy, self._now()
        deadline = now + (self.limits.acquire_timeout if timeout is None else timeout)
        granted: asyncio.Future[Hold] = asyncio.get_running_loop().create_future()
        known = self._directory.look_up(spec, now)
        if span is not None and self.tracer is not None:
            tell(self.tracer.lease_waits, span, known.entry.key)
        try:
            waiter = policy.wait(known.entry, priority, deadline, now, place, warm=warm)
        except PoolError as error:
            self.accounts.refused(spec, 0.0, error)
            self.carry_out()
            raise
        waiter.driver = granted
        self.carry_out()
        try:
            return await granted
        except BaseException as error:
            now = self._now()
            self.accounts.refused(spec, now - waiter.since, error)
            if self.is_here():
                self._withdraw(waiter, granted, now)
            else:
                # A coroutine that is closed, or collected, elsewhere.
                self.run_soon(partial(self._withdraw, waiter, granted, now))
            raise

    def _withdraw(self, waiter: Waiter, granted: asyncio.Future[Hold], now: float) -> None:
        """The caller of a lease is gone, or was refused; the lease may have been granted in the same moment."""
        if not granted.cancelled() and granted.done() and granted.exception() is None:
            self.policy_now.decline(granted.result(), now)
        else:
            self.policy_now.withdraw(waiter, now)
        self.carry_out()

    def give_back(self, hold: Hold) -> None:
        """Ends a lease; on any thread."""
        loop = self.owner.loop
        if loop is None or _get_running_loop() is not loop:
            self.run_soon(lambda: self.give_back(hold))
            return
        policy, now = self._policy, self._now()
        if policy is None or hold.ended:
            return
        policy.give_back(hold, now)
        hold.plugin.driver.lease_use.add(now - hold.since)
        if policy.commands:
            self.carry_out()

    def leaked(self, hold: Hold) -> None:
        """A lease was garbage-collected and never given back; on any thread."""
        if not self.is_here():
            self.run_soon(lambda: self.leaked(hold))
            return
        spec = hold.plugin.entry.spec
        self.accounts.of(spec).leases_leaked += 1
        place = "" if hold.place is None else f"{hold.place[0].co_filename}:{hold.place[1]}"
        _logger.warning("a lease of plugin %r, taken at %s, was never given back: it is now", spec.name, place)
        self.subscribers.tell(
            PoolEvent("leaked", str(spec.name), hold.plugin.driver.pid, "collected", self._now(), place)
        )
        self.give_back(hold)

    # What processes ask for, as `Pool`.

    def lost(self, plugin: Plugin, error: Exception) -> None:
        """The plugin's process has ended, or does not answer; at any time, and again."""
        if self._policy is None or plugin.driver is None:
            return
        plugin.driver.end_calls(revoked=False)
        self._policy.exited(plugin, self._now(), error)
        self.carry_out()

    async def lease_for_call(self, plugin: Plugin, timeout: float | None) -> tuple[PluginCalls, Callable[[], None]]:
        """Leases the plugin that serves in place of one that was lost; the second value gives the lease back."""
        spec = plugin.entry.spec
        seconds = self.limits.acquire_timeout if timeout is None else min(timeout, self.limits.acquire_timeout)
        hold = self.lease_now(spec, None) or await self.lease_later(spec, 0, seconds, None)
        return hold.plugin.driver.calls, partial(self.give_back, hold)

    def outcome_unknown(self, plugin: Plugin, method: str) -> None:
        """Tells of a call that had begun and was lost."""
        spec, pid = plugin.entry.spec, plugin.driver.pid
        self.subscribers.tell(PoolEvent("call_unknown", str(spec.name), pid, "", self._now(), method))

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs something that is over before the pool is."""
        return self._workers.run(work)

    def run_soon(self, callback: Callable[[], object]) -> None:
        """Has the pool's loop call a function; on any thread."""
        loop = self.owner.loop
        # The loop may be closed, or close just now.
        with contextlib.suppress(RuntimeError):
            if loop is not None and not self.owner.is_forked:
                loop.call_soon_threadsafe(callback)

    # The pool.

    def evict(self, spec: PluginSpec, *, force: bool) -> None:
        """Has the spec's plugin end after its leases or, if forced, now."""
        now = self._now()
        policy = self.policy
        policy.evict(self._directory.look_up(spec, now).entry, now, force=force)
        self.carry_out()

    def resize(self, limits: Limits) -> None:
        """Has other limits hold from now on."""
        policy = self.policy
        limits = self.resources.resize(limits)
        policy.resize(limits, self._now())
        self.carry_out()

    async def close(self, timeout: float, *, force: bool) -> None:
        """Ends all plugins, after their leases for some time; returns when nothing is left. Again: joins the first."""
        if self.owner.is_forked or self._policy is None or self._closing.is_done:
            return
        if not self.is_here():
            raise self.owner.refusal()
        await self._closing.run(timeout, force=force)

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed the pool, and its loop is there."""
        loop = self.owner.loop
        return loop is not None and not loop.is_closed() and self._policy is not None and not self._policy.is_closing

    def close_forgotten(self) -> None:
        """Closes a pool that nobody has any more: after the leases that are held."""
        if self.is_open:
            self._closing.begin(self.limits.drain_timeout)

    def abandon(self) -> None:
        """Has all plugins end without waiting, for a pool whose loop runs no more."""
        if self.owner.is_forked or self._policy is None:
            return
        self.owner.close()
        for plugin in self._policy.live:
            if plugin.driver is not None:
                plugin.driver.abandon()
        self.resources.leave()

    def _end_plugins(self, force: bool) -> None:
        self.policy_now.close(self._now(), force=force)
        self.carry_out()

    async def _leave(self) -> None:
        self.carry_out()
        self._alarm.cancel()
        self.owner.close()
        self.resources.leave()
        if self.at_close is not None:
            await self.at_close()

    # What the policy asks for.

    def carry_out(self) -> None:
        """Does what the policy asks for, and has it called when it is due."""
        policy = self._policy
        if policy is not None and self._commands.carry_out(policy):
            self._set_alarm(policy)

    # Time, and what other pools give back.

    def _set_alarm(self, policy: Policy) -> None:
        times = [when for when in (policy.next_time(), self.resources.next_time()) if when is not None]
        self._alarm.set(min(times, default=None))

    def _tick(self) -> None:
        policy, now = self.policy_now, self._now()
        for plugin, private in self.resources.sampled():
            policy.measured(plugin, private, now)
        policy.tick(now)
        self.carry_out()

    def _room_made(self) -> None:
        """There is a slot for this pool, or memory; on any thread.

        Raises:
            RuntimeError: The loop is gone: the slot is another pool's.
        """
        if self.owner.loop is None:
            raise RuntimeError("the pool is closed")
        self.owner.loop.call_soon_threadsafe(self._pump)

    def _pump(self) -> None:
        self.policy_now.pump(self._now())
        self.carry_out()
        self.resources.slots.settle()

    def _entry(self, key: bytes, spec: PluginSpec) -> Entry:
        return self.policy.entry(key, spec)

    def _replaced(self, entry: Entry) -> None:
        """The program of an entry has changed on disk."""
        self.policy.evict(entry, self._now())
        self.carry_out()
