"""Lease: the right to use one plugin of a pool for a while."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc.aio

from ferrule.client import RPCPluginClient
from ferrule.errors import RPCPluginError
from ferrule.pool.policy import Hold

if TYPE_CHECKING:
    from ferrule.pool.aio.driver import Driver
    from ferrule.pool.spec import PluginSpec

__all__ = ["Lease"]

Stub = TypeVar("Stub")


class Lease:
    """The right to use one plugin of a pool, from entry to exit of `async with`.

    `PluginPool.lease` makes one; it is used once. Any number of calls may be made with it, one after the other or at
    once.
    """

    __slots__ = ("_driver", "_hold", "_place", "_priority", "_timeout", "spec")

    def __init__(
        self,
        driver: Driver,
        spec: PluginSpec,
        priority: int,
        timeout: float | None,
        place: tuple[CodeType, int] | None,
    ) -> None:
        self.spec = spec
        self._driver = driver
        self._priority = priority
        self._timeout = timeout
        self._place = place
        self._hold: Hold | None = None

    async def __aenter__(self) -> Self:
        hold = self._driver.lease_now(self.spec, self._place)
        if hold is None:
            hold = await self._driver.lease_later(self.spec, self._priority, self._timeout, self._place)
        self._hold = hold
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._driver.give_back(self._held)

    @property
    def _held(self) -> Hold:
        if self._hold is None:
            raise RPCPluginError("the lease has not begun", "Use it within `async with`.", "pool.no-lease")
        return self._hold

    @property
    def client(self) -> RPCPluginClient:
        """The client of the plugin. It is the pool's: do not close it."""
        client: RPCPluginClient = self._held.plugin.driver.client
        return client

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel to the plugin, for stubs; one object per plugin."""
        channel: grpc.aio.Channel = self._held.plugin.driver.channel
        return channel

    def stub(self, kind: Callable[[grpc.aio.Channel], Stub]) -> Stub:
        """The stub of a class, made once per plugin."""
        stub: Stub = self._held.plugin.driver.stub(kind)
        return stub

    @property
    def pid(self) -> int:
        """The plugin's process."""
        pid: Any = self.client.pid
        return int(pid)

    @property
    def is_shared(self) -> bool:
        """Whether others have leases of the plugin at this moment."""
        return len(self._held.plugin.holds) > 1

    @property
    def calls(self) -> int:
        """Leases that the plugin has had, this one included."""
        return self._held.plugin.calls
