"""What a call asks of its plugin's calls, and these of their pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ferrule import _core
    from ferrule.client import RPCPluginClient
    from ferrule.pool.clock import Clock
    from ferrule.pool.measures import PluginMeasures
    from ferrule.pool.spec import PluginSpec

__all__ = ["CallsOfPlugin", "Replacements"]


class CallsOfPlugin(Protocol):
    """The calls of one plugin, as one of them sees them."""

    core: _core.Channel
    client: RPCPluginClient
    spec: PluginSpec
    own: PluginMeasures
    clock: Clock
    replacements: Replacements
    live: set[Any]
    limit: float
    now: Callable[[], float]
    is_over: bool
    is_revoked: bool

    def keep_back(self, call: Any) -> None:
        """Takes a new call for which there is no room, or no plugin any more."""

    def send(self, call: Any) -> None:
        """Sends a call that comes from another plugin, now or when there is room for it."""

    def left(self, call: Any) -> None:
        """A call that was sent has ended, or was lost."""

    def forget(self, call: Any) -> None:
        """Takes a call out of those that are held back."""

    def ended(self, call: Any, method: str | bytes, status: str, since: float) -> None:
        """Counts a call that has ended for its caller; the next one may be sent."""


class Replacements(Protocol):
    """What calls want of their pool when their plugin is lost."""

    @property
    def retry_unsent(self) -> bool:
        """Whether a call that had not begun is made again."""

    async def lease_for_call(
        self, lost: CallsOfPlugin, timeout: float | None
    ) -> tuple[CallsOfPlugin, Callable[[], None]]:
        """Leases the plugin that serves in place of one that was lost; the second value gives the lease back.

        Raises:
            PoolError: There is none.
        """

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs something that is over before the pool is."""

    def run_soon(self, callback: Callable[[], object]) -> None:
        """Has the pool's loop call a function; on any thread."""

    def is_here(self) -> bool:
        """Whether the caller is on the thread of the pool's loop, which runs."""

    def suspect(self) -> None:
        """A call has got no answer within its deadline."""

    def outcome_unknown(self, calls: CallsOfPlugin, method: str) -> None:
        """Tells of a call that had begun and was lost."""
