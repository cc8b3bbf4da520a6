"""PluginPool for threads: plugins by spec, started when they are wanted, shared, stopped when they are not."""

from __future__ import annotations

import atexit
import contextlib
import functools
import inspect
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Final, Self, TypeVar

from ferrule._contexts import BlockingContext
from ferrule._finalizers import finalizer
from ferrule._gevent import refuse_greenlets
from ferrule._weak_set import WeakSet
from ferrule.pool import Limits, PluginSpec, PoolError, PoolEvent
from ferrule.pool import PluginPool as LoopPool
from ferrule.pool.aio.pool import CLOSE_SECONDS
from ferrule.pool.arguments import checked_specs
from ferrule.pool.measures import MeasuresByName, PoolStats
from ferrule.sync.pool.backstage import Backstage
from ferrule.sync.pool.lease import Lease

__all__ = ["PluginPool"]

Result = TypeVar("Result")

_EXIT_SECONDS: Final = 5.0
"""Seconds for the pools that are open at the end of the interpreter."""


class PluginPool(BlockingContext):
    """Plugins of any number of specs, each started when somebody wants it and shared by all who do.

    The names are those of `ferrule.pool.PluginPool`; what is awaited there blocks the calling thread here. Any number
    of threads may use a pool. Ctrl-C ends each wait. A thread of the pool's own, `ferrule-pool`, runs its loop: on it
    specs' `on_start` is awaited and subscribers are called.

    A pool opens with `with` or `open()`. In a forked child it belongs to the parent, and cannot be used.

    Args:
        limits: What the plugins may use together; default `Limits()`.
        name: The pool's name in logs and measures.
        metrics_socket: Whether `ferrule top` may ask the pool, as of `ferrule.pool.PluginPool`; default False.

    Raises:
        RPCPluginError: gevent has made threads greenlets.

    Example:
        >>> from ferrule.pool import PluginSpec
        >>> from ferrule.sync import PluginPool
        >>> from ferrule.testing import KV_CONFIG, KVStub, kv_pb2, plugin_command
        >>> kv = PluginSpec(plugin_command(), KV_CONFIG, name="kv")
        >>> with PluginPool() as pool, pool.lease(kv) as lease:
        ...     _ = lease.stub(KVStub).Put(kv_pb2.PutRequest(key="colour", value=b"green"))
        ...     lease.stub(KVStub).Get(kv_pb2.GetRequest(key="colour")).value
        b'green'
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        name: str = "pool",
        metrics_socket: bool | str | os.PathLike[str] = False,
        **private: Any,
    ) -> None:
        refuse_greenlets("the blocking pool")
        self._pool = LoopPool(limits, name=name, metrics_socket=metrics_socket, **private)
        self._backstage: Backstage | None = None
        # Reentrant: the handler of a signal may open the pool that it interrupts.
        self._opening = threading.RLock()

    @property
    def limits(self) -> Limits:
        """What the plugins may use together."""
        return self._pool.limits

    @property
    def name(self) -> str:
        """The pool's name."""
        return self._pool.name

    @property
    def measures(self) -> MeasuresByName:
        """What the pool counts, for exporters."""
        return self._pool.measures

    def __repr__(self) -> str:
        return repr(self._pool)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @finalizer
    def __del__(self) -> None:
        backstage: Backstage | None = getattr(self, "_backstage", None)
        if backstage is not None and not backstage.is_closing and not backstage.belongs_to_parent:
            message = f"the pool {self.name!r} was never closed: it is closed now, with its plugins"
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)
            backstage.abandon()

    def open(self) -> None:
        """Starts the pool's thread. Does nothing if it is open."""
        with self._opening:
            if self._backstage is None:
                self._backstage = Backstage(self._pool)
                _close_at_exit()
                _open.add(self)

    def lease(self, spec: PluginSpec, *, priority: int = 0, timeout: float | None = None) -> Lease:
        """A lease of the spec's plugin, for `with`.

        Args:
            spec: The plugin.
            priority: Those with a higher one are served first; default 0.
            timeout: Seconds to wait; default None, `Limits.acquire_timeout`.

        Entering it raises:
            LeaseTimeout: No lease was to be had in time.
            PoolFull: Too many wait already.
            PluginUnavailable: The plugin does not start, or has crashed too often.
            PoolError: The pool is closed or belongs to the parent of this process, or its own thread asks.
            ConfigError: Another spec shares the process, and has another logger, other targets of output or promises.
        """
        frame = sys._getframe(1)
        return Lease(self._opened, spec, priority, timeout, (frame.f_code, frame.f_lineno))

    def run(
        self,
        spec: PluginSpec,
        function: Callable[..., Result],
        *args: Any,
        priority: int = 0,
        timeout: float | None = None,
    ) -> Result:
        """Calls `function(lease, *args)` with a lease of the spec's plugin, once, in the calling thread.

        Args:
            spec: The plugin.
            function: What is called; `functools.partial` gives it keywords.
            args: What it is given after the lease.
            priority: As of `lease`.
            timeout: As of `lease`: the time of the function does not count.
        """
        frame = sys._getframe(1)
        with Lease(self._opened, spec, priority, timeout, (frame.f_code, frame.f_lineno)) as lease:
            return function(lease, *args)

    def warm(self, specs: Iterable[PluginSpec], *, timeout: float | None = None) -> None:
        """Starts the plugins of these specs in order, after those who wait for leases, and returns when all are ready.

        Args:
            specs: The plugins.
            timeout: Seconds to wait for each; default None, `Limits.acquire_timeout`.

        Raises:
            ExceptionGroup: Some do not start, with the error of each; the others are ready.
        """
        wanted = checked_specs(specs)
        self._on_loop(lambda: self._pool.warm(wanted, timeout=timeout))

    def evict(self, spec: PluginSpec, *, force: bool = False) -> None:
        """Has the spec's plugin take no more leases, and end; the next lease gets a fresh one.

        Args:
            spec: The plugin.
            force: Whether its leases are revoked, so that their calls end with `LeaseRevoked`; default False, the
                plugin ends after them.
        """
        self._on_loop(lambda: self._pool.evict(spec, force=force))

    def resize(self, limits: Limits) -> None:
        """Has other limits hold from now on. No lease ends by it.

        Raises:
            ConfigError: The machine has no room for as many plugins.
        """
        self._on_loop(lambda: self._pool.resize(limits))

    def stats(self) -> PoolStats:
        """The pool at this moment, and what it has counted since it was opened. Leases that are kept count as ended."""
        try:
            stats: PoolStats = self._on_loop(self._pool.stats)
        except (PoolError, RuntimeError):
            # A closed pool, or the parent's, still has what it counted: it must not fail all that is scraped with it.
            stats = self._pool.stats()
        return stats

    def subscribe(self, on_event: Callable[[PoolEvent], object]) -> Callable[[], None]:
        """Has a function called with each event, at once and on the pool's thread; returns what ends that.

        The function must not wait for the pool.
        """
        return self._pool.subscribe(on_event)

    def close(self, timeout: float = CLOSE_SECONDS, *, force: bool = False) -> None:
        """Refuses leases, ends all plugins at once, each by its own ladder, and returns when nothing is left.

        Any thread may close a pool, any number of times. An interrupt ends the wait alone: the closing goes on, and
        the next call waits for the rest. Does nothing in a forked child.

        Args:
            timeout: Seconds that leases may go on before they are revoked; default 30.
            force: Whether they are revoked now, so that their calls end with `LeaseRevoked`; default False.
        """
        backstage = self._backstage
        if backstage is not None and not backstage.belongs_to_parent:
            backstage.close(timeout, force=force)
            _open.discard(self)

    @property
    def _opened(self) -> Backstage:
        if self._backstage is None:
            raise PoolError("the pool is not open", "Use `with pool`, or call open() first.", "pool.not-open")
        return self._backstage

    def _on_loop(self, work: Callable[[], Any]) -> Any:
        backstage = self._opened

        async def settled() -> Any:
            backstage.settle()
            result = work()
            return await result if inspect.isawaitable(result) else result

        return backstage.run(settled)


_open: WeakSet[PluginPool] = WeakSet()


@functools.cache
def _close_at_exit() -> None:
    """Has pools that were never closed end with the interpreter."""
    atexit.register(_close_all)


def _close_all() -> None:
    for pool in _open:
        backstage = pool._backstage
        if backstage is not None and not backstage.belongs_to_parent:
            with contextlib.suppress(Exception):
                backstage.close(0.0, force=True, limit=_EXIT_SECONDS)
