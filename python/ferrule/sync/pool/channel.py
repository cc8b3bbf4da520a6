"""LeasedChannel: a blocking channel to one plugin of a pool."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Self

import grpc

from ferrule.channel.sync import SyncChannel
from ferrule.pool import PluginSpec
from ferrule.pool.policy import Plugin
from ferrule.sync.pool.multicallables import StreamStream, StreamUnary, UnaryStream, UnaryUnary
from ferrule.sync.pool.plugin import PooledClient, Replacements

__all__ = ["LeasedChannel"]

Serializer = Callable[[Any], bytes]
Deserializer = Callable[[bytes], Any]


class LeasedChannel(grpc.Channel):
    """A blocking channel to one plugin of a pool, for as long as the plugin lives; all leases of the plugin share it.

    A call that had not begun when the plugin died is made by its replacement, unless `Limits.retry_unsent` is False,
    and so is one that the spec calls idempotent. Others end with `PluginDied` or `OutcomeUnknown`. Futures and streams
    of requests move while they begin; once under way, they end with the error.

    Args:
        sync_channel: The client's own channel.
        client: The plugin's client.
        plugin: The plugin as the pool's policy sees it.
        spec: The spec that its process was started by.
        replacements: The pool.
    """

    def __init__(
        self,
        sync_channel: SyncChannel,
        client: PooledClient,
        plugin: Plugin,
        spec: PluginSpec,
        replacements: Replacements,
    ) -> None:
        self.sync_channel = sync_channel
        self.client = client
        self.plugin = plugin
        self.spec = spec
        self.replacements: Replacements = replacements
        limit = spec.max_concurrent_calls
        self.turns = None if limit is None else threading.BoundedSemaphore(limit)
        self._stubs: dict[Any, Any] = {}

    def stub(self, kind: Callable[[grpc.Channel], Any]) -> Any:
        """The stub of a class, made once."""
        stub = self._stubs.get(kind)
        if stub is None:
            stub = self._stubs.setdefault(kind, kind(self))
        return stub

    def wait_exited(self, limit: float) -> bool:
        """Waits until the plugin has ended, at most some seconds; whether it has."""
        return self.replacements.wait_exited(self.client, limit)

    def unary_unary(
        self,
        method: str | bytes,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = False,
    ) -> UnaryUnary:
        """Returns a callable for a method with one request and one response."""
        return UnaryUnary(self, "unary_unary", method, request_serializer, response_deserializer)

    def unary_stream(
        self,
        method: str | bytes,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = False,
    ) -> UnaryStream:
        """Returns a callable for a method with one request and a stream of responses."""
        return UnaryStream(self, "unary_stream", method, request_serializer, response_deserializer)

    def stream_unary(
        self,
        method: str | bytes,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = False,
    ) -> StreamUnary:
        """Returns a callable for a method with a stream of requests and one response."""
        return StreamUnary(self, "stream_unary", method, request_serializer, response_deserializer)

    def stream_stream(
        self,
        method: str | bytes,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = False,
    ) -> StreamStream:
        """Returns a callable for a method with a stream of requests and a stream of responses."""
        return StreamStream(self, "stream_stream", method, request_serializer, response_deserializer)

    def subscribe(
        self, callback: Callable[[grpc.ChannelConnectivity], Any], try_to_connect: bool | None = False
    ) -> None:
        """Calls `callback` with the state now and at each change, as the client's own channel does."""
        self.sync_channel.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], Any]) -> None:
        """Ends a subscription; does nothing if there is none."""
        self.sync_channel.unsubscribe(callback)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Does nothing: the channel is the pool's, which closes it with the plugin."""
