"""Runs one row: the scripted plugin, the host's part, and a look at what is left."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import uvloop

import ferrule.sync
from faults import asyncio_host, blocking_host
from faults.leftovers import Holdings, left_since
from faults.plugin.faults import VARIABLE
from faults.result import Result
from faults.row import Row
from ferrule.client import RPCPluginClient
from peers import ROOT, kv_config

CALL_LIMIT = 5.0
"""Seconds of each call's deadline, where the row says nothing else."""


def eager_loop() -> asyncio.AbstractEventLoop:
    """A loop whose tasks begin at once: Python 3.12 and later."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    return loop


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
    "eager tasks": eager_loop,
}

IS_KNOWN = {"eager tasks": hasattr(asyncio, "eager_task_factory")}
"""Faces that not every Python has."""


def command() -> list[str]:
    """Command of the scripted plugin."""
    return [sys.executable, "-m", "faults.plugin"]


def settings_of(row: Row) -> dict[str, Any]:
    """Settings of a client for a row."""
    settings = dict(row.settings)
    settings.pop("call_limit", None)
    plan = {"step": row.step, "fault": row.fault, "argument": row.argument, "times": row.times, "tcp": row.tcp}
    environment = {"PYTHONPATH": str(ROOT / "tests"), VARIABLE: json.dumps(plan), **settings.pop("env", {})}
    settings = {"shutdown_timeout": 5, **settings}
    return kv_config(env=environment, auto_mtls=row.is_secure, broker_multiplex=row.is_multiplexed, **settings)


async def _on_loop(row: Row) -> Result:
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(str(context)))
    before = asyncio.all_tasks()
    client = RPCPluginClient(command(), settings_of(row))
    result = await asyncio_host.run(client, row.job, row.settings.get("call_limit", CALL_LIMIT), bool(row.then))
    if tasks := asyncio.all_tasks() - before:
        _, tasks = await asyncio.wait(tasks, timeout=1)
        result.left += [f"task {task.get_name()}" for task in tasks]
    result.left += [f"reported to the loop: {text}" for text in reported]
    return result


def _with_loop(row: Row, work: Coroutine[Any, Any, Result]) -> Result:
    async def bounded() -> Result:
        async with asyncio.timeout(row.limit):
            return await work

    with asyncio.Runner(loop_factory=LOOPS[row.face]) as runner:
        return runner.run(bounded())


def job(row: Row) -> Result:
    """The host's part of a row."""
    if row.face != "blocking":
        return _with_loop(row, _on_loop(row))
    client = ferrule.sync.RPCPluginClient(command(), settings_of(row))
    return blocking_host.run(client, row.job, row.settings.get("call_limit", CALL_LIMIT), bool(row.then))


def run(row: Row, directory: Path) -> Result:
    """Runs a row; `directory` is the one for temporary files, and empty."""
    before = Holdings.now(directory)
    begun = time.monotonic()
    result = job(row)
    result.seconds = time.monotonic() - begun
    result.left += left_since(before, directory)
    return result
