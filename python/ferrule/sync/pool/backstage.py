"""Backstage: what a blocking pool has behind it, without which leases and channels do not need the pool itself."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from types import CodeType
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from ferrule.pool import Lease as LoopLease
from ferrule.pool import OutcomeUnknown, PluginSpec
from ferrule.pool import PluginPool as LoopPool
from ferrule.pool.policy import Plugin
from ferrule.pool.policy.refusals import closed
from ferrule.sync.pool.channel import LeasedChannel
from ferrule.sync.pool.counts import CallCounts
from ferrule.sync.pool.kept import KeptLease, KeptLeases
from ferrule.sync.pool.lease import Lease
from ferrule.sync.pool.loop_thread import LoopThread, ThreadEnded
from ferrule.sync.pool.plugin import PooledClient

__all__ = ["Backstage"]

Result = TypeVar("Result")


class Backstage:
    """The asyncio pool of a blocking one, open on its thread, and the leases that are kept.

    Args:
        pool: The pool, not open yet.
    """

    def __init__(self, pool: LoopPool) -> None:
        self.pool: Final = pool
        self.thread: Final = LoopThread()
        self._counts = CallCounts()
        self._kept = KeptLeases(self.thread, self._counts.settle)
        self._channels: WeakKeyDictionary[PooledClient, LeasedChannel] = WeakKeyDictionary()
        self._closing: Future[None] | None = None
        # Held for moments, never for a wait. Reentrant: a signal's handler may close the pool.
        self._lock = threading.RLock()
        self._owner = pool._driver.owner
        try:
            self.thread.run(pool.__aenter__)
        except BaseException:
            self.thread.stop()
            raise

    @property
    def belongs_to_parent(self) -> bool:
        """Whether the pool is that of the process of which this one is a fork."""
        return self._owner.is_forked

    @property
    def retry_unsent(self) -> bool:
        """Whether a call that had not begun is made again."""
        return self.pool.limits.retry_unsent

    @property
    def is_closing(self) -> bool:
        """Whether no more leases are to be had."""
        return self._closing is not None

    # Leases.

    def kept_lease(self, spec: PluginSpec, place: tuple[CodeType, int] | None) -> KeptLease | None:
        """A lease that is kept; None if there is none."""
        return self._kept.take(spec, place)

    def new_lease(
        self, spec: PluginSpec, priority: int, timeout: float | None, place: tuple[CodeType, int] | None
    ) -> KeptLease:
        """A lease from the policy, when one is to be had."""
        return self.run(lambda: self._lease(LoopLease(self.pool._driver, spec, priority, timeout, place)))

    def give_back(self, spec: PluginSpec, kept: KeptLease) -> None:
        """Ends a lease."""
        if not self.belongs_to_parent:
            self._kept.put(spec, kept)

    def idle_of(self, plugin: Plugin) -> int:
        """How many leases of a plugin are used by nobody, and not given back yet."""
        return self._kept.idle_of(plugin)

    def age_of(self, plugin: Plugin) -> float:
        """Seconds since a plugin became ready."""
        return 0.0 if plugin.ready_at is None else self.pool._driver.clock.now() - plugin.ready_at

    def lease_for_call(self, spec: PluginSpec, timeout: float | None) -> Lease:
        """A lease for a call whose plugin was lost."""
        return Lease(self, spec, 0, timeout, None)

    def count(self, plugin: Plugin, method: str, seconds: float, error: Exception | None) -> None:
        """Counts a call that has ended, and tells the subscribers of one whose outcome is not known."""
        self._counts.add(plugin, method, seconds, error)
        if isinstance(error, OutcomeUnknown):
            self.thread.call(self.pool._driver.outcome_unknown, plugin, method)

    def wait_exited(self, client: PooledClient, limit: float) -> bool:
        """Waits until a client's plugin has ended, at most some seconds; whether it has."""
        try:
            exited = self.thread.begin(client.wait_exited)
            try:
                self.thread.outcome(exited, limit)
            except TimeoutError:
                exited.cancel()
                return False
        except ThreadEnded:
            # And all plugins before it.
            return True
        return True

    async def _lease(self, lease: LoopLease) -> KeptLease:
        entering = asyncio.ensure_future(lease.__aenter__())
        try:
            await asyncio.sleep(0)
            if not entering.done():
                self._kept.want(lease.spec)
                try:
                    await entering
                finally:
                    self._kept.have(lease.spec)
            return self._kept.new(await entering, self._channel(lease))
        except BaseException:
            entering.cancel()
            if entering.done() and not entering.cancelled() and entering.exception() is None:
                await lease.__aexit__(None, None, None)
            raise

    def _channel(self, lease: LoopLease) -> LeasedChannel:
        client = lease.client
        channel = self._channels.get(client)
        if channel is None:
            plugin = lease._held.plugin
            channel = LeasedChannel(client.sync_channel, client, plugin, plugin.entry.spec, self)
            self._channels[client] = channel
        return channel

    # The pool.

    def check(self) -> None:
        """Checks that there is a pool to ask.

        Raises:
            PoolError: It is closed, or belongs to the parent of this process.
        """
        if self.belongs_to_parent:
            raise self._owner.refusal()
        if self._closing is not None:
            raise closed()

    def run(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Does something on the loop, and waits for its end; an interrupt cancels it.

        Raises:
            PoolError: As `check`, also where the pool is closed meanwhile; or this is the loop's own thread.
        """
        self.check()
        try:
            return self.thread.run(work)
        except ThreadEnded:
            raise closed() from None

    def settle(self) -> None:
        """Gives all leases back that nobody uses, and counts the calls so far; on the loop's thread."""
        self._kept.end_all()
        self._counts.settle()

    def close(self, timeout: float, *, force: bool, limit: float | None = None) -> None:
        """Ends all plugins and the thread. An interrupt ends the wait, and the next call waits for the rest.

        Args:
            timeout: Seconds that leases may go on.
            force: Whether they are revoked now, also those of a closing that is under way.
            limit: Seconds to wait; default None, without limit.
        """
        # The handler of a signal that was here in between may have closed it all.
        with contextlib.suppress(ThreadEnded):
            with self._lock:
                if self._closing is None or (force and not self._closing.done()):
                    self._kept.close()
                    self._closing = self.thread.begin(lambda: self.pool.close(timeout, force=force))
                closing = self._closing
            while True:
                self.thread.outcome(closing, limit)
                with self._lock:
                    if closing is self._closing:
                        break
                    # Another thread has forced it meanwhile, and needs the loop to hear of the end.
                    closing = self._closing
        self.thread.stop()

    def abandon(self) -> None:
        """Ends all plugins and the thread, and waits for nothing."""
        self._kept.close()
        self.thread.call(self._end_all)

    def _end_all(self) -> None:
        async def ending() -> None:
            try:
                await self.pool.close(force=True)
            finally:
                self.thread.stop_loop()

        self._ending = self.thread.loop.create_task(ending())
