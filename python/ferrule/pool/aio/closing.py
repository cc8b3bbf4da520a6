"""Closing: the end of a pool, in one task for all who ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from ferrule.pool.clock import Clock

__all__ = ["Closing"]


class _Workers(Protocol):
    async def ended(self, on_cancel: Callable[[], None]) -> None:
        """Returns when no task is left."""


class Closing:
    """Ends a pool: after its leases for some time, then without.

    Args:
        clock: The pool's time.
        workers: The tasks that must be over.
        end_plugins: Has all plugins end, after their leases or, if it is given True, now.
        leave: Gives back what the pool has of the machine; its end.
    """

    def __init__(
        self,
        clock: Clock,
        workers: _Workers,
        end_plugins: Callable[[bool], None],
        leave: Callable[[], Awaitable[None]],
    ) -> None:
        self._clock = clock
        self._workers = workers
        self._end_plugins = end_plugins
        self._leave = leave
        self._task: asyncio.Task[None] | None = None

    @property
    def is_done(self) -> bool:
        """Whether nothing is left."""
        return self._task is not None and self._task.done()

    async def run(self, timeout: float, *, force: bool) -> None:
        """Returns when nothing is left. Again: joins the first, and may force it.

        A caller who is cancelled waits no longer, and the leases are forced to end.
        """
        if self.is_done:
            return
        self._end_plugins(force)
        task = self._begun(timeout)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                self._end_plugins(True)
            raise

    def begin(self, timeout: float) -> None:
        """Has it end while nobody waits for it."""
        self._end_plugins(False)
        self._begun(timeout)

    def _begun(self, timeout: float) -> asyncio.Task[None]:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._finish(timeout), name="ferrule pool close")
        return self._task

    async def _finish(self, timeout: float) -> None:
        timer = self._clock.call_at(self._clock.now() + timeout, self._force)
        try:
            await self._workers.ended(on_cancel=self._force)
        finally:
            timer.cancel()
            await self._leave()

    def _force(self) -> None:
        self._end_plugins(True)
