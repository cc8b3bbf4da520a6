"""PooledProcess: what the driver keeps with each plugin of the policy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import grpc.aio

from ferrule.client import RPCPluginClient
from ferrule.pool.spec import PluginSpec

__all__ = ["Launcher", "PooledProcess", "launch"]


class Launcher(Protocol):
    """Makes the client of a plugin, not started yet."""

    def __call__(self, spec: PluginSpec, /) -> RPCPluginClient: ...


def launch(spec: PluginSpec) -> RPCPluginClient:
    """The client of a spec's plugin, not started yet."""
    return RPCPluginClient(spec.command, spec.config)


class PooledProcess:
    """The client of one plugin, its stubs, and the tasks that start it, watch it and stop it."""

    def __init__(self, client: RPCPluginClient) -> None:
        self.client = client
        self.starting: asyncio.Task[None] | None = None
        self._stubs: dict[Any, Any] = {}

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel for the leases of this plugin."""
        channel = self.client.grpc_channel
        assert channel is not None
        return channel

    @property
    def pid(self) -> int | None:
        """The plugin's process; None before its start."""
        return self.client.pid

    def stub(self, kind: Callable[[grpc.aio.Channel], Any]) -> Any:
        """The stub of a class, made once."""
        stub = self._stubs.get(kind)
        if stub is None:
            stub = self._stubs[kind] = kind(self.channel)
        return stub
