"""The channel for threads: `grpc.Channel` on the core's channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import grpc

from ferrule import _core
from ferrule._finalizers import finalizer
from ferrule.channel.credentials import tls_settings
from ferrule.channel.options import Options, channel_settings
from ferrule.channel.status import CANCELLED, CloseStatus
from ferrule.channel.sync.call_factory import CallFactory
from ferrule.channel.sync.calls import Deserializer
from ferrule.channel.sync.connectivity import Connectivity
from ferrule.channel.sync.multicallables import StreamStream, StreamUnary, UnaryStream, UnaryUnary
from ferrule.channel.sync.request_stream import Serializer
from ferrule.tls import TLSConfig

__all__ = ["SyncChannel", "insecure_channel", "secure_channel"]

# The text of grpcio's blocking channels.
_CHANNEL_CLOSED = CloseStatus(CANCELLED, "Channel closed!")

# Seconds. A callback is the user's, and may wait for the very thread that closes the channel.
_JOIN_LIMIT = 1.0


class SyncChannel(grpc.Channel):
    """A `grpc.Channel` whose calls block the calling thread without holding the interpreter's lock.

    The functions `insecure_channel` and `secure_channel` make channels. Stubs, `grpc.intercept_channel` and
    `grpc.channel_ready_future` work with them, and any number of threads may use one at once.

    Blocking calls with one request need no further thread. One thread runs the callbacks of futures and streams, from
    the first such call to `close()`; one tells subscribers of the channel's state, as long as there are any; one reads
    each stream of requests.

    As in gRPC, a future or a stream without holders is cancelled, unless it has callbacks. A call made inside a
    servicer does not inherit the deadline of the servicer's call: pass `timeout=context.time_remaining()`. Call
    credentials are asked for metadata on the calling thread, before the call returns.

    Args:
        core: The channel of the core.
        secure: Whether calls may carry credentials.
        call_credentials: Credentials of every call; default None.
        authority: The server's name and port, as call credentials are told; default `localhost`.
        close_status: The status of calls that `close` ends; default CANCELLED, as in grpc.
    """

    def __init__(
        self,
        core: _core.Channel,
        *,
        secure: bool,
        call_credentials: grpc.CallCredentials | None = None,
        authority: str = "localhost",
        close_status: CloseStatus = _CHANNEL_CLOSED,
    ) -> None:
        self._core = core
        self._call_factory = CallFactory(core, secure, call_credentials, authority, close_status)
        self._connectivity = Connectivity(core)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @finalizer
    def __del__(self) -> None:
        # Stubs hold the call factory and need no subscribers.
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
        """Returns a callable for a method with one request and one response."""
        return UnaryUnary(self._call_factory, method, request_serializer, response_deserializer)

    def unary_stream(
        self,
        method: str | bytes,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = False,
    ) -> UnaryStream:
        """Returns a callable for a method with one request and a stream of responses."""
        return UnaryStream(self._call_factory, method, request_serializer, response_deserializer)

    def stream_unary(
        self,
        method: str | bytes,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = False,
    ) -> StreamUnary:
        """Returns a callable for a method with a stream of requests and one response."""
        return StreamUnary(self._call_factory, method, request_serializer, response_deserializer)

    def stream_stream(
        self,
        method: str | bytes,
        request_serializer: Serializer | None = None,
        response_deserializer: Deserializer | None = None,
        _registered_method: bool | None = False,
    ) -> StreamStream:
        """Returns a callable for a method with a stream of requests and a stream of responses."""
        return StreamStream(self._call_factory, method, request_serializer, response_deserializer)

    def subscribe(
        self, callback: Callable[[grpc.ChannelConnectivity], Any], try_to_connect: bool | None = False
    ) -> None:
        """Calls `callback` with the state now and at each change, on the channel's thread for subscribers.

        The subscription ends with `unsubscribe`, or with the channel.

        Args:
            callback: Takes a `grpc.ChannelConnectivity`.
            try_to_connect: Whether an idle channel begins to connect; default False.

        Raises:
            LaunchError: The system provides no thread.
        """
        if try_to_connect:
            self._core.connect()
        self._connectivity.subscribe(callback)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], Any]) -> None:
        """Ends a subscription; does nothing if there is none."""
        self._connectivity.unsubscribe(callback)

    def stats(self) -> dict[str, int]:
        """Returns the counts of calls, messages, streams, connections and bytes since the channel was made."""
        return self._core.stats()

    def close(self) -> None:
        """Cancels all calls and refuses new ones; may be called again. Does nothing in a forked child.

        Calls on a channel to a plugin are not cancelled, but end with UNAVAILABLE.

        Waits until callbacks and subscribers have been told, at most a second for each of the two. A thread that reads
        an iterator of requests ends with the iterator's next step.
        """
        if self.begin_to_close():
            self._call_factory.join(_JOIN_LIMIT)
            self._connectivity.join(_JOIN_LIMIT)

    def begin_to_close(self) -> bool:
        """Ends all calls and refuses new ones, without waiting; returns whether `close` would wait for callbacks."""
        if _core.is_forked():
            return False
        self._call_factory.close()
        self._connectivity.release()
        return self._call_factory.is_running or self._connectivity.is_running


def insecure_channel(
    target: str, options: Options | None = None, compression: grpc.Compression | None = None
) -> SyncChannel:
    """Makes a channel without TLS, with the parameters of `grpc.insecure_channel`.

    The channel connects with its first call. A target that cannot be used shows as an error of each call.

    Args:
        target: `HOST:PORT`, `dns:///HOST:PORT`, `ipv4:`, `ipv6:`, `unix:PATH` or `unix-abstract:NAME`.
        options: Pairs of gRPC's name and a value; default None, no options.
        compression: Compression of requests; default None, that of the option `grpc.default_compression_algorithm`.

    Raises:
        ValueError: An option is malformed, or the compression is no `grpc.Compression`.
        TypeError: An option has a type that gRPC refuses.
    """
    return SyncChannel(_core.Channel(target, channel_settings(options, compression), None), secure=False)


def secure_channel(
    target: str,
    credentials: TLSConfig | grpc.ChannelCredentials,
    options: Options | None = None,
    compression: grpc.Compression | None = None,
) -> SyncChannel:
    """Makes a channel with TLS, with the parameters of `grpc.secure_channel`.

    The channel connects with its first call. A target that cannot be used shows as an error of each call.

    Args:
        target: A target of `insecure_channel`'s kinds.
        credentials: A `TLSConfig`, or the result of `grpc.ssl_channel_credentials`, alone or in
            `grpc.composite_channel_credentials`. A `TLSConfig` expects the name `localhost` unless it is given a
            `server_name`; gRPC's credentials expect the name in the target.
        options: Pairs of gRPC's name and a value; `grpc.ssl_target_name_override` is the name to
            expect in the certificate. Default None, no options.
        compression: Compression of requests; default None, that of the option `grpc.default_compression_algorithm`.

    Raises:
        ValueError: An option is malformed, the compression is no `grpc.Compression`, or the credentials are of a kind
            that cannot be used.
        TypeError: An option has a type that gRPC refuses, or the credentials are none.
        SecurityError: A certificate or the key cannot be read, or the two do not belong together.
    """
    # The options are read twice, and may be an iterator.
    given = None if options is None else list(options)
    settings = channel_settings(given, compression)
    tls, call_credentials = tls_settings(credentials, given)
    return SyncChannel(
        _core.Channel(target, settings, tls),
        secure=True,
        call_credentials=call_credentials,
        authority=settings["authority"] or _core.authority_of(target),
    )
