"""Lease for threads: the right to use one plugin of a pool for a while."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any, Protocol, Self, TypeVar

import grpc

from ferrule._contexts import BlockingContext
from ferrule._host.plugin_info import PluginInfo
from ferrule.pool import PluginSpec, PoolError
from ferrule.pool.policy import Plugin
from ferrule.sync.pool.channel import LeasedChannel
from ferrule.sync.pool.kept import KeptLease

__all__ = ["Lease"]

Stub = TypeVar("Stub")

Place = tuple[CodeType, int]
"""A line of a program."""


class Leases(Protocol):
    """Where leases come from, and go back to."""

    def kept_lease(self, spec: PluginSpec, place: Place | None) -> KeptLease | None: ...

    def new_lease(self, spec: PluginSpec, priority: int, timeout: float | None, place: Place | None) -> KeptLease: ...

    def give_back(self, spec: PluginSpec, kept: KeptLease) -> None: ...

    def idle_of(self, plugin: Plugin) -> int: ...

    def age_of(self, plugin: Plugin) -> float: ...


class Lease(BlockingContext):
    """The right to use one plugin of a pool, from entry to exit of `with`.

    `PluginPool.lease` makes one; it is used once. Any number of calls may be made with it, by any number of threads. A
    lease that is dropped without an exit is given back when it is collected.
    """

    __slots__ = ("_kept", "_leases", "_place", "_priority", "_timeout", "spec")

    def __init__(
        self,
        leases: Leases,
        spec: PluginSpec,
        priority: int,
        timeout: float | None,
        place: Place | None,
    ) -> None:
        self.spec = spec
        self._leases = leases
        self._priority = priority
        self._timeout = timeout
        self._place = place
        self._kept: KeptLease | None = None

    def __enter__(self) -> Self:
        if self._kept is not None:
            raise PoolError("the lease was used before", "Ask the pool for another lease.", "pool.lease-used")
        leases = self._leases
        self._kept = leases.kept_lease(self.spec, self._place) or leases.new_lease(
            self.spec, self._priority, self._timeout, self._place
        )
        return self

    def __exit__(self, *exc_info: object) -> None:
        kept, self._kept = self._held, None
        self._leases.give_back(self.spec, kept)

    def __repr__(self) -> str:
        state = "not begun, or ended" if self._kept is None else f"pid {self.pid}"
        return f"<Lease of {self.spec.name!r}: {state}>"

    @property
    def _held(self) -> KeptLease:
        if self._kept is None:
            raise PoolError("the lease has not begun, or has ended", "Use it within `with`.", "pool.no-lease")
        return self._kept

    @property
    def client(self) -> PluginInfo:
        """The plugin's client, for its facts: `pid`, `exit_status`, `stderr_tail`, `traffic` and the like.

        The client is a `ferrule.client.RPCPluginClient` of the pool's own loop: its coroutines are for that loop alone.
        Calls go through `channel`.
        """
        client: Any = self._held.channel.client
        return client  # type: ignore[no-any-return]

    @property
    def channel(self) -> LeasedChannel:
        """The blocking channel to the plugin, for stubs; one object per plugin."""
        return self._held.channel

    def stub(self, kind: Callable[[grpc.Channel], Stub]) -> Stub:
        """The stub of a class, made once per plugin."""
        stub: Stub = self._held.channel.stub(kind)
        return stub

    @property
    def pid(self) -> int:
        """The plugin's process."""
        pid: Any = self.client.pid
        return int(pid)

    @property
    def age(self) -> float:
        """Seconds since the plugin became ready."""
        return self._leases.age_of(self._held.plugin)

    @property
    def is_shared(self) -> bool:
        """Whether others have leases of the plugin at this moment."""
        plugin = self._held.plugin
        return len(plugin.holds) - self._leases.idle_of(plugin) > 1

    @property
    def calls(self) -> int:
        """Leases that the plugin has had, as its pool counts them: one that is kept for the next thread counts once."""
        return self._held.plugin.calls
