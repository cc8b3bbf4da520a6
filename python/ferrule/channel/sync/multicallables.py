"""The callables of stubs for threads: one object per method, in four kinds."""

from __future__ import annotations

import abc
import functools
import logging
from collections.abc import Callable, Iterable
from typing import Any

import grpc

from ferrule._gevent import refuse_greenlets
from ferrule.channel.core_call import END, CoreCall, EndedCall, Pairs
from ferrule.channel.status import CANCELLED, INTERNAL, LOCALLY_CANCELLED, NOT_DESERIALIZED, NOT_SERIALIZED
from ferrule.channel.sync.call_factory import CallFactory
from ferrule.channel.sync.calls import Deserializer, FailedCall, UnaryCall, deserialized
from ferrule.channel.sync.request_stream import Serializer, send_requests
from ferrule.channel.sync.stream_response import StreamCall
from ferrule.channel.sync.worker import Worker

__all__ = ["StreamStream", "StreamUnary", "UnaryStream", "UnaryUnary"]

_logger = logging.getLogger(__name__)


class _MultiCallable(abc.ABC):
    """The base of the four kinds. `options` are the arguments of a call from `timeout` on, in their order."""

    def __init__(
        self,
        call_factory: CallFactory,
        method: str | bytes,
        serializer: Serializer | None,
        deserializer: Deserializer | None,
    ) -> None:
        refuse_greenlets("the blocking channel")
        self._call_factory = call_factory
        self._method = method
        self._serializer = serializer
        self._deserializer = deserializer

    @abc.abstractmethod
    def _start(
        self, worker: Worker | None, receiver: Callable[[], object] | None, requests: Any, single: bool, options: Any
    ) -> CoreCall: ...

    def _response(self, core: CoreCall) -> Any:
        """Waits for the end of a call and returns its response.

        Raises:
            FailedCall: The call failed, or the response cannot be deserialized.
        """
        try:
            core.wait(END, None)
        except BaseException:
            # Ctrl-C, for example: the response is not wanted any more.
            core.cancel(CANCELLED, LOCALLY_CANCELLED)
            raise
        data = core.message()
        if data is None:
            raise FailedCall(core)
        response = deserialized(data, self._deserializer)
        if response is None:
            raise FailedCall(EndedCall.in_place_of(core, INTERNAL, NOT_DESERIALIZED))
        return response

    def _response_and_call(self, core: CoreCall) -> tuple[Any, UnaryCall]:
        response = self._response(core)
        return response, UnaryCall.finished(core, response)

    def _future(self, requests: Any, options: Any) -> UnaryCall:
        worker = self._call_factory.worker()
        call = UnaryCall(worker, self._deserializer, options[0])
        call.attach(self._start(worker, call.receiver, requests, True, options))
        return call

    def _stream(self, requests: Any, options: Any) -> StreamCall:
        worker = self._call_factory.worker()
        call = StreamCall(worker, self._deserializer, options[0])
        call.attach(self._start(worker, call.receiver, requests, False, options))
        return call


class _UnaryRequest(_MultiCallable):
    def _start(
        self, worker: Worker | None, receiver: Callable[[], object] | None, requests: Any, single: bool, options: Any
    ) -> CoreCall:
        data: bytes | None = None
        try:
            data = requests if self._serializer is None else self._serializer(requests)
        except Exception:
            _logger.exception(NOT_SERIALIZED)
        if data is None:
            raise FailedCall(EndedCall(INTERNAL, NOT_SERIALIZED))
        return self._call_factory.start(worker, receiver, self._method, data, single, *options)


class _StreamRequest(_MultiCallable):
    def _start(
        self, worker: Worker | None, receiver: Callable[[], object] | None, requests: Any, single: bool, options: Any
    ) -> CoreCall:
        core = self._call_factory.start(worker, receiver, self._method, None, single, *options)
        if not isinstance(core, EndedCall):
            ended = _no_notice if worker is None or receiver is None else functools.partial(worker.post, receiver)
            send_requests(core, requests, self._serializer, ended)
        return core


def _no_notice() -> None:
    """Does nothing: a caller that is blocked in its call learns of the end from the core."""


class UnaryUnary(_UnaryRequest, grpc.UnaryUnaryMultiCallable):  # type: ignore[type-arg] # Generic for type checkers only.
    """A method with one request and one response."""

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        options = (timeout, metadata, credentials, wait_for_ready, compression)
        return self._response(self._start(None, None, request, True, options))

    def with_call(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> tuple[Any, UnaryCall]:
        options = (timeout, metadata, credentials, wait_for_ready, compression)
        return self._response_and_call(self._start(None, None, request, True, options))

    def future(  # type: ignore[override] # Its result type is known to type checkers only.
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> UnaryCall:
        return self._future(request, (timeout, metadata, credentials, wait_for_ready, compression))


class UnaryStream(_UnaryRequest, grpc.UnaryStreamMultiCallable):  # type: ignore[type-arg] # Generic for type checkers only.
    """A method with one request and a stream of responses."""

    def __call__(  # type: ignore[override] # Its result type is known to type checkers only.
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> StreamCall:
        return self._stream(request, (timeout, metadata, credentials, wait_for_ready, compression))


class StreamUnary(_StreamRequest, grpc.StreamUnaryMultiCallable):  # type: ignore[type-arg] # Generic for type checkers only.
    """A method with a stream of requests and one response."""

    def __call__(
        self,
        request_iterator: Iterable[Any],
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        options = (timeout, metadata, credentials, wait_for_ready, compression)
        return self._response(self._start(None, None, request_iterator, True, options))

    def with_call(
        self,
        request_iterator: Iterable[Any],
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> tuple[Any, UnaryCall]:
        options = (timeout, metadata, credentials, wait_for_ready, compression)
        return self._response_and_call(self._start(None, None, request_iterator, True, options))

    def future(  # type: ignore[override] # Its result type is known to type checkers only.
        self,
        request_iterator: Iterable[Any],
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> UnaryCall:
        return self._future(request_iterator, (timeout, metadata, credentials, wait_for_ready, compression))


class StreamStream(_StreamRequest, grpc.StreamStreamMultiCallable):  # type: ignore[type-arg] # Generic for type checkers only.
    """A method with a stream of requests and a stream of responses."""

    def __call__(  # type: ignore[override] # Its result type is known to type checkers only.
        self,
        request_iterator: Iterable[Any],
        timeout: float | None = None,
        metadata: Pairs | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> StreamCall:
        return self._stream(request_iterator, (timeout, metadata, credentials, wait_for_ready, compression))
