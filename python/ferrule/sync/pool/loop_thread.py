"""LoopThread: the thread on which the loop of a blocking pool runs."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, Final, TypeVar

from ferrule.pool import PoolError

__all__ = ["LoopThread", "ThreadEnded"]

Result = TypeVar("Result")

_logger = logging.getLogger("ferrule.pool")

_WAIT_SLICE: Final = 0.5
"""Seconds. A signal that arrives just before a wait begins does not end the wait: its handler runs after the slice."""


class ThreadEnded(RuntimeError):  # noqa: N818 - what has happened, not a fault.
    """The loop has ended, before or while it was asked for something."""

    def __init__(self) -> None:
        super().__init__("the pool's thread has ended")


class LoopThread:
    """A thread with an event loop, from `start` to `stop`. It keeps no process from its end."""

    def __init__(self) -> None:
        self._is_stopping = False
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=_run, args=(started,), name="ferrule-pool", daemon=True)
        self._thread.start()
        self.loop: Final = started.result()

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Has a function called on the loop, soon; does nothing after `stop`."""
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            # The loop is closed.
            return

    def begin(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Future[Result]:
        """Begins something on the loop, for whoever waits for it by `outcome`.

        Raises:
            PoolError: This is the loop's own thread, which would wait for itself.
            ThreadEnded: There is no loop any more.
        """
        if self.is_current:
            hint = "Functions that the pool calls, such as those of subscribe(), must not wait for the pool."
            raise PoolError("the pool's own thread cannot wait for the pool", hint, "pool.own-thread")
        coroutine = work()
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        except RuntimeError:
            coroutine.close()
            raise ThreadEnded from None

    def outcome(self, future: Future[Result], timeout: float | None = None) -> Result:
        """Waits for the outcome of what was begun; Ctrl-C ends the wait, and leaves the future as it is.

        Args:
            future: The future.
            timeout: Seconds to wait; default None, without limit.

        Raises:
            TimeoutError: There is none in time.
            ThreadEnded: There will be none: the loop has ended below it, or never come to it.
        """
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        if timeout is not None:
            if not done.wait(timeout):
                raise TimeoutError(f"not done after {timeout} s")
        else:
            while not done.wait(_WAIT_SLICE):
                # In this order: the thread's last deed may be the outcome.
                if not self._thread.is_alive() and not done.is_set():
                    raise ThreadEnded
        try:
            return future.result()
        except CancelledError:
            if self._is_stopping:
                raise ThreadEnded from None
            raise
        finally:
            # The future keeps an error, whose traceback would keep this frame, and the frame the future.
            del future

    def run(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Does something on the loop, and waits for its end; an interrupt cancels it.

        Raises:
            PoolError: As of `begin`.
            ThreadEnded: As of `outcome`.
        """
        future = self.begin(work)
        try:
            return self.outcome(future)
        except BaseException:
            future.cancel()
            raise

    @property
    def is_current(self) -> bool:
        """Whether the caller is this thread."""
        return threading.get_ident() == self._thread.ident

    def stop(self) -> None:
        """Ends the loop and its thread."""
        self.call(self.stop_loop)
        if not self.is_current:
            self._thread.join()

    def stop_loop(self) -> None:
        """Ends the loop, on its thread."""
        # A second stop would end what the loop does at its end.
        if not self._is_stopping:
            self._is_stopping = True
            self.loop.stop()


def _run(started: Future[asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        asyncio.set_event_loop(loop)
        loop.call_soon(started.set_result, loop)
        while True:
            try:
                loop.run_forever()
            except (KeyboardInterrupt, SystemExit) as error:
                # No signal comes to this thread: a subscriber or an `on_start` raised it. Others wait for the thread.
                _logger.error("a function that the pool called raised %r; the pool's thread goes on", error)
            else:
                return
