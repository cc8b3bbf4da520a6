"""Calls of the blocking interface: each is a `grpc.Call`, a `grpc.Future` and the `grpc.RpcError` of its failure."""

from __future__ import annotations

import functools
import logging
import threading
import weakref
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import grpc
from grpc import _channel

from ferrule.channel.core_call import END, HEADERS, CoreCall, EndedCall
from ferrule.channel.status import CANCELLED, CODES, COLLECTED, INTERNAL, LOCALLY_CANCELLED, NOT_DESERIALIZED, OK
from ferrule.channel.sync.worker import Worker

__all__ = [
    "BaseCall",
    "Deserializer",
    "FailedCall",
    "Failure",
    "Metadatum",
    "MultiThreadedRendezvous",
    "Receiver",
    "UnaryCall",
    "deserialized",
    "grpcio_class",
]

_UNREAD: Any = object()

Deserializer = Callable[[bytes], Any]

_logger = logging.getLogger(__name__)


class Failure(grpc.RpcError, grpc.Call, grpc.Future):  # type: ignore[type-arg, misc] # As in grpcio.
    """The bases of each class of grpcio's that `grpcio_class` looks for."""


def grpcio_class(name: str) -> type[Failure]:
    """The class of grpcio's blocking calls by which programs catch failures; `Failure` in a release without it.

    The names are private, but grpcio's tracebacks show them. Subclasses use nothing of these classes but the name.
    """
    found = getattr(_channel, name, Failure)
    fits = isinstance(found, type) and all(issubclass(found, base) for base in Failure.__bases__)
    return found if fits else Failure


if TYPE_CHECKING:

    class InactiveRpcError(Failure): ...

    class MultiThreadedRendezvous(Failure): ...
else:
    InactiveRpcError = grpcio_class("_InactiveRpcError")
    MultiThreadedRendezvous = grpcio_class("_MultiThreadedRendezvous")


class Metadatum(NamedTuple):
    """One pair of metadata."""

    key: str
    value: str | bytes


class Receiver:
    """What the core calls at the end of a call, and holds until then.

    It holds the call weakly, so that one that nobody wants can be collected, unless callbacks wait for the end.
    """

    __slots__ = ("_call", "held")

    def __init__(self, call: BaseCall) -> None:
        self._call = weakref.ref(call)
        self.held: BaseCall | None = None

    def __call__(self) -> None:
        call = self._call()
        self.held = None
        if call is not None:
            call.run_callbacks()


def deserialized(data: bytes, deserializer: Deserializer | None) -> Any:
    """The message; None if it cannot be read."""
    if deserializer is None:
        return data
    try:
        return deserializer(data)
    except Exception:
        _logger.exception(NOT_DESERIALIZED)
        return None


class BaseCall(Failure):
    """What calls with one response and calls with many share.

    Args:
        worker: Runs the callbacks; None for a call that has ended.
        deserializer: For responses; None leaves them as they are.
        timeout: Seconds from now to the deadline; None for none.
    """

    def __init__(self, worker: Worker | None, deserializer: Deserializer | None, timeout: float | None) -> None:
        self.receiver = Receiver(self)
        self._core: CoreCall
        self._worker = worker
        self._deserializer = deserializer
        self._deadline = None if timeout is None else monotonic() + timeout
        # Reentrant, since deserializers are the user's.
        self._lock = threading.RLock()
        # None once they have run.
        self._callbacks: list[Callable[[], object]] | None = None if worker is None else []
        self._cancelled = False

    def attach(self, core: CoreCall) -> None:
        """Says which call of the core this is; done once, at the start."""
        self._core = core
        if isinstance(core, EndedCall):
            self._callbacks = None

    def __del__(self) -> None:
        # A call whose start raised has no core.
        core = getattr(self, "_core", None)
        if core is not None and core.cancel(CANCELLED, COLLECTED) and self._worker is not None:
            self._worker.wake()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._core.code is None:
            raise TypeError("a call under way cannot be pickled")
        return FailedCall, (EndedCall.copy_of(self._core),)

    def __repr__(self) -> str:
        core = self._core
        if core.code is None:
            return f"<{type(self).__name__} under way>"
        lines = [f"status = {CODES[core.code]}", f'details = "{core.details}"']
        if core.code != OK:
            lines.append(f'debug_error_string = "{core.debug_error_string}"')
        return "\n\t".join([f"<{type(self).__name__} of RPC that terminated with:", *lines]) + "\n>"

    __str__ = __repr__

    def code(self) -> grpc.StatusCode:
        self._settle(None)
        number = self._core.code
        assert number is not None
        return CODES[number]

    def details(self) -> str:
        self._settle(None)
        return self._core.details

    def debug_error_string(self) -> str:
        self._settle(None)
        return self._core.debug_error_string

    def initial_metadata(self) -> tuple[Metadatum, ...]:
        self._core.wait(HEADERS, None)
        return tuple(map(Metadatum._make, self._core.initial_metadata))

    def trailing_metadata(self) -> tuple[Metadatum, ...]:  # type: ignore[override]
        self._core.wait(END, None)
        return tuple(map(Metadatum._make, self._core.trailing_metadata))

    def is_active(self) -> bool:
        return self._core.code is None

    def running(self) -> bool:
        return self._core.code is None

    def done(self) -> bool:
        return self._core.code is not None

    def cancelled(self) -> bool:
        return self._cancelled

    def time_remaining(self) -> float | None:  # type: ignore[override]
        return None if self._deadline is None else max(0.0, self._deadline - monotonic())

    def cancel(self) -> bool:
        if self._core.cancel(CANCELLED, LOCALLY_CANCELLED):
            # The core tells nobody of what it was told.
            assert self._worker is not None
            self._worker.post(self.run_callbacks)
        elif not self._has_unread():
            return False
        self._cancelled = True
        self._replace(CANCELLED, LOCALLY_CANCELLED)
        return True

    def add_callback(self, callback: Callable[[], object]) -> bool:
        with self._lock:
            if self._callbacks is None:
                return False
            self._callbacks.append(callback)
            self.receiver.held = self
            return True

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        if not self.add_callback(functools.partial(fn, self)):
            fn(self)

    def run_callbacks(self) -> None:
        """Runs the callbacks, once; on the worker's thread."""
        with self._lock:
            callbacks, self._callbacks = self._callbacks, None
            self.receiver.held = None
        for callback in callbacks or ():
            try:
                callback()
            except Exception:
                _logger.exception("callback %r of a call failed", callback)

    def result(self, timeout: float | None = None) -> Any:
        error = self.exception(timeout)
        if error is not None:
            # Without the traceback of the last time, which would grow with each.
            raise error.with_traceback(None)
        return self._value()

    def exception(self, timeout: float | None = None) -> Exception | None:
        if not self._settle(None if timeout is None else max(0.0, timeout)):
            raise grpc.FutureTimeoutError
        if self._core.code == OK:
            return None
        if self._cancelled:
            raise grpc.FutureCancelledError
        return self

    def traceback(self, timeout: float | None = None) -> TracebackType | None:
        error = self.exception(timeout)
        if error is None:
            return None
        try:
            raise error
        except grpc.RpcError as raised:
            return raised.__traceback__

    def _settle(self, timeout: float | None) -> bool:
        """Waits until all is known that a user can ask for; False after `timeout` seconds."""
        return self._core.wait(END, timeout)

    def _has_unread(self) -> bool:
        return False

    def _value(self) -> Any:
        return None

    def _replace(self, code: int, details: str) -> None:
        """Has the call end otherwise than it did in the core."""
        self._core = EndedCall(code, details, list(self._core.initial_metadata))


class _UnaryResponse(BaseCall):
    """A call with one response."""

    _response: Any = _UNREAD

    def _settle(self, timeout: float | None) -> bool:
        core = self._core
        if not core.wait(END, timeout):
            return False
        # The core gives the message once; whoever comes second waits until it is read.
        with self._lock:
            if self._response is _UNREAD and core.code == OK:
                data = core.message()
                self._response = None if data is None else deserialized(data, self._deserializer)
                if self._response is None:
                    self._replace(INTERNAL, NOT_DESERIALIZED)
        return True

    def _value(self) -> Any:
        return self._response


class UnaryCall(_UnaryResponse, MultiThreadedRendezvous):
    """A call with one response that was not waited for, or that was successful."""

    # The name that it is caught by is that of an iterator.
    __iter__ = __next__ = next = None

    @classmethod
    def finished(cls, core: CoreCall, response: Any) -> Self:
        """A call whose response is known."""
        call = cls(None, None, None)
        call.attach(core)
        call._response = response
        return call


class FailedCall(_UnaryResponse, InactiveRpcError):  # noqa: N818 - caught by the names of its bases.
    """What a blocking call raises, and what is left of any failed call in another process."""

    def __init__(self, core: CoreCall | str) -> None:
        super().__init__(None, None, None)
        # Text is what those give who make an exception anew out of its class and its text.
        ended = EndedCall(INTERNAL, core) if isinstance(core, str) else EndedCall.copy_of(core)
        # The core's call would keep the message and the connection.
        self.attach(ended)
