"""The callables of stubs: one object per method, in four kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import grpc
from grpc import aio

from ferrule.channel.calls import BaseCall, deadline_of, time_left
from ferrule.channel.core_call import Pairs
from ferrule.channel.credentials import CallMetadataError, call_metadata, service_url
from ferrule.channel.errors import AioRpcError
from ferrule.channel.interceptors import (
    InterceptedStreamStreamCall,
    InterceptedStreamUnaryCall,
    InterceptedUnaryStreamCall,
    InterceptedUnaryUnaryCall,
)
from ferrule.channel.request_stream import StreamStreamCall, StreamUnaryCall
from ferrule.channel.state import ChannelState
from ferrule.channel.stream_response import UnaryStreamCall
from ferrule.channel.unary_response import UnaryUnaryCall

if TYPE_CHECKING:
    StreamUnaryBase = aio.StreamUnaryMultiCallable[Any, Any]
    StreamStreamBase = aio.StreamStreamMultiCallable[Any, Any]
else:
    # Generic for type checkers alone: most releases of grpcio refuse subscripts of these classes.
    StreamUnaryBase = aio.StreamUnaryMultiCallable
    StreamStreamBase = aio.StreamStreamMultiCallable

__all__ = [
    "StreamStreamMultiCallable",
    "StreamUnaryMultiCallable",
    "UnaryStreamMultiCallable",
    "UnaryUnaryMultiCallable",
]


class _MultiCallable:
    """A method of the server, with everything that its calls have in common."""

    _call_kind: ClassVar[type[BaseCall]]

    def __init__(
        self,
        channel: ChannelState,
        method: str | bytes,
        serializer: Callable[[Any], bytes] | None,
        deserializer: Callable[[bytes], Any] | None,
        interceptors: list[Any],
    ) -> None:
        self._channel = channel
        self._method = method if isinstance(method, bytes) else method.encode()
        self._serializer = serializer
        self._deserializer = deserializer
        self._interceptors = interceptors
        self._has_credentials = channel.call_credentials is not None

    def _chain(
        self, credentials: grpc.CallCredentials | None
    ) -> tuple[ChannelState, bytes, list[Any], Callable[..., Any]]:
        """Returns the first arguments of an intercepted call; calls with credentials are such calls too.

        Raises:
            UsageError: The channel is closed, or has no TLS for the credentials.
        """
        channel = self._channel
        if channel.open_on is not asyncio.get_running_loop():
            channel.attach()
        if credentials is not None and not channel.secure:
            raise aio.UsageError(_INSECURE)
        return channel, self._method, list(self._interceptors), self._invoke

    async def _invoke(self, details: Any, request: Any) -> BaseCall:
        """Starts a call with the details and the request that the last interceptor passed on."""
        metadata, timeout = details.metadata, details.timeout
        if self._has_credentials or details.credentials is not None:
            metadata, timeout = await self._authorized(details)
        return self._call_kind(
            self._channel,
            details.method,
            request,
            self._serializer,
            self._deserializer,
            timeout,
            metadata,
            details.wait_for_ready,
            None,
        )

    async def _authorized(self, details: Any) -> tuple[Pairs, float | None]:
        """Returns the metadata with that of the credentials added, and the seconds left of the call's time.

        Raises:
            UsageError: The channel has no TLS.
            AioRpcError: The credentials gave no metadata (UNAVAILABLE), or not in time (DEADLINE_EXCEEDED).
        """
        if not self._channel.secure:
            raise aio.UsageError(_INSECURE)
        method = details.method.decode() if isinstance(details.method, bytes) else details.method
        url = service_url(self._channel.authority, method)
        deadline = None if details.timeout is None else deadline_of(details.timeout)
        metadata = list(details.metadata or ())
        try:
            async with asyncio.timeout(time_left(deadline)):
                for credentials in (self._channel.call_credentials, details.credentials):
                    if credentials is not None:
                        metadata += await call_metadata(credentials, url, method)
        except CallMetadataError as error:
            raise _failed(grpc.StatusCode.UNAVAILABLE, str(error)) from error
        except TimeoutError:
            raise _failed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
        return metadata, time_left(deadline)


_INSECURE = "Call credentials are only valid on secure channels"


def _failed(code: grpc.StatusCode, details: str) -> aio.AioRpcError:
    return AioRpcError(code, details=details, debug_error_string=f"{code.name}: {details}", begun=False)


class UnaryUnaryMultiCallable(_MultiCallable, aio.UnaryUnaryMultiCallable[Any, Any]):
    """A method with one request and one response."""

    _call_kind = UnaryUnaryCall

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> aio.UnaryUnaryCall[Any, Any]:
        if self._interceptors or credentials is not None or self._has_credentials:
            return InterceptedUnaryUnaryCall(
                *self._chain(credentials), request, timeout, metadata, credentials, wait_for_ready, compression
            )
        return UnaryUnaryCall(
            self._channel,
            self._method,
            request,
            self._serializer,
            self._deserializer,
            timeout,
            metadata,
            wait_for_ready,
            compression,
        )


class UnaryStreamMultiCallable(_MultiCallable, aio.UnaryStreamMultiCallable[Any, Any]):
    """A method with one request and a stream of responses."""

    _call_kind = UnaryStreamCall

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> aio.UnaryStreamCall[Any, Any]:
        if self._interceptors or credentials is not None or self._has_credentials:
            return InterceptedUnaryStreamCall(
                *self._chain(credentials), request, timeout, metadata, credentials, wait_for_ready, compression
            )
        return UnaryStreamCall(
            self._channel,
            self._method,
            request,
            self._serializer,
            self._deserializer,
            timeout,
            metadata,
            wait_for_ready,
            compression,
        )


class StreamUnaryMultiCallable(_MultiCallable, StreamUnaryBase):
    """A method with a stream of requests and one response."""

    _call_kind = StreamUnaryCall

    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> aio.StreamUnaryCall[Any, Any]:
        if self._interceptors or credentials is not None or self._has_credentials:
            return InterceptedStreamUnaryCall(
                *self._chain(credentials), request_iterator, timeout, metadata, credentials, wait_for_ready, compression
            )
        return StreamUnaryCall(
            self._channel,
            self._method,
            request_iterator,
            self._serializer,
            self._deserializer,
            timeout,
            metadata,
            wait_for_ready,
            compression,
        )


class StreamStreamMultiCallable(_MultiCallable, StreamStreamBase):
    """A method with a stream of requests and a stream of responses."""

    _call_kind = StreamStreamCall

    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> aio.StreamStreamCall[Any, Any]:
        if self._interceptors or credentials is not None or self._has_credentials:
            return InterceptedStreamStreamCall(
                *self._chain(credentials), request_iterator, timeout, metadata, credentials, wait_for_ready, compression
            )
        return StreamStreamCall(
            self._channel,
            self._method,
            request_iterator,
            self._serializer,
            self._deserializer,
            timeout,
            metadata,
            wait_for_ready,
            compression,
        )
