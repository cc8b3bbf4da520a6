"""Host programs that end, or fork, at an awkward moment.

Run as: python -m integration.bridge_program WORD LOOP COMMAND...

Not die_with_host: that a plugin ends must be the doing of the interpreter's exit, not of the kernel.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import multiprocessing
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import uvloop

from ferrule.client import RPCPluginClient
from ferrule.testing import KV_CONFIG, KVStub, kv_pb2
from waiting import LIMIT, until

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
UNFINISHED: list[asyncio.Task[Any]] = []


def new_client(command: list[str]) -> RPCPluginClient:
    settings = {"die_with_host": False, "shutdown_timeout": 60, "kill_timeout": 60}
    return RPCPluginClient(command, KV_CONFIG | settings)


def children() -> list[str]:
    found = []
    for task in Path("/proc/self/task").iterdir():
        # A thread may end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += (task / "children").read_text().split()
    return found


def say(*words: object) -> None:
    # In one write: two processes share this output.
    os.write(sys.stdout.fileno(), (" ".join(map(str, words)) + "\n").encode())


async def begin(client: RPCPluginClient) -> list[asyncio.Task[Any]]:
    """Only begins a start, and returns when the plugin's process exists."""
    starting = asyncio.create_task(client.start())
    await until(children)
    say(*children())
    return [starting]


async def started(client: RPCPluginClient, *operations: str) -> list[asyncio.Task[Any]]:
    """Begins operations on a started plugin, and sees to it that they are under way."""
    await client.start()
    say(client.pid)
    kv = KVStub(client.grpc_channel)
    forms: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
        "shutdown": client.shutdown_plugin,
        "close": client.close,
        "wait": client.wait_exited,
        "stream": lambda: _read(kv.Chat()),
        "call": lambda: _unary(kv.Echo(kv_pb2.EchoRequest(response_bytes=1 << 26))),
    }
    tasks = [asyncio.create_task(forms[operation]()) for operation in operations]
    await asyncio.sleep(0)
    return tasks


async def _read(call: Any) -> None:
    await call.write(kv_pb2.EchoRequest(payload=b"x"))
    while await call.read():
        pass


async def _unary(call: Any) -> None:
    await call


MOMENTS: dict[str, Callable[[RPCPluginClient], Coroutine[Any, Any, list[asyncio.Task[Any]]]]] = {
    "starting": begin,
    "live": started,
    "calling": lambda client: started(client, "stream", "call"),
    "waiting": lambda client: started(client, "wait", "wait"),
    "stopping": lambda client: started(client, "shutdown"),
    "closing": lambda client: started(client, "close"),
}


def leave(moment: str, ending: str, loop_name: str, command: list[str]) -> None:
    """Ends with something under way: by an exit, by an exit after closing the loop, or the way asyncio.run ends."""
    client = new_client(command)
    if ending == "run":

        async def main() -> None:
            await MOMENTS[moment](client)

        with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
            runner.run(main())
        return
    loop = LOOPS[loop_name]()
    tasks = loop.run_until_complete(MOMENTS[moment](client))
    if ending == "close":
        loop.close()
    # asyncio itself complains of pending tasks that are destroyed.
    UNFINISHED.extend(tasks)
    sys.exit(0)


def fork(loop_name: str, command: list[str]) -> None:
    """Uses a client of the parent, and a new one, in a forked child; then the parent's own again."""
    with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
        client = new_client(command)
        runner.run(client.start())
        child = os.fork()
        if child == 0:
            for attempt in (
                new_client(command).start,
                client.start,
                client.shutdown_plugin,
                client.wait_exited,
                client.close,
                functools.partial(client.__aexit__, None, None, None),
            ):
                attempt_in_child(attempt, loop_name)
            del client
            # All of an exit but the destruction of the parent's loop, whose epoll both processes share.
            atexit._run_exitfuncs()
            os._exit(0)
        say("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        runner.run(use_and_close(client))


def attempt_in_child(attempt: Callable[[], Coroutine[Any, Any, Any]], loop_name: str) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT):
            await attempt()

    try:
        with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
            runner.run(bounded())
    except RuntimeError as error:
        say("RuntimeError", error)
    else:
        say("no error")


async def use_and_close(client: RPCPluginClient) -> None:
    kv = KVStub(client.grpc_channel)
    async with asyncio.timeout(LIMIT):
        await kv.Put(kv_pb2.PutRequest(key="after", value=b"well"))
        say("parent", (await kv.Get(kv_pb2.GetRequest(key="after"))).value.decode())
        await client.shutdown_plugin()
        await client.close()


def fork_by_multiprocessing(loop_name: str, command: list[str]) -> None:
    """The same by multiprocessing's start method."""
    with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
        client = new_client(command)
        runner.run(client.start())
        arguments = (new_client(command).start, loop_name)
        child = multiprocessing.get_context("fork").Process(target=attempt_in_child, args=arguments)
        child.start()
        child.join(LIMIT)
        say("child", child.exitcode)
        runner.run(use_and_close(client))


def fork_first(loop_name: str, command: list[str]) -> None:
    """A fork before the first use harms neither side."""
    child = os.fork()
    with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
        client = new_client(command)
        runner.run(client.start())
        runner.run(use_and_close(client))
    if child:
        say("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    word, loop_name, *command = sys.argv[1:]
    if word.startswith("fork"):
        {"fork": fork, "fork-by-multiprocessing": fork_by_multiprocessing, "fork-first": fork_first}[word](
            loop_name, command
        )
    else:
        moment, _, ending = word.partition(",")
        leave(moment, ending, loop_name, command)
