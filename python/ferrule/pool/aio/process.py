"""PooledProcess: what the driver keeps with each plugin of the policy."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any, Final, Protocol

import grpc
import grpc.aio

from ferrule._host.channels import native_settings
from ferrule.channel import Channel
from ferrule.client import RPCPluginClient
from ferrule.config import ClientConfig
from ferrule.errors import PluginExitedError, TransportError
from ferrule.pool.aio.interfaces import CallerOfPool
from ferrule.pool.calls import PluginCalls, PooledChannel
from ferrule.pool.key import GO_MEMORY_LIMIT
from ferrule.pool.measures import Measures
from ferrule.pool.policy import Plugin
from ferrule.pool.spec import PluginSpec

__all__ = ["Launcher", "PooledProcess", "launch"]

_HEALTH_METHOD = "/grpc.health.v1.Health/Check"
_HEALTH_REQUEST = b"\n\x06plugin"
"""A `HealthCheckRequest` for go-plugin's service `plugin`."""


MAX_STUBS: Final = 1_000
"""Stubs of one plugin that are kept."""


class Launcher(Protocol):
    """Makes the client of a plugin, not started yet."""

    def __call__(self, spec: PluginSpec, /) -> RPCPluginClient: ...


def launch(spec: PluginSpec) -> RPCPluginClient:
    """The client of a spec's plugin, not started yet."""
    config = ClientConfig.of(spec.config)
    if spec.memory_soft_limit is not None:
        environment = {**config.env, GO_MEMORY_LIMIT: str(spec.memory_soft_limit)}
        config = dataclasses.replace(config, env=environment)
    return RPCPluginClient(spec.command, config)


class PooledProcess:
    """The client of one plugin, its channel and its stubs.

    Attributes:
        client: The client.
        calls: Its calls; None before its start.
        lease_use: Where the time of its leases is counted.
        starting: The task that starts or configures it; None before.
        has_begun: Whether that task has run.
        is_ending: Whether the pool ends the process.
    """

    def __init__(self, plugin: Plugin, client: RPCPluginClient, pool: CallerOfPool, measures: Measures) -> None:
        self.client = client
        self.lease_use = measures.lease_use
        self.starting: asyncio.Task[None] | None = None
        self.has_begun = self.is_ending = False
        self.calls: PluginCalls | None = None
        self._plugin = plugin
        self._measures = measures
        self._pool = pool
        self._channel: PooledChannel | None = None
        self._stubs: dict[Any, Any] = {}
        self._checking: asyncio.Task[None] | None = None
        self.is_here = pool.is_here
        self.run = pool.run
        self.run_soon = pool.run_soon

    def open(self) -> None:
        """Makes the channel; the plugin has started."""
        client, spec = self.client, self._plugin.entry.spec
        channel = client.grpc_channel
        if isinstance(channel, Channel):
            core, secure = channel._core, channel._state.secure
        else:
            # A stock channel does not say which calls had begun.
            assert client._host is not None
            core, secure = client._host.channel(native_settings(client.config)), client._is_secure
        self.calls = PluginCalls(core, client, spec, self._measures, self._pool.clock, self)
        self._channel = PooledChannel(self.calls, secure=secure)

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel for the leases of this plugin."""
        assert self._channel is not None
        return self._channel

    @property
    def pid(self) -> int | None:
        """The plugin's process; None before its start."""
        return self.client.pid

    def stub(self, kind: Callable[[grpc.aio.Channel], Any]) -> Any:
        """The stub of a class, made once."""
        stub = self._stubs.get(kind)
        if stub is None:
            stub = kind(self.channel)
            if len(self._stubs) >= MAX_STUBS:
                # Functions that are made anew for each lease.
                self._stubs.clear()
            self._stubs[kind] = stub
        return stub

    def exit_error(self) -> PluginExitedError:
        """How the process ended."""
        client, name = self.client, self._plugin.entry.spec.name
        status = client.exit_status
        return PluginExitedError(
            f"plugin {name!r} ended by itself", None, "pool.crashed", exit_status=status, stderr_tail=client.stderr_tail
        )

    def end_calls(self, *, revoked: bool) -> None:
        """Has no more calls sent; those under way end now if they are revoked, else by the end of the process."""
        if self.calls is not None:
            if revoked:
                self.calls.revoke()
            else:
                self.calls.end()

    def abandon(self) -> None:
        """Has the process end without waiting; its loop may be closed."""
        session = self.client._session
        if session is not None:
            session.abandon()

    # What the calls ask for, as `Replacements`.

    @property
    def retry_unsent(self) -> bool:
        """Whether a call that had not begun is made again."""
        return self._pool.retry_unsent

    async def lease_for_call(self, lost: Any, timeout: float | None) -> tuple[PluginCalls, Callable[[], None]]:
        """Leases the plugin that serves in place of this one; the second value gives the lease back."""
        if not lost.is_over:
            error = self.exit_error() if self.client.exit_status is not None else self._unreachable()
            self._pool.lost(self._plugin, error)
        return await self._pool.lease_for_call(self._plugin, timeout)

    def outcome_unknown(self, _calls: Any, method: str) -> None:
        """Tells of a call that had begun and was lost."""
        self._pool.outcome_unknown(self._plugin, method)

    def suspect(self) -> None:
        """A call has got no answer within its deadline: a plugin that does not answer a health check is given up."""
        if self._checking is None or self._checking.done():
            self._checking = self.run(self._check())

    async def _check(self) -> None:
        client = self.client
        channel = client.grpc_channel
        if channel is None:
            return
        timeout = client.config.connect_timeout
        try:
            check: Any = channel.unary_unary(_HEALTH_METHOD)
            await check(_HEALTH_REQUEST, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            if error.code() in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE}:
                self._pool.lost(self._plugin, self._unreachable())
        except grpc.aio.UsageError:
            # The client was closed meanwhile.
            return

    def _unreachable(self) -> TransportError:
        name = self._plugin.entry.spec.name
        return TransportError(f"plugin {name!r} runs and does not answer", None, "pool.unhealthy")
