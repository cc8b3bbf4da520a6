"""What the host program does at the very moment at which its plugin has come to a step, and says nothing more."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

from faults.asyncio_host import WORK
from faults.outcomes import outcome_of
from faults.plugin.faults import AT_STEP
from faults.row import WORKS
from ferrule.client import RPCPluginClient
from ferrule.testing import plugin_command

BEFORE_THE_START_IS_OVER = {"launch", "handshake line", "accept", "yamux", "TLS", "preface", "health"}
"""Steps at which `start()` is what waits."""

Held = list[RPCPluginClient]
"""The only reference to a client, for those who drop it."""

CALL_LIMIT = 60.0
"""Seconds of deadlines that no row reaches."""


class Arrival(logging.Handler):
    """Hears the plugin say that it is there."""

    def __init__(self) -> None:
        super().__init__()
        self.happened = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if AT_STEP in record.getMessage():
            self.happened.set()


def logger(arrival: Arrival) -> logging.Logger:
    """A logger that passes its records to nothing else."""
    made = logging.Logger("faults", logging.DEBUG)
    made.addHandler(arrival)
    return made


async def reach(client: RPCPluginClient, arrival: Arrival, step: str, job: str) -> asyncio.Task[Any]:
    """Returns when the plugin is at the step; the task is what waits for it."""
    work: Awaitable[Any] = client.start()
    if step not in BEFORE_THE_START_IS_OVER:
        await work
        work = client.shutdown_plugin() if step.startswith("shutdown") else WORK[job](client, CALL_LIMIT)
    task = asyncio.ensure_future(work)
    await arrival.happened.wait()
    return task


async def ending(task: asyncio.Task[Any]) -> str:
    """The outcome of what waited."""
    try:
        await task
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the row says which is right.
        return outcome_of(error)
    return WORKS


async def cancelled(_held: Held, task: asyncio.Task[Any]) -> str:
    """Cancels what waits."""
    task.cancel()
    return await ending(task)


async def closed(held: Held, task: asyncio.Task[Any]) -> str:
    """Closes the client under what waits."""
    await held[0].close()
    return await ending(task)


async def collected(held: Held, task: asyncio.Task[Any]) -> str:
    """Closes nothing, and forgets everything: the collector finds the parts in whatever order."""
    task.cancel()
    found = await ending(task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        held.clear()
        del task
        gc.collect()
    return found


async def closed_twice(held: Held, task: asyncio.Task[Any]) -> str:
    """Two close it at once, of whom one is cancelled."""
    first, second = (asyncio.ensure_future(held[0].close()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    return await ending(task)


async def forked(held: Held, task: asyncio.Task[Any]) -> str:
    """Forks; the child closes and forgets what is its parent's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        held[0].__dict__.clear()
        gc.collect()
        os._exit(0)
    status = os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, child, 0))[1])
    # The parent's plugin is as it was, and its client too.
    task.cancel()
    return f"{await ending(task)}, child {status}"


HERE: dict[str, Callable[[Held, asyncio.Task[Any]], Awaitable[str]]] = {
    "cancelled": cancelled,
    "client closed": closed,
    "closed by two, one cancelled": closed_twice,
    "forgotten, collected": collected,
    "forked": forked,
}
"""What leaves the program running."""


def loop_closed(loop: asyncio.AbstractEventLoop) -> None:
    """Closes the loop with everything under way, and goes on without one."""
    loop.close()


def second_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Closes the loop with everything under way, and has another plugin live and end on a new one."""
    loop.close()

    async def live() -> None:
        from ferrule.testing import KV_CONFIG

        async with RPCPluginClient(plugin_command(), KV_CONFIG) as client:
            await WORK["call"](client, 10)

    asyncio.run(live())


def exits(_loop: asyncio.AbstractEventLoop) -> None:
    """Leaves as it is."""
    sys.exit(0)


def killed(_loop: asyncio.AbstractEventLoop) -> None:
    """Is killed by somebody."""
    os.kill(os.getpid(), signal.SIGKILL)


def terminated(_loop: asyncio.AbstractEventLoop) -> None:
    """Ends by a signal that it does not handle."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)


ENDINGS: dict[str, Callable[[asyncio.AbstractEventLoop], None]] = {
    "loop closed": loop_closed,
    "second loop": second_loop,
    "interpreter exits": exits,
    "host killed": killed,
    "host terminated": terminated,
}
"""What ends the program, or its loop: in a process of its own."""
