"""Workers: the tasks of a pool, which start, configure, watch and stop its processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from ferrule.errors import RPCPluginError
from ferrule.pool.aio.cleanup import to_the_end
from ferrule.pool.aio.exits import EXITS, leave_loop
from ferrule.pool.aio.interfaces import Home
from ferrule.pool.aio.process import Launcher, PooledProcess
from ferrule.pool.errors import PoolError
from ferrule.pool.policy import Plugin
from ferrule.pool.tracing import StartTrace, tell

__all__ = ["Workers"]


class Workers:
    """The tasks of one pool.

    Each of them tells the policy how it ended, also when the loop ends and cancels it.

    Args:
        home: The driver.
        launcher: Makes the clients.
    """

    def __init__(self, home: Home, launcher: Launcher) -> None:
        self._home = home
        self._launcher = launcher
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs something that is over before the pool is."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def ended(self, on_cancel: Callable[[], None]) -> None:
        """Returns when no task is left; a caller who is cancelled meanwhile gets no answer earlier, but is told of."""
        while self._tasks:
            try:
                await asyncio.wait(self._tasks)
            except asyncio.CancelledError:
                on_cancel()

    def start(self, plugin: Plugin) -> None:
        """Starts a plugin's process."""
        try:
            client = self._launcher(plugin.entry.spec)
        except Exception as error:  # noqa: BLE001 - those who wait are told.
            self._home.policy_now.failed(plugin, error, self._home.clock.now())
            return
        process = plugin.driver = PooledProcess(plugin, client, self._home, self._home.accounts.of(plugin.entry.spec))
        process.starting = self.run(self._start(plugin, process))

    def configure(self, plugin: Plugin) -> None:
        """Runs the spec's `on_start`."""
        process: PooledProcess = plugin.driver
        process.has_begun = False
        process.starting = self.run(self._configure(plugin, process))

    def abandon(self, plugin: Plugin) -> None:
        """Cancels the start or the configuration of a plugin."""
        process: PooledProcess = plugin.driver
        assert process.starting is not None
        if process.has_begun:
            process.starting.cancel()
        else:
            # A task that is cancelled before it has run does not run at all.
            process.starting.cancel()
            process.starting = self.run(self._failed(plugin, process, asyncio.CancelledError()))

    def stop(self, plugin: Plugin, reason: str) -> None:
        """Ends a plugin's process; calls that still run are told that the pool did it."""
        process: PooledProcess = plugin.driver
        process.is_ending = True
        process.end_calls(revoked=reason != "crash")
        process.has_begun = False
        task = self.run(self._stop(plugin, process, reason))
        task.add_done_callback(partial(self._stop_after_all, plugin, process, reason))

    def _stop_after_all(self, plugin: Plugin, process: PooledProcess, reason: str, _task: object) -> None:
        """The end of a loop cancels tasks, also one that has not run: such a task does not run at all."""
        if not process.has_begun:
            self.run(self._stop(plugin, process, reason))

    async def _start(self, plugin: Plugin, process: PooledProcess) -> None:
        home, client = self._home, process.client
        process.has_begun = True
        try:
            await client.start()
            process.open()
        except GeneratorExit:
            # The loop is gone, and nothing can be awaited.
            raise
        except BaseException as error:  # noqa: BLE001 - those who wait are told.
            if isinstance(error, RPCPluginError):
                # It is the cause of what callers get, and its frames tell nothing: all are of the pool and the client.
                error.__traceback__ = None
            await self._failed(plugin, process, error)
            return
        now = home.clock.now()
        home.accounts.started(plugin, client.timings, now)
        memory = home.resources.started(plugin, client.pid)
        if plugin.entry.spec.on_start is None:
            self._start_ended(plugin, process, None)
        home.policy_now.launched(plugin, now, memory)
        self.run(self._watch(plugin, process))
        home.carry_out()

    async def _configure(self, plugin: Plugin, process: PooledProcess) -> None:
        home, on_start = self._home, plugin.entry.spec.on_start
        assert on_start is not None
        process.has_begun = True
        before = home.clock.now()
        try:
            await on_start(process.client)
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - those who wait are told.
            await self._failed(plugin, process, error)
            if isinstance(error, EXITS):
                leave_loop(error)
            return
        now = home.clock.now()
        home.accounts.of(plugin.entry.spec).start_phases["configure"].add(now - before)
        self._start_ended(plugin, process, None, {"configure": now - before})
        home.policy_now.configured(plugin, now)
        home.carry_out()

    async def _failed(self, plugin: Plugin, process: PooledProcess, error: BaseException) -> None:
        process.is_ending = True
        await to_the_end(partial(_end, process))
        self._home.resources.ended(plugin)
        self._start_ended(plugin, process, error)
        self._home.policy_now.failed(plugin, _told(error), self._home.clock.now())
        self._home.carry_out()

    def _start_ended(
        self,
        plugin: Plugin,
        process: PooledProcess,
        error: BaseException | None,
        more_phases: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """Counts a start, and has it traced before those who waited go on."""
        home = self._home
        home.accounts.start_ended(plugin, error)
        if home.tracer is not None:
            now = home.clock.now()
            started_at = now if plugin.started_at is None else plugin.started_at
            entry, client = plugin.entry, process.client
            seconds, slot_wait = now - started_at, max(0.0, started_at - plugin.queued_at)
            phases = {**client.timings, **more_phases}
            start = StartTrace(str(entry.spec.name), entry.key, client.pid, seconds, slot_wait, phases, error)
            tell(home.tracer.start_ended, start)

    async def _watch(self, plugin: Plugin, process: PooledProcess) -> None:
        try:
            await process.client.wait_exited()
        except asyncio.CancelledError:
            # The loop ends, and nobody has closed the pool.
            if not process.is_ending:
                process.end_calls(revoked=True)
                await to_the_end(partial(_end, process))
            raise
        if not process.is_ending:
            self._home.lost(plugin, process.exit_error())

    async def _stop(self, plugin: Plugin, process: PooledProcess, reason: str) -> None:
        home = self._home
        process.has_begun = True
        cpu = home.resources.ended(plugin)
        await to_the_end(partial(_end, process))
        home.accounts.ended(plugin, process.client, reason, cpu)
        home.policy_now.stopped(plugin, home.clock.now())
        home.carry_out()


async def _end(process: PooledProcess) -> None:
    """Ends a process by the whole ladder, then gives all back: calls under way are told of the plugin's end."""
    try:
        await process.client.shutdown_plugin()
    finally:
        await process.client.close()


def _told(error: BaseException) -> Exception:
    """The failure of a start, for those who waited."""
    if isinstance(error, Exception):
        return error
    told = PoolError("the start was given up", None, "pool.abandoned")
    if not isinstance(error, asyncio.CancelledError):
        told = PoolError(f"on_start ended with {error!r}", None, "pool.abandoned")
        told.__cause__ = error
    return told
