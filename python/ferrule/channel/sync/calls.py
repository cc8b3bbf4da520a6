"""Blocking calls: each is a `grpc.Call`, a `grpc.Future`, and the `grpc.RpcError` of its own failure."""

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

from ferrule._finalizers import finalizer
from ferrule.channel.core_call import END, HEADERS, CoreCall, EndedCall
from ferrule.channel.errors import note_begun
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
    """Returns the class by which programs catch failures of grpcio's calls; `Failure` in a release without it.

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
    """A pair of metadata, with grpcio's names for its fields."""

    key: str
    value: str | bytes


class Receiver:
    """Runs the callbacks of a call at its end, when the core calls it. The core holds it until then.

    It holds the call weakly, so that a call without holders is collected, unless callbacks wait for its end.
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
    """Returns the message; None if the deserializer raised, which is logged, or returned None."""
    if deserializer is None:
        return data
    try:
        return deserializer(data)
    except Exception:
        _logger.exception(NOT_DESERIALIZED)
        return None


class BaseCall(Failure):
    """The base of calls with one response and of calls with a stream of responses.

    Args:
        worker: Runs the callbacks; None for a call that has ended.
        deserializer: Deserializes responses; None for responses in bytes.
        timeout: Seconds from now to the deadline; None for no deadline.
    """

    def __init__(self, worker: Worker | None, deserializer: Deserializer | None, timeout: float | None) -> None:
        self.receiver = Receiver(self)
        self._core: CoreCall
        self._worker = worker
        self._deserializer = deserializer
        self._deadline = None if timeout is None else monotonic() + timeout
        # Reentrant: a deserializer is the user's, and runs while the lock is held.
        self._lock = threading.RLock()
        # None once the callbacks have run.
        self._callbacks: list[Callable[[], object]] | None = None if worker is None else []
        self._cancelled = False

    def attach(self, core: CoreCall) -> None:
        """Connects this call with the core's; called once, at the start."""
        self._core = core
        if isinstance(core, EndedCall):
            self._callbacks = None

    @finalizer
    def __del__(self) -> None:
        # A call whose start raised has no call of the core.
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

    @property
    def begun(self) -> bool:
        """Whether the peer may have seen the request. Final once the call has ended; does not wait.

        Certainly False if no connection took the call before it ended, or if the peer says that it never processed it.
        """
        return self._core.begun

    @property
    def answered(self) -> bool:
        """Whether the status is the peer's own word; this side's is that of a lost connection, for example."""
        return self._core.answered

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
            # The core does not announce an end that came from this side.
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
        """Runs the callbacks, once, on the worker's thread."""
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
            # Without its old traceback, to which each raise would add.
            raise error.with_traceback(None)
        return self._value()

    def exception(self, timeout: float | None = None) -> Exception | None:
        if not self._settle(None if timeout is None else max(0.0, timeout)):
            raise grpc.FutureTimeoutError
        if self._core.code == OK:
            return None
        if self._cancelled:
            raise note_begun(grpc.FutureCancelledError(), self._core.begun)
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
        """Waits for the status, and for a single response; returns False after `timeout` seconds."""
        return self._core.wait(END, timeout)

    def _has_unread(self) -> bool:
        return False

    def _value(self) -> Any:
        return None

    def _replace(self, code: int, details: str) -> None:
        """Has the call end as given, whatever the end of the core's call."""
        self._core = EndedCall.in_place_of(self._core, code, details)


class _UnaryResponse(BaseCall):
    """A call with one response."""

    _response: Any = _UNREAD

    def _settle(self, timeout: float | None) -> bool:
        core = self._core
        if not core.wait(END, timeout):
            return False
        # The core gives the message once; a second thread waits until the first has deserialized it.
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
    """A call with one response: a future, or the call that `with_call` returns."""

    # grpcio's class by which failures are caught is an iterator; a call with one response is none.
    __iter__ = __next__ = next = None

    @classmethod
    def finished(cls, core: CoreCall, response: Any) -> Self:
        """Returns a call whose response is known."""
        call = cls(None, None, None)
        call.attach(core)
        call._response = response
        return call


class FailedCall(_UnaryResponse, InactiveRpcError):  # noqa: N818 - caught by the names of its bases.
    """The failure that a blocking call raises, and the form in which any call is unpickled."""

    def __init__(self, core: CoreCall | str) -> None:
        super().__init__(None, None, None)
        # Programs make exceptions anew from class and text, for example to carry them to another thread. Whether such a
        # call had begun is not known, and True is the answer that is safe.
        ended = EndedCall(INTERNAL, core, begun=True) if isinstance(core, str) else EndedCall.copy_of(core)
        # A copy, since the core's call would keep the message and the connection.
        self.attach(ended)
