"""The start of blocking calls: credentials, refusals, and the thread that is told of their end."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from time import monotonic
from typing import Any

import grpc

from ferrule import _core
from ferrule._finalizers import finalizer
from ferrule.channel.core_call import CoreCall, EndedCall, Pairs
from ferrule.channel.credentials import CallMetadataError, blocking_call_metadata, service_url
from ferrule.channel.errors import note_begun
from ferrule.channel.status import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    INTERNAL,
    UNAUTHENTICATED,
    UNAVAILABLE,
    CloseStatus,
)
from ferrule.channel.sync.worker import Worker

__all__ = ["CallFactory"]

_CLOSED = "Cannot invoke RPC on closed channel!"


class CallFactory:
    """Starts the calls of one channel. Stubs hold the factory, and the core's channel is closed with the last holder.

    Args:
        core: The channel of the core.
        secure: Whether calls may carry credentials.
        call_credentials: Credentials of every call, or None.
        authority: The server's name and port, as call credentials are told, such as `example.com:443`.
        close_status: The status of calls that are under way when the channel is closed.
    """

    def __init__(
        self,
        core: _core.Channel,
        secure: bool,
        call_credentials: grpc.CallCredentials | None,
        authority: str,
        close_status: CloseStatus,
    ) -> None:
        self._core = core
        self._secure = secure
        self._call_credentials = call_credentials
        self._authority = authority
        self._close_status = close_status
        self._lock = threading.Lock()
        self._closed = False
        self._worker: Worker | None = None
        # The thread may outlive the channel's hold on it.
        self._started_worker: Callable[[], Worker | None] = lambda: None

    @finalizer
    def __del__(self) -> None:
        # An __init__ that raised leaves no such attribute. In a forked child the worker's lock and pipe are those of
        # the parent.
        if not getattr(self, "_closed", True) and not _core.is_forked():
            self._end(CANCELLED, "Channel deallocated!")

    def start(
        self,
        worker: Worker | None,
        receiver: Callable[[], object] | None,
        method: str | bytes,
        request: bytes | None,
        single_response: bool,
        timeout: float | None,
        metadata: Pairs | None,
        credentials: grpc.CallCredentials | None,
        wait_for_ready: bool | None,
        compression: grpc.Compression | None,
    ) -> CoreCall:
        """Starts a call, or returns an `EndedCall` if it has failed before.

        Args:
            worker: Runs the receiver; None for a call whose end a thread waits for.
            receiver: Called at the end of the call; None without a worker.
            method: `/package.Service/Method`.
            request: The message; None for a stream of requests.
            single_response: Whether the method has exactly one response.
            timeout: Seconds to the deadline; None for no deadline.
            metadata: Pairs of key and value; None for no metadata.
            credentials: Credentials of this call, after the channel's; None for none.
            wait_for_ready: Whether the call outwaits failed attempts to connect; None for False.
            compression: Compression of the requests; None for the channel's.

        Raises:
            ValueError: The channel is closed, or the metadata are no pairs.
            TypeError: An argument is of the wrong type.
        """
        if self._closed:
            raise note_begun(ValueError(_CLOSED), False)
        if credentials is not None or self._call_credentials is not None:
            deadline = None if timeout is None else monotonic() + timeout
            found = self._authorized(method, deadline, metadata, credentials)
            if isinstance(found, EndedCall):
                return found
            metadata = found
            timeout = None if deadline is None else deadline - monotonic()
        try:
            return self._core.call(
                None if worker is None else worker.mailbox,
                receiver,
                method,
                request,
                single_response,
                metadata,
                timeout,
                bool(wait_for_ready),
                compression if compression is None else int(compression),
            )
        except ValueError as error:
            if not str(error).startswith("Illegal header"):
                raise
            refused = EndedCall(INTERNAL, "Invalid metadata")
            refused.debug_error_string = str(error)
            return refused

    def worker(self) -> Worker:
        """Returns the thread that is told of the end of calls; the first call that needs the thread starts it.

        Raises:
            ValueError: The channel is closed.
            LaunchError: The system provides no thread.
        """
        if self._closed:
            raise note_begun(ValueError(_CLOSED), False)
        if self._worker is None:
            with self._lock:
                if self._worker is None and not self._closed:
                    worker = Worker("ferrule-callbacks")
                    # A worker whose thread was refused must not be left for the next call.
                    worker.start()
                    self._worker, self._started_worker = worker, weakref.ref(worker)
        # Another thread may close the channel at any moment.
        running = self._worker
        if running is None:
            raise note_begun(ValueError(_CLOSED), False)
        return running

    def close(self) -> None:
        """Ends all calls, and refuses new ones from now on."""
        with self._lock:
            self._closed = True
        self._end(*self._close_status)

    @property
    def is_running(self) -> bool:
        """Whether the thread runs, so that callbacks may still come."""
        worker = self._started_worker()
        return worker is not None and worker.is_running

    def join(self, limit: float) -> None:
        """Waits until the callbacks have run, at most `limit` seconds."""
        worker = self._started_worker()
        if worker is not None:
            worker.join(limit)

    def _end(self, code: int, details: str) -> None:
        self._core.close(details, code)
        # Its thread and its calls hold the worker. A closed channel, which may be kept, must not hold its descriptors.
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.finish()

    def _authorized(
        self,
        method: str | bytes,
        deadline: float | None,
        metadata: Pairs | None,
        credentials: grpc.CallCredentials | None,
    ) -> list[tuple[Any, Any]] | EndedCall:
        """Returns the metadata with that of the credentials added, the channel's before the call's.

        Returns an `EndedCall` instead if the channel has no TLS, or if the credentials gave no metadata or not in time.
        """
        if not self._secure:
            return EndedCall(UNAUTHENTICATED, "Call credentials need a secure channel, and this one is not.")
        path = method.decode() if isinstance(method, bytes) else method
        url = service_url(self._authority, path)
        pairs: list[tuple[Any, Any]] = list(metadata or ())
        try:
            for each in filter(None, (self._call_credentials, credentials)):
                left = None if deadline is None else max(0.0, deadline - monotonic())
                pairs += blocking_call_metadata(each, url, path, left)
        except CallMetadataError as error:
            return EndedCall(UNAVAILABLE, str(error))
        except TimeoutError:
            return EndedCall(DEADLINE_EXCEEDED, "Deadline Exceeded")
        return pairs
