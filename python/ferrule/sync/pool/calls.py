"""Futures and streams over a pool's blocking channel: those of the plugin's channel, with the pool's errors."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import grpc

from ferrule.sync.pool.course import Course
from ferrule.sync.pool.losses import FAILURES

__all__ = ["LeasedFuture", "LeasedStream"]


class _Call:
    """A call of the plugin's channel; what is not defined here is the call's own."""

    def __init__(self, inner: Any, course: Course) -> None:
        self._inner = inner
        self._course = course

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    def __repr__(self) -> str:
        return repr(self._inner)

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        """Has a function called with this call at its end."""
        self._inner.add_done_callback(lambda _: fn(self))


class LeasedFuture(_Call):
    """A call with one response, under way."""

    def result(self, timeout: float | None = None) -> Any:
        """The response, as of `grpc.Future`."""
        try:
            response = self._inner.result(timeout)
        except FAILURES as failure:
            error = self._course.error_of(failure)
            self._course.count(error)
            raise error from (None if error is failure else failure)
        self._course.count(None)
        return response

    def exception(self, timeout: float | None = None) -> Exception | None:
        """The failure, as of `grpc.Future`."""
        failure = self._inner.exception(timeout)
        error = None if failure is None else self._course.error_of(failure)
        self._course.count(error)
        return error

    def traceback(self, timeout: float | None = None) -> TracebackType | None:
        """The failure's traceback, as of `grpc.Future`."""
        try:
            self.result(timeout)
        except FAILURES as raised:
            return raised.__traceback__
        return None


class LeasedStream(_Call):
    """A call with a stream of responses, and the iterator over them.

    Args:
        inner: The call.
        course: Its way so far.
        again: Makes the call by the plugin that replaces the first; None for a call that cannot be made again.
    """

    def __init__(self, inner: Any, course: Course, again: Callable[[], Any] | None) -> None:
        super().__init__(inner, course)
        self._again = again
        self._moving = threading.Lock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        while True:
            inner = self._inner
            try:
                response = next(inner)
            except StopIteration:
                self._course.count(None)
                self._course.end()
                raise
            except FAILURES as failure:
                self._move(inner, failure)
            else:
                # From now on the caller has had a part of it.
                self._again = None
                return response

    next = __next__

    def _move(self, inner: Any, failure: Exception) -> None:
        with self._moving:
            if inner is not self._inner:
                # Another thread that reads has moved it.
                return
            try:
                if self._again is not None:
                    self._course.move(failure)
                    self._inner = self._again()
                    return
                error = self._course.error_of(failure)
                raise error from (None if error is failure else failure)
            except Exception as final:
                self._course.count(final)
                self._course.end()
                raise


grpc.Future.register(LeasedFuture)
grpc.Call.register(LeasedFuture)
grpc.Call.register(LeasedStream)
