"""The channel for asyncio: `grpc.aio.Channel` on the core's channel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import grpc
from grpc import aio

from ferrule import _core
from ferrule._mailbox import mailbox
from ferrule.channel.multicallables import (
    StreamStreamMultiCallable,
    StreamUnaryMultiCallable,
    UnaryStreamMultiCallable,
    UnaryUnaryMultiCallable,
)
from ferrule.channel.state import ChannelState
from ferrule.channel.status import CHANNEL_CLOSED, CLOSED, CONNECTIVITY, CloseStatus

__all__ = ["Channel"]

_READY = grpc.ChannelConnectivity.READY
_SHUTDOWN = grpc.ChannelConnectivity.SHUTDOWN

_Serializer = Callable[[Any], bytes] | None
_Deserializer = Callable[[bytes], Any] | None


class Channel(aio.Channel):
    """A channel to one server, for one event loop: the one that runs at its construction, or else at its first call.

    The functions `insecure_channel` and `secure_channel` make channels. A channel is closed by `close`, by leaving
    `async with`, and with its last holder: channel, stub or call.

    Args:
        core: The channel of the core.
        secure: Whether calls may carry credentials.
        interceptors: Interceptors of any kind; one of several kinds counts as each. Default none.
        authority: The server's name and port, as call credentials are told; default `localhost`.
        call_credentials: Credentials of every call; default None.
        close_status: The status of calls that `close` ends; default CANCELLED, as in grpc.aio.

    Raises:
        ValueError: An interceptor is of no kind that `grpc.aio` knows.
    """

    _state_kind: type[ChannelState] = ChannelState

    def __init__(
        self,
        core: _core.Channel,
        *,
        secure: bool,
        interceptors: Iterable[aio.ClientInterceptor] | None = (),
        authority: str = "localhost",
        call_credentials: grpc.CallCredentials | None = None,
        close_status: CloseStatus = CHANNEL_CLOSED,
    ) -> None:
        # Instrumentation appends to lists of these names in channels of grpc.aio.
        self._unary_unary_interceptors: list[aio.UnaryUnaryClientInterceptor] = []
        self._unary_stream_interceptors: list[aio.UnaryStreamClientInterceptor] = []
        self._stream_unary_interceptors: list[aio.StreamUnaryClientInterceptor] = []
        self._stream_stream_interceptors: list[aio.StreamStreamClientInterceptor] = []
        for interceptor in interceptors or ():
            self._add_interceptor(interceptor)
        self._core = core
        self._state = self._state_kind(core, secure, authority, call_credentials, close_status)
        self._changes: dict[int, asyncio.Future[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Closes the channel; from now on calls raise UsageError. Does nothing in a forked child.

        Args:
            grace: Seconds to wait for calls under way; default None, no wait. Afterwards they are cancelled, and those
                of a channel to a plugin end with UNAVAILABLE.

        Raises:
            ValueError: `grace` is negative; the channel stays open.
        """
        state = self._state
        # A forked child has its parent's channel.
        if state.is_closed or _core.is_forked():
            return
        if grace is not None and grace < 0:
            raise ValueError(f"grace is {grace}, expected 0 or more seconds")
        state.refuse_calls()
        try:
            if grace:
                await self._calls_ended(grace)
        finally:
            state.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Returns the state of the connection; begins to connect an idle channel if `try_to_connect`, default False."""
        if self._state.is_closed:
            return _SHUTDOWN
        state = CONNECTIVITY[self._core.state()]
        if try_to_connect:
            self._core.connect()
        return state

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Waits until the state is another than `last_observed_state`; SHUTDOWN counts as one.

        Raises:
            UsageError: The channel was closed before.
        """
        if self._state.is_closed:
            raise aio.UsageError(CLOSED)
        last = last_observed_state.value[0]
        # All waiters for one state share a watch, so that repeated and cancelled waits leave one behind, not many.
        change = self._changes.get(last)
        if change is None or change.done():
            change = asyncio.get_running_loop().create_future()
            self._core.watch_state(last, mailbox(), change)
            self._changes[last] = change
        await asyncio.shield(change)

    async def channel_ready(self) -> None:
        """Connects, and waits until the state is READY; failed attempts are repeated without end.

        Raises:
            UsageError: The channel is closed.
        """
        while (state := self.get_state(try_to_connect=True)) is not _READY:
            await self.wait_for_state_change(state)

    def stats(self) -> dict[str, int]:
        """Returns the counts of calls, messages, streams, connections and bytes since the channel was made."""
        return self._core.stats()

    def unary_unary(
        self,
        method: str | bytes,
        request_serializer: _Serializer = None,
        response_deserializer: _Deserializer = None,
        _registered_method: bool | None = False,
    ) -> aio.UnaryUnaryMultiCallable[Any, Any]:
        """Returns a callable for a method with one request and one response."""
        interceptors = self._unary_unary_interceptors
        return UnaryUnaryMultiCallable(self._state, method, request_serializer, response_deserializer, interceptors)

    def unary_stream(
        self,
        method: str | bytes,
        request_serializer: _Serializer = None,
        response_deserializer: _Deserializer = None,
        _registered_method: bool | None = False,
    ) -> aio.UnaryStreamMultiCallable[Any, Any]:
        """Returns a callable for a method with one request and a stream of responses."""
        interceptors = self._unary_stream_interceptors
        return UnaryStreamMultiCallable(self._state, method, request_serializer, response_deserializer, interceptors)

    def stream_unary(
        self,
        method: str | bytes,
        request_serializer: _Serializer = None,
        response_deserializer: _Deserializer = None,
        _registered_method: bool | None = False,
    ) -> aio.StreamUnaryMultiCallable[Any, Any]:
        """Returns a callable for a method with a stream of requests and one response."""
        interceptors = self._stream_unary_interceptors
        return StreamUnaryMultiCallable(self._state, method, request_serializer, response_deserializer, interceptors)

    def stream_stream(
        self,
        method: str | bytes,
        request_serializer: _Serializer = None,
        response_deserializer: _Deserializer = None,
        _registered_method: bool | None = False,
    ) -> aio.StreamStreamMultiCallable[Any, Any]:
        """Returns a callable for a method with a stream of requests and a stream of responses."""
        interceptors = self._stream_stream_interceptors
        return StreamStreamMultiCallable(self._state, method, request_serializer, response_deserializer, interceptors)

    def _add_interceptor(self, interceptor: aio.ClientInterceptor) -> None:
        kinds: tuple[tuple[type, list[Any]], ...] = (
            (aio.UnaryUnaryClientInterceptor, self._unary_unary_interceptors),
            (aio.UnaryStreamClientInterceptor, self._unary_stream_interceptors),
            (aio.StreamUnaryClientInterceptor, self._stream_unary_interceptors),
            (aio.StreamStreamClientInterceptor, self._stream_stream_interceptors),
        )
        fitting = [interceptors for kind, interceptors in kinds if isinstance(interceptor, kind)]
        if not fitting:
            names = " or ".join(kind.__name__ for kind, _ in kinds)
            raise ValueError(f"Interceptor {interceptor!r} must be {names}")
        for interceptors in fitting:
            interceptors.append(interceptor)

    async def _calls_ended(self, grace: float) -> None:
        codes = [call.code() for call in self._state.live()]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*codes, return_exceptions=True), grace)
