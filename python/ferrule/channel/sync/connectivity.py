"""Subscriptions to the state of a blocking channel."""

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
    """The subscribers of a channel: each is told the state at once, then each change.

    One thread tells them, and lives as long as there are subscribers.

    Args:
        core: The channel of the core.
    """

    def __init__(self, core: _core.Channel) -> None:
        self._core = core
        # Reentrant: collecting garbage while it is held can end in `abandon`.
        self._lock = threading.RLock()
        # Each subscriber with the state that it was told last.
        self._subscribers: list[tuple[Subscriber, list[grpc.ChannelConnectivity]]] = []
        self._watching = False
        self._worker: Worker | None = None
        # The thread may outlive the channel's hold on it.
        self._started_worker: Callable[[], Worker | None] = lambda: None

    def subscribe(self, subscriber: Subscriber) -> None:
        """Adds a subscriber, and starts the thread if there is none.

        Raises:
            LaunchError: The system provides no thread.
        """
        with self._lock:
            self._subscribers.append((subscriber, []))
            if self._worker is None:
                self._worker = Worker("ferrule-connectivity")
                self._started_worker = weakref.ref(self._worker)
            self._worker.start()
            self._worker.post(self._deliver)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Removes a subscriber, and ends the thread after the last one; does nothing for an unknown subscriber."""
        with self._lock:
            known = [each for each, _ in self._subscribers]
            if subscriber in known:
                del self._subscribers[known.index(subscriber)]
            if not self._subscribers:
                self._stop()

    def abandon(self) -> None:
        """Removes all subscribers and ends the thread."""
        with self._lock:
            self._subscribers.clear()
            self._stop()

    def release(self) -> None:
        """Lets go of a thread that has nobody to tell: a closed channel, which may be kept, holds no descriptor."""
        with self._lock:
            if not self._subscribers:
                self._worker = None

    @property
    def is_running(self) -> bool:
        """Whether the thread runs, so that subscribers may still be told."""
        worker = self._started_worker()
        return worker is not None and worker.is_running

    def join(self, limit: float) -> None:
        """Waits until the subscribers have been told of the channel's end, at most `limit` seconds."""
        worker = self._started_worker()
        if worker is not None:
            worker.join(limit)

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
                # No other state follows. The thread holds the worker until it ends.
                self._subscribers.clear()
                self._stop()
                self._worker = None
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
        # The mailbox holds the future, so the future must hold neither the worker nor this object; the mailbox resolves
        # the future on the worker's thread.
        change: concurrent.futures.Future[None] = concurrent.futures.Future()
        method = weakref.WeakMethod(self._changed)
        change.add_done_callback(lambda _: (changed := method()) and changed())
        self._core.watch_state(last, self._worker.mailbox, change)  # type: ignore[arg-type]

    def _changed(self) -> None:
        with self._lock:
            self._watching = False
        self._deliver()
