"""A lease of a fake plugin, for the tests of its calls."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from ferrule.pool import PluginPool
from pool.aio.fakes import FakeCall, FakeClient, FakeClock, FakeLauncher

METHOD = "/test.Test/Call"


class Setting:
    """A pool, a lease, and what the test sees of its plugins."""

    def __init__(self, pool: PluginPool, lease: Any, launcher: FakeLauncher, clock: FakeClock) -> None:
        self.pool = pool
        self.lease = lease
        self.launcher = launcher
        self.clock = clock
        channel = lease.channel
        self.unary: Any = channel.unary_unary(METHOD)
        self.responses: Any = channel.unary_stream(METHOD)
        self.requests: Any = channel.stream_unary(METHOD)
        self.both: Any = channel.stream_stream(METHOD)

    @property
    def plugin(self) -> FakeClient:
        return self.launcher.last

    def sent(self) -> FakeCall:
        """The call that was sent last, to the plugin that was started last."""
        return self.plugin.core.calls[-1]

    async def replaced(self) -> None:
        """Time for another plugin to start."""
        await self.clock.advance(2)


Leased = Callable[..., contextlib.AbstractAsyncContextManager[Setting]]
"""Enters a lease: of a pool with `limits`, of a spec with the other settings."""
