"""Subscribers to the state of a channel."""

from __future__ import annotations

import concurrent.futures
import logging
import threading
import weakref
from collections.abc import Callable

import grpc

from ferrule import _core
from ferrule.channel.status import CONNECTIVITY
from ferrule.channel.sync.worker import Worker

__all__ = ["Connectivity"]

Subscriber = Callable[[grpc.ChannelConnectivity], None]

_SHUTDOWN = grpc.ChannelConnectivity.SHUTDOWN

_logger = logging.getLogger(__name__)


class Connectivity:
    """Tells each subscriber the state at once and then each change, on a thread that lives as long as there are any."""

    def __init__(self, core: _core.Channel) -> None:
        self._core = core
        # Reentrant: collecting garbage while it is held can end in `abandon`.
        self._lock = threading.RLock()
        # Each with the state that it was told last.
        self._subscribers: list[tuple[Subscriber, list[grpc.ChannelConnectivity]]] = []
        self._watching = False
        self._worker: Worker | None = None

    def subscribe(self, subscriber: Subscriber) -> None:
        with self._lock:
            self._subscribers.append((subscriber, []))
            if self._worker is None:
                self._worker = Worker("ferrule-connectivity")
            self._worker.start()
            self._worker.post(self._deliver)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        with self._lock:
            known = [each for each, _ in self._subscribers]
            if subscriber in known:
                del self._subscribers[known.index(subscriber)]
            if not self._subscribers:
                self._stop()

    def abandon(self) -> None:
        """Forgets all subscribers."""
        with self._lock:
            self._subscribers.clear()
            self._stop()

    @property
    def is_running(self) -> bool:
        """Whether subscribers are still to be told."""
        return self._worker is not None and self._worker.is_running

    def join(self, limit: float) -> None:
        """Waits until subscribers know of the channel's end, at most `limit` seconds."""
        if self._worker is not None:
            self._worker.join(limit)

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()

    def _deliver(self) -> None:
        number = self._core.state()
        state = CONNECTIVITY[number]
        with self._lock:
            due = []
            for subscriber, told in self._subscribers:
                if told != [state]:
                    told[:] = [state]
                    due.append(subscriber)
            if state is _SHUTDOWN:
                # The last state there is.
                self._subscribers.clear()
                self._stop()
            elif self._subscribers and not self._watching:
                self._watching = True
                self._watch(number)
        for subscriber in due:
            try:
                subscriber(state)
            except Exception:
                _logger.exception("a subscriber to the channel's state failed")

    def _watch(self, last: int) -> None:
        assert self._worker is not None
        # The mailbox resolves it on the worker's thread, and holds it: it must hold neither the worker nor us.
        change: concurrent.futures.Future[None] = concurrent.futures.Future()
        method = weakref.WeakMethod(self._changed)
        change.add_done_callback(lambda _: (changed := method()) and changed())
        self._core.watch_state(last, self._worker.mailbox, change)  # type: ignore[arg-type]

    def _changed(self) -> None:
        with self._lock:
            self._watching = False
        self._deliver()
