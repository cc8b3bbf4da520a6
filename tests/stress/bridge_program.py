"""Programs that end, or fork, while calls are in flight.

Run as: python -m stress.bridge_program WORD LOOP TARGET
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from ferrule.channel import Channel, insecure_channel
from ferrule.channel.sync import insecure_channel as sync_channel
from integration.bridge_program import LOOPS, say
from waiting import LIMIT, until

UNFINISHED: list[Any] = []
# For ever: asyncio itself complains of pending tasks that are destroyed.
ctypes.pythonapi.Py_IncRef(ctypes.py_object(UNFINISHED))


def unary(channel: Channel) -> Any:
    return channel.unary_unary("/bench.Echo/Unary")(b"x")


def stream(channel: Channel) -> Any:
    return channel.unary_stream("/bench.Echo/Stream")(struct.pack(">II", 1 << 30, 1000))


async def reading(channel: Channel) -> None:
    async for _ in stream(channel):
        pass


async def endless(channel: Channel) -> None:
    while True:
        await asyncio.gather(*(unary(channel) for _ in range(100)))


async def one(channel: Channel) -> Iterable[Any]:
    return [unary(channel)]


async def unread(channel: Channel) -> Iterable[Any]:
    call = stream(channel)
    await call.initial_metadata()
    return [call]


async def read(channel: Channel) -> Iterable[Any]:
    # Some of its messages have come, more are under way.
    task = asyncio.create_task(reading(channel))
    await until(lambda: channel.stats()["messages_received"] > 1000)
    return [task]


async def thousands(channel: Channel) -> Iterable[Any]:
    task = asyncio.create_task(endless(channel))
    await until(lambda: channel.stats()["messages_received"] > 1000)
    return [task]


class Slow:
    """Prolongs the interpreter's end beyond the time for which a blocked thread goes without looking up."""

    def __del__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        # By a default: modules may have lost their names by then.
        sleep(0.3)


MOMENTS: dict[str, Callable[[Channel], Coroutine[Any, Any, Iterable[Any]]]] = {
    "one": one,
    "unread": unread,
    "read": read,
    "thousands": thousands,
}


def leave(moment: str, ending: str, loop_name: str, target: str) -> None:
    """Ends with calls in flight: by an exit, by an exit after closing the loop, or the way asyncio.run ends."""

    async def begin() -> None:
        channel = insecure_channel(target)
        UNFINISHED.append(channel)
        UNFINISHED.extend(await MOMENTS[moment](channel))
        say("begun")

    if ending == "run":
        with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
            runner.run(begin())
        return
    loop = LOOPS[loop_name]()
    loop.run_until_complete(begin())
    if ending == "close":
        loop.close()
    sys.exit(0)


def leave_a_thread(target: str) -> None:
    """Ends while a daemon thread is blocked in a call."""
    channel, begun = sync_channel(target), threading.Event()
    globals()["slow"] = Slow()

    def block() -> None:
        begun.set()
        channel.unary_unary("/hostile/Method")(b"x")

    threading.Thread(target=block, daemon=True).start()
    begun.wait(LIMIT)
    say("begun")


def fork(loop_name: str, target: str) -> None:
    """Uses channels in a forked child; then the parent's own again."""
    with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
        used, unused, blocking = insecure_channel(target), insecure_channel(target), sync_channel(target)
        runner.run(call_once(used))
        pending: list[Any] = []

        async def begin() -> None:
            pending.append(stream(used))
            await pending[0].read()

        runner.run(begin())
        child = os.fork()
        if child == 0:
            attempt(lambda: run(loop_name, call_once(used)))
            attempt(lambda: run(loop_name, call_once(unused)))
            attempt(lambda: run(loop_name, call_once(insecure_channel(target))))
            attempt(lambda: run(loop_name, unused.channel_ready()))
            attempt(lambda: blocking.unary_unary("/bench.Echo/Unary")(b"x"))
            del used, unused, blocking
            pending.clear()
            # All of an exit but the destruction of the parent's loop, whose epoll both processes share.
            atexit._run_exitfuncs()
            os._exit(0)
        say("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        runner.run(call_once(used))
        assert blocking.unary_unary("/bench.Echo/Unary")(b"x", timeout=LIMIT) == b"x"
        pending[0].cancel()
        runner.run(used.close())
        blocking.close()
        say("parent well")


def fork_first(loop_name: str, target: str) -> None:
    """A fork before the first use harms neither side."""
    channel = insecure_channel(target)
    child = os.fork()
    run(loop_name, call_once(channel))
    say("well")
    if child:
        say("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


async def call_once(channel: Channel) -> None:
    async with asyncio.timeout(LIMIT):
        assert await unary(channel) == b"x"


def run(loop_name: str, work: Coroutine[Any, Any, Any]) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
        runner.run(work)


def attempt(work: Callable[[], object]) -> None:
    try:
        work()
    except RuntimeError as error:
        say("RuntimeError", error)
    else:
        say("no error")


if __name__ == "__main__":
    word, loop_name, target = sys.argv[1:]
    match word.split(","):
        case ["fork"]:
            fork(loop_name, target)
        case ["fork-first"]:
            fork_first(loop_name, target)
        case ["thread"]:
            leave_a_thread(target)
        case [moment, ending]:
            leave(moment, ending, loop_name, target)
