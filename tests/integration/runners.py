"""Runners of the tests, and a watch on what they leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

from conftest import children, descriptors
from ferrule import _core
from ferrule._mailbox import mailbox
from ferrule.client import runner_driver
from ferrule.runner import RunnerLaunch, RunningPlugin, SubprocessRunner
from integration.kv import started
from integration.processes import is_running
from peers import python_kv
from waiting import wait_until


class Env(SubprocessRunner):
    """Puts a program before the plugin's, and counts what it starts."""

    def __init__(self) -> None:
        self.started: list[RunningPlugin] = []

    def command(self, launch: RunnerLaunch) -> list[str]:
        return ["env", "MARK=by a runner", *launch.command]

    async def start(self, launch: RunnerLaunch) -> RunningPlugin:
        plugin = await super().start(launch)
        self.started.append(plugin)
        return plugin


class Altered(Env):
    """Does something more with what it has started."""

    def __init__(self, alter: Callable[[Any], object]) -> None:
        super().__init__()
        self.alter = alter

    async def start(self, launch: RunnerLaunch) -> RunningPlugin:
        plugin = await super().start(launch)
        self.alter(plugin)
        return plugin


@contextlib.contextmanager
def nothing_kept(runner: Env | None = None) -> Iterator[None]:
    """No process, descriptor, task or listener is left of what is done inside."""
    gc.collect()
    processes, files, listeners = children(), descriptors(), len(mailbox())
    yield
    gc.collect()
    assert children() == processes
    # The thread of the core may still be about to close one, of this plugin or of the one before.
    wait_until(lambda: descriptors().items() <= files.items(), "descriptors given back")
    assert len(mailbox()) == listeners
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert runner_driver._open_drivers == set()
    assert _core.live_plugins() == 0
    for plugin in runner.started if runner else ():
        assert plugin.pid is not None
        assert not is_running(plugin.pid)


async def warm_up() -> None:
    """What is made once per loop or process."""
    async with started(python_kv(), runner=Env()):
        pass
