"""Owner: the one event loop of the one process that a pool belongs to."""

from __future__ import annotations

import asyncio
import os
from asyncio import _get_running_loop

from ferrule._weak_set import WeakSet
from ferrule.pool.errors import PoolError
from ferrule.pool.policy.refusals import closed

__all__ = ["Owner"]

_owners: WeakSet[Owner] = WeakSet()


class Owner:
    """The event loop on which a pool was opened, and whether it may still be used there.

    Attributes:
        loop: The loop while the pool is open and this process is not a fork of the one that opened it; else None.
    """

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.is_forked = False
        self._process_id: int | None = None
        self._is_closed = False

    def open(self) -> None:
        """Binds the pool to the running loop.

        Raises:
            PoolError: It was open before.
        """
        if self._process_id is not None:
            raise PoolError("the pool was opened before", "Make a pool for each `async with`.", "pool.opened-before")
        self.loop = asyncio.get_running_loop()
        self._process_id = os.getpid()
        _owners.add(self)

    def close(self) -> None:
        """Has later uses fail."""
        self._is_closed = True
        self.loop = None

    def is_here(self) -> bool:
        """Whether the caller is on the thread of the loop, which runs."""
        return self.loop is not None and _get_running_loop() is self.loop

    def refusal(self) -> PoolError:
        """Why the pool cannot be used here."""
        if self.is_forked:
            message = f"the pool belongs to process {self._process_id}, of which this one is a fork"
            return PoolError(message, "Fork before a plugin is started: the plugins are the parent's.", "pool.forked")
        if self._is_closed:
            return closed()
        if self._process_id is None:
            return PoolError("the pool is not open", "Use `async with pool`.", "pool.not-open")
        hint = "Open a pool in each event loop, or use ferrule.sync.PluginPool from several threads."
        return PoolError("the pool belongs to another event loop", hint, "pool.other-loop")


def _after_fork() -> None:
    for owner in _owners:
        owner.is_forked = True
        owner.loop = None


os.register_at_fork(after_in_child=_after_fork)
