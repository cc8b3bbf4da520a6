"""The callables of stubs over a pool's blocking channel: one object per method, in four kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

import grpc

from ferrule.channel.core_call import EndedCall
from ferrule.channel.status import UNAVAILABLE
from ferrule.channel.sync.calls import FailedCall
from ferrule.sync.pool.calls import LeasedFuture, LeasedStream
from ferrule.sync.pool.course import Course, out_of_time
from ferrule.sync.pool.losses import FAILURES, has_ended
from ferrule.sync.pool.plugin import LeasedPlugin

__all__ = ["StreamStream", "StreamUnary", "UnaryStream", "UnaryUnary"]

Metadata = Iterable[tuple[str, str | bytes]]
Make = Callable[[Any, float | None], Any]
"""Makes a call by a callable of a plugin's own channel, within seconds."""


class _Method:
    """One method of a plugin, and of the plugins that replace it.

    Args:
        channel: The channel to the plugin.
        kind: The name of the method of channels that makes callables of this kind.
        method: The method's path.
        coders: The serializer of requests and the deserializer of responses.
    """

    def __init__(self, channel: LeasedPlugin, kind: str, method: str | bytes, *coders: Any) -> None:
        self._channel = channel
        self._kind = kind
        self._arguments = (method, *coders)
        self._inner: Any = getattr(channel.sync_channel, kind)(method, *coders)
        self._path = method.decode(errors="replace") if isinstance(method, bytes) else method

    def _response(self, make: Make, timeout: float | None, may_move: bool = True) -> Any:
        """The outcome of a call that blocks, by this plugin or by those that replace it."""
        since, channel = monotonic(), self._channel
        try:
            response = _in_turn(channel, make, self._inner, timeout)
        except FAILURES as error:
            failure: Exception = error
        else:
            channel.replacements.count(channel.plugin, self._path, monotonic() - since, None)
            return response
        course = Course(channel, self._path, None if timeout is None else since + timeout, since)
        try:
            while may_move:
                course.move(failure)
                try:
                    response = _in_turn(course.channel, make, self._on(course), course.time_left())
                except FAILURES as error:
                    failure = error
                else:
                    course.count(None)
                    return response
            lost = course.error_of(failure)
            raise lost from (None if lost is failure else failure)
        except Exception as error:
            course.count(error)
            raise
        finally:
            course.end()
            # Its traceback keeps this frame.
            del failure

    def _begun(self, make: Make, timeout: float | None) -> tuple[Any, Course]:
        """A call that goes on by itself, begun with a plugin that lives, and its way so far."""
        since = monotonic()
        course = Course(self._channel, self._path, None if timeout is None else since + timeout, since)
        if has_ended(self._channel.plugin):
            course.move(FailedCall(EndedCall(UNAVAILABLE, "its plugin had ended", begun=False)))
        return self._made(make, course), course

    def _made(self, make: Make, course: Course) -> Any:
        turns = course.channel.turns
        if turns is None:
            return make(self._on(course), course.time_left())
        if not turns.acquire(timeout=course.time_left()):
            raise out_of_time(begun=False)
        try:
            call = make(self._on(course), course.time_left())
        except BaseException:
            turns.release()
            raise
        call.add_done_callback(lambda _: turns.release())
        return call

    def _on(self, course: Course) -> Any:
        channel = course.channel
        if channel is self._channel:
            return self._inner
        return getattr(channel.sync_channel, self._kind)(*self._arguments)


def _in_turn(channel: LeasedPlugin, make: Make, callable_: Any, timeout: float | None) -> Any:
    """Makes a call that blocks, as soon as the plugin has less than its number of calls."""
    turns = channel.turns
    if turns is None:
        return make(callable_, timeout)
    deadline = None if timeout is None else monotonic() + timeout
    if not turns.acquire(timeout=timeout):
        raise out_of_time(begun=False)
    try:
        return make(callable_, None if deadline is None else max(0.0, deadline - monotonic()))
    finally:
        turns.release()


def _repeatable(metadata: Metadata | None) -> list[tuple[str, str | bytes]] | None:
    return None if metadata is None else list(metadata)


class UnaryUnary(_Method, grpc.UnaryUnaryMultiCallable):  # type: ignore[type-arg] # Generic for type checkers only.
    """A method with one request and one response."""

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """The response."""
        options = (_repeatable(metadata), credentials, wait_for_ready, compression)
        return self._response(lambda inner, left: inner(request, left, *options), timeout)

    def with_call(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """The response and the call."""
        options = (_repeatable(metadata), credentials, wait_for_ready, compression)
        return self._response(lambda inner, left: inner.with_call(request, left, *options), timeout)

    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """The call, under way."""
        options = (_repeatable(metadata), credentials, wait_for_ready, compression)
        return LeasedFuture(*self._begun(lambda inner, left: inner.future(request, left, *options), timeout))


class StreamUnary(_Method, grpc.StreamUnaryMultiCallable):  # type: ignore[type-arg] # Generic for type checkers only.
    """A method with a stream of requests, which cannot be had twice, and one response."""

    def __call__(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """The response."""
        options = (_repeatable(metadata), credentials, wait_for_ready, compression)
        return self._response(lambda inner, left: inner(request_iterator, left, *options), timeout, False)

    def with_call(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """The response and the call."""
        options = (_repeatable(metadata), credentials, wait_for_ready, compression)
        return self._response(
            lambda inner, left: inner.with_call(request_iterator, left, *options), timeout, may_move=False
        )

    def future(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """The call, under way."""
        options = (_repeatable(metadata), credentials, wait_for_ready, compression)
        return LeasedFuture(*self._begun(lambda inner, left: inner.future(request_iterator, left, *options), timeout))


class UnaryStream(_Method, grpc.UnaryStreamMultiCallable):  # type: ignore[type-arg] # Generic for type checkers only.
    """A method with one request and a stream of responses."""

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """The stream of responses."""
        options = (_repeatable(metadata), credentials, wait_for_ready, compression)

        def make(inner: Any, left: float | None) -> Any:
            return inner(request, left, *options)

        call, course = self._begun(make, timeout)
        return LeasedStream(call, course, lambda: self._made(make, course))


class StreamStream(_Method, grpc.StreamStreamMultiCallable):  # type: ignore[type-arg] # Generic for type checkers only.
    """A method with a stream of requests, which cannot be had twice, and a stream of responses."""

    def __call__(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """The stream of responses."""
        options = (_repeatable(metadata), credentials, wait_for_ready, compression)

        def make(inner: Any, left: float | None) -> Any:
            return inner(request_iterator, left, *options)

        return LeasedStream(*self._begun(make, timeout), None)
