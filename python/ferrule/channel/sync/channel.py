"""`grpc.Channel` on the core: for scripts and threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import grpc

from ferrule import _core
from ferrule.channel.credentials import tls_settings
from ferrule.channel.options import Options, channel_settings
from ferrule.channel.sync.call_factory import CallFactory
from ferrule.channel.sync.calls import Deserializer
from ferrule.channel.sync.connectivity import Connectivity
from ferrule.channel.sync.multicallables import StreamStream, StreamUnary, UnaryStream, UnaryUnary
from ferrule.channel.sync.request_stream import Serializer
from ferrule.tls import TLSConfig

__all__ = ["SyncChannel", "insecure_channel", "secure_channel"]

# Seconds. Callbacks are the user's, and one may wait for the very thread that closes the channel.
_JOIN_LIMIT = 1.0


class SyncChannel(grpc.Channel):
    """A `grpc.Channel` whose calls block the calling thread without holding the interpreter's lock.

    It works with stubs, `grpc.intercept_channel` and `grpc.channel_ready_future`. Any number of threads may use it at
    once. Blocking calls with one request need no thread. There is one thread for the callbacks of futures and streams,
    from the first such call to `close()`; one for subscribers to the channel's state, as long as there are any; and one
    for each stream of requests, while it is read.

    As in gRPC, a future or a stream that nobody holds any more is cancelled, unless it has callbacks. A call made
    inside a servicer does not inherit that call's deadline: pass `timeout=context.time_remaining()`. Call credentials
    are asked for metadata on the calling thread, before the call returns.

    Use `insecure_channel` and `secure_channel` to make one.

    Args:
        core: The channel of the core.
        secure: Whether it is encrypted, without which call credentials are refused.
        call_credentials: Credentials for every call; default None.
        authority: Name and port of the server, for call credentials; default `localhost`.
    """

    def __init__(
        self,
        core: _core.Channel,
        *,
        secure: bool,
        call_credentials: grpc.CallCredentials | None = None,
        authority: str = "localhost",
    ) -> None:
        self._core = core
        self._call_factory = CallFactory(core, secure, call_credentials, authority)
        self._connectivity = Connectivity(core)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Stubs hold what starts calls; nothing else needs the subscribers' thread.
        connectivity = getattr(self, "_connectivity", None)
        if connectivity is not None and not _core.is_forked():
            connectivity.abandon()

    def unary_unary(
        self,
        method: str | bytes,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = False,
    ) -> UnaryUnary:
        return UnaryUnary(self._call_factory, method, request_serializer, response_deserializer)

    def unary_stream(
        self,
        method: str | bytes,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = False,
    ) -> UnaryStream:
        return UnaryStream(self._call_factory, method, request_serializer, response_deserializer)

    def stream_unary(
        self,
        method: str | bytes,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = False,
    ) -> StreamUnary:
        return StreamUnary(self._call_factory, method, request_serializer, response_deserializer)

    def stream_stream(
        self,
        method: str | bytes,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = False,
    ) -> StreamStream:
        return StreamStream(self._call_factory, method, request_serializer, response_deserializer)

    def subscribe(
        self, callback: Callable[[grpc.ChannelConnectivity], Any], try_to_connect: bool | None = False
    ) -> None:
        """Calls `callback` with the state now and at each change, on a thread of the channel's, until its end.

        Args:
            callback: Takes a `grpc.ChannelConnectivity`.
            try_to_connect: Whether to begin connecting, if the channel is idle.
        """
        if try_to_connect:
            self._core.connect()
        self._connectivity.subscribe(callback)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], Any]) -> None:
        """Ends a subscription; does nothing if there is none."""
        self._connectivity.unsubscribe(callback)

    def stats(self) -> dict[str, int]:
        """Counters of the channel since its beginning: bytes, messages, calls, connections."""
        return self._core.stats()

    def close(self) -> None:
        """Ends all calls with CANCELLED and refuses new ones; may be called again. Does nothing in a forked child.

        Callbacks and subscribers that are told of the end run before this returns, unless they take long. A thread that
        is inside a user's iterator of requests ends with the iterator's next step.
        """
        if self.begin_to_close():
            self._call_factory.join(_JOIN_LIMIT)
            self._connectivity.join(_JOIN_LIMIT)

    def begin_to_close(self) -> bool:
        """Ends all calls without waiting; whether `close` would wait for callbacks."""
        if _core.is_forked():
            return False
        self._call_factory.close()
        return self._call_factory.is_running or self._connectivity.is_running


def insecure_channel(
    target: str, options: Options | None = None, compression: grpc.Compression | None = None
) -> SyncChannel:
    """A channel in plaintext; connects with its first call.

    Args:
        target: As in gRPC: `HOST:PORT`, `dns:///HOST:PORT`, `ipv4:`, `ipv6:`, `unix:PATH`, `unix-abstract:NAME`.
        options: Pairs of name and value, see `ferrule.channel.options`; default none.
        compression: Compression of requests; default None, what the options say.

    Raises:
        ValueError: An option is not a pair, or the compression is no `grpc.Compression`.
        TypeError: An option is of a type that gRPC refuses.
    """
    return SyncChannel(_core.Channel(target, channel_settings(options, compression), None), secure=False)


def secure_channel(
    target: str,
    credentials: TLSConfig | grpc.ChannelCredentials,
    options: Options | None = None,
    compression: grpc.Compression | None = None,
) -> SyncChannel:
    """A channel with TLS; connects with its first call.

    Args:
        target: As for `insecure_channel`.
        credentials: A `ferrule.TLSConfig`, or what `grpc.ssl_channel_credentials` returned, also inside
            `grpc.composite_channel_credentials`. A `TLSConfig` expects the name `localhost` unless it is given a
            `server_name`; gRPC's credentials expect the name in the target.
        options: As for `insecure_channel`; `grpc.ssl_target_name_override` is the name to check.
        compression: As for `insecure_channel`.

    Raises:
        ValueError: As for `insecure_channel`, or the credentials are of a kind that cannot be used.
        TypeError: The credentials are none, or an option is of a type that gRPC refuses.
        SecurityError: A certificate or the key cannot be read, or the two do not belong together.
    """
    # Read twice, and could be an iterator.
    given = None if options is None else list(options)
    settings = channel_settings(given, compression)
    tls, call_credentials = tls_settings(credentials, given)
    return SyncChannel(
        _core.Channel(target, settings, tls),
        secure=True,
        call_credentials=call_credentials,
        authority=settings["authority"] or _core.authority_of(target),
    )
