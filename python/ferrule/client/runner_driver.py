"""The link between the core, which asks, and a runner, which starts and ends one plugin."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import logging
import os
from collections.abc import Coroutine
from typing import Any

from ferrule import _core
from ferrule._mailbox import mailbox
from ferrule._validation import Environment
from ferrule.errors import RPCPluginError
from ferrule.runner import Runner, RunnerLaunch, RunningPlugin

__all__ = ["RunnerDriver"]

_logger = logging.getLogger(__name__)

# Seconds that a runner has for ending its plugin, and for giving up a start, as the core has for a plugin of its own.
_RUNNER_LIMIT = 10.0
# Seconds. An interpreter that ends must end.
_EXIT_LIMIT = 1.0

# Drivers with a plugin that may still run at the exit.
_open_drivers: set[RunnerDriver] = set()


class RunnerDriver:
    """Has a runner start one plugin, and passes the core's requests to it, on the running event loop.

    The driver holds no reference to the client: the mailbox keeps the driver alive, and a client that nobody closed
    must stay collectable.

    Args:
        runner: Starts the plugin.

    Attributes:
        desk: The core's requests, for its setting `runner`.
        failure: The latest exception of the runner; None before the first.
    """

    def __init__(self, runner: Runner) -> None:
        _end_at_exit()
        self.requests = _core.RunnerRequests(mailbox(), self._receive)
        self.failure: Exception | None = None
        self._runner = runner
        self._loop = asyncio.get_running_loop()
        self._process_id = os.getpid()
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[None] | None = None
        self._running: RunningPlugin | None = None
        self._watching: asyncio.Task[None] | None = None
        self._has_ended = False
        self._closing: asyncio.Task[None] | None = None
        _open_drivers.add(self)

    async def close(self) -> None:
        """Gives up a start, ends the plugin, and returns when that is done or the runner takes too long for it."""
        # A caller that is cancelled must not stop the cleaning up.
        await asyncio.shield(self._begin_to_close())

    def abandon(self) -> None:
        """Schedules `close()` without waiting; called by the finalizer of a client, on any thread."""
        # A loop that is closed runs nothing any more; then the plugin is ended at the exit.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._begin_to_close)

    def _receive(self) -> None:
        for request, kind, payload in self.requests.take():
            task = self._spawn(self._answer(request, kind, payload))
            if kind == "start":
                self._starting = task

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work, name="ferrule runner")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _answer(self, request: int, kind: str, payload: Any) -> None:
        try:
            if kind == "start":
                await self._start(request, payload)
            elif kind in {"kill", "terminate"}:
                await self._signal(kind)
            else:
                network, address = await getattr(self._running, kind)(*payload)
                self.requests.translated(request, network, address)
        except asyncio.CancelledError:
            self.requests.fail(request, self._describe(kind, "it was cancelled"))
            raise
        except Exception as error:  # noqa: BLE001 - the user's code; raised to the caller that starts the client or dials.
            self.failure = error
            text = error.message if isinstance(error, RPCPluginError) else str(error)
            self.requests.fail(request, self._describe(kind, f"{type(error).__name__}: {text}"))

    def _describe(self, kind: str, failure: str) -> str:
        return f"the runner {type(self._runner).__name__} failed in {kind}(): {failure}"

    async def _start(self, request: int, order: _core.LaunchOrder) -> None:
        launch = RunnerLaunch(
            command=tuple(order.command),
            environment=Environment(order.environment),
            cwd=order.cwd,
            socket_directory=order.socket_directory,
        )
        running = await self._runner.start(launch)
        if not isinstance(running, RunningPlugin):
            raise TypeError(f"it returned {running!r}, expected a RunningPlugin")
        # Stored first, so that any failure from here on is followed by the plugin's end.
        self._running = running
        self._watching = self._spawn(self._watch(running))
        try:
            self.requests.started(request, running.stdout, running.stderr, running.pid)
        finally:
            # The core has duplicates of its own.
            for descriptor in {running.stdout, running.stderr}:
                os.close(descriptor)

    async def _watch(self, running: RunningPlugin) -> None:
        status = None
        try:
            status = await running.wait()
            self._has_ended = True
        except asyncio.CancelledError:
            # The loop ends, and could not end the plugin later.
            await self._signal("kill")
            with contextlib.suppress(Exception):
                status = await asyncio.wait_for(running.wait(), _RUNNER_LIMIT)
                self._has_ended = True
            raise
        except Exception:
            _logger.exception("the end of a plugin cannot be noticed: its runner failed in wait()")
        finally:
            self.requests.exited(status)

    async def _signal(self, kind: str) -> None:
        """Asks the runner to end the plugin. A failure is logged: the core goes by the plugin's end alone."""
        try:
            await asyncio.wait_for(getattr(self._running, kind)(), _RUNNER_LIMIT)
        except Exception:
            _logger.exception("a plugin may live on: its runner failed in %s()", kind)

    def _begin_to_close(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = self._loop.create_task(self._close(), name="ferrule runner close")
        return self._closing

    async def _close(self) -> None:
        try:
            if self._starting is not None and not self._starting.done():
                self._starting.cancel()
                await asyncio.wait([self._starting], timeout=_RUNNER_LIMIT)
            if self._watching is not None and not self._has_ended:
                await self._signal("kill")
                await asyncio.wait([self._watching], timeout=_RUNNER_LIMIT)
            # The rest are translations that are no longer awaited, and the wait for a plugin that does not end.
            left = set(self._tasks)
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=_RUNNER_LIMIT)
        finally:
            self.requests.close()
            _open_drivers.discard(self)

    async def _kill_if_running(self) -> None:
        if self._running is not None and not self._has_ended:
            await self._running.kill()


@functools.cache
def _end_at_exit() -> None:
    # Registered after the core's own function for the exit, and hence run before it, which would wait for these
    # plugins.
    atexit.register(_end_all)


def _end_all() -> None:
    """Kills the plugins of loops that run no more."""
    # In a fork, the plugins belong to the parent.
    drivers = [driver for driver in list(_open_drivers) if driver._process_id == os.getpid()]

    async def kill() -> None:
        killing = (driver._kill_if_running() for driver in drivers)
        await asyncio.wait_for(asyncio.gather(*killing, return_exceptions=True), _EXIT_LIMIT)

    if drivers:
        with contextlib.suppress(Exception):
            asyncio.run(kill())
    for driver in drivers:
        driver.requests.close()
