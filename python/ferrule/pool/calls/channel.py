"""PooledChannel: what a lease hands out as its channel."""

from __future__ import annotations

from typing import Any, cast

from ferrule import _core
from ferrule.channel import Channel
from ferrule.channel.state import ChannelState
from ferrule.pool.calls.call import PooledCall
from ferrule.pool.calls.plugin_calls import PluginCalls

__all__ = ["PooledChannel"]


class _State(ChannelState):
    """The state of a channel whose calls may end by the end of their plugin."""

    __slots__ = ()

    def error_of(self, core: Any) -> Exception | None:
        return core.error() if isinstance(core, PooledCall) else None


class PooledChannel(Channel):
    """A channel to one plugin of a pool, for as long as the plugin lives; all leases of the plugin share it."""

    _state_kind = _State

    def __init__(self, calls: PluginCalls, *, secure: bool) -> None:
        super().__init__(cast(_core.Channel, calls), secure=secure)

    async def close(self, grace: float | None = None) -> None:
        """Does nothing: the channel is the pool's, which closes it with the plugin."""
