"""What the parts of the driver ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from ferrule.pool.aio.accounts import Accounts
from ferrule.pool.aio.resources import Resources
from ferrule.pool.calls import PluginCalls
from ferrule.pool.clock import Clock
from ferrule.pool.policy import Plugin, Policy
from ferrule.pool.tracing import Tracer

__all__ = ["CallerOfPool", "Home"]


class CallerOfPool(Protocol):
    """What a process and its calls ask for."""

    clock: Clock

    @property
    def retry_unsent(self) -> bool:
        """Whether a call that had not begun is made again."""

    def is_here(self) -> bool:
        """Whether the caller is on the thread of the pool's loop, which runs."""

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs something that is over before the pool is."""

    def run_soon(self, callback: Callable[[], object]) -> None:
        """Has the pool's loop call a function; on any thread."""

    def lost(self, plugin: Plugin, error: Exception) -> None:
        """The plugin's process has ended, or does not answer."""

    async def lease_for_call(self, plugin: Plugin, timeout: float | None) -> tuple[PluginCalls, Callable[[], None]]:
        """Leases the plugin that serves in place of one that was lost; the second value gives the lease back."""

    def outcome_unknown(self, plugin: Plugin, method: str) -> None:
        """Tells of a call that had begun and was lost."""


class Home(CallerOfPool, Protocol):
    """What the tasks of a pool ask for."""

    accounts: Accounts
    resources: Resources
    tracer: Tracer | None

    @property
    def policy_now(self) -> Policy:
        """The policy of a pool that was opened."""

    def carry_out(self) -> None:
        """Does what the policy asks for."""
