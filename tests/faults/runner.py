"""The host's part of a row, in this process. Without pytest: programs of their own run it, too."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

import ferrule.sync
from faults import asyncio_host, blocking_host, crowd, moments, pool_host
from faults.plugin.faults import VARIABLE
from faults.result import Result
from faults.row import Row
from ferrule.client import RPCPluginClient
from ferrule.testing import KV_CONFIG

TESTS = Path(__file__).parents[1]

FIRST = "first"
"""The file of a pool's first process."""

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
    # A moment of the host program's own: there the plugin only waits.
    fault = "silent" if row.area == "program" else row.fault
    plan = {"step": row.step, "fault": fault, "argument": row.argument, "times": row.times, "tcp": row.tcp}
    plan["first"] = f"{tempfile.gettempdir()}/{FIRST}" if row.is_first_only else ""
    environment = {"PYTHONPATH": str(TESTS), VARIABLE: json.dumps(plan), **settings.pop("env", {})}
    settings = {"shutdown_timeout": 5, **settings}
    protection = {"auto_mtls": row.is_secure, "broker_multiplex": row.is_multiplexed}
    return {**KV_CONFIG, "env": environment, **protection, **settings}


async def _at_moment(row: Row) -> Result:
    arrival = moments.Arrival()
    held = [RPCPluginClient(command(), {**settings_of(row), "logger": moments.logger(arrival)})]
    # Without a name of its own here: the task holds the client, too.
    result = Result(await moments.HERE[row.fault](held, await moments.reach(held[0], arrival, row.step, row.job)))
    for client in held:
        await client.close()
    return result


async def _work(row: Row) -> Result:
    limit = row.settings.get("call_limit", CALL_LIMIT)
    if row.job == "pool":
        pooled = pool_host.spec(command(), settings_of(row), idempotent=row.is_idempotent)
        return await pool_host.run(pooled, limit, bool(row.then))
    if row.job == "besieged":
        return await crowd.run(RPCPluginClient(crowd.command(), settings_of(row)), row.fault, limit)
    client = RPCPluginClient(command(), settings_of(row))
    return await asyncio_host.run(client, row.job, limit, bool(row.then))


async def _on_loop(row: Row) -> Result:
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(str(context)))
    before = asyncio.all_tasks()
    result = await (_at_moment(row) if row.fault in moments.HERE else _work(row))
    if tasks := asyncio.all_tasks() - before:
        _, tasks = await asyncio.wait(tasks, timeout=1)
        result.left += [f"task {task.get_name()}" for task in tasks]
    result.left += [f"reported to the loop: {text}" for text in reported]
    return result


def _with_loop(row: Row, before: Callable[[], None]) -> Result:
    async def bounded() -> Result:
        before()
        async with asyncio.timeout(row.limit):
            return await _on_loop(row)

    with asyncio.Runner(loop_factory=LOOPS[row.face]) as runner:
        return runner.run(bounded())


def job(row: Row, before: Callable[[], None] = lambda: None) -> Result:
    """The host's part of a row in this process, after `before`; a loop is the program's own and is there by then."""
    if row.face != "blocking":
        return _with_loop(row, before)
    before()
    limit = row.settings.get("call_limit", CALL_LIMIT)
    if row.job == "pool":
        pooled = pool_host.spec(command(), settings_of(row), idempotent=row.is_idempotent)
        return pool_host.run_blocking(pooled, limit, bool(row.then))
    client = ferrule.sync.RPCPluginClient(command(), settings_of(row))
    return blocking_host.run(client, row.job, limit, bool(row.then))
