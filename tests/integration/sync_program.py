"""Programs around the blocking client that are interrupted, fork, or end with something under way.

Run as: python -m integration.sync_program WORD COMMAND...

Not die_with_host: that a plugin ends must be the doing of the client or of the interpreter's exit.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from conftest import children
from ferrule import _core
from ferrule.sync import RPCPluginClient
from ferrule.testing import KV_CONFIG, KVStub, kv_pb2
from waiting import wait_until

LIVE: list[RPCPluginClient] = []
CALLS: list[Any] = []


def say(*words: object) -> None:
    # In one write: two processes share this output.
    os.write(sys.stdout.fileno(), (" ".join(map(str, words)) + "\n").encode())


def new_client(command: list[str], **settings: Any) -> RPCPluginClient:
    return RPCPluginClient(command, KV_CONFIG | {"die_with_host": False, **settings})


def started(command: list[str], **settings: Any) -> RPCPluginClient:
    client = new_client(command, **settings)
    client.start()
    LIVE.append(client)
    say(client.pid)
    return client


def in_background(work: Callable[[], object]) -> None:
    threading.Thread(target=work, daemon=True).start()


def interrupt_when(condition: Callable[[], object]) -> None:
    """Sends this process what Ctrl-C does, as soon as a condition holds."""

    def watch() -> None:
        wait_until(lambda: bool(condition()), "the moment to interrupt")
        os.kill(os.getpid(), signal.SIGINT)

    in_background(watch)


def main_is_inside(function: str) -> bool:
    """Whether the main thread is executing a function of that name, or something called by it."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return frame is not None


def interrupted(work: Callable[[], object]) -> None:
    try:
        work()
    except KeyboardInterrupt:
        say("interrupted")


def interrupt_start(command: list[str]) -> None:
    client = new_client(command)
    interrupt_when(children)
    interrupted(client.start)
    say("left", len(children()), _core.live_plugins(), client.is_started)


def interrupt_wait(command: list[str]) -> None:
    with started(command) as client:
        interrupt_when(lambda: main_is_inside("wait_exited"))
        interrupted(client.wait_exited)
        # Only the waiting has ended.
        KVStub(client.grpc_channel).Put(kv_pb2.PutRequest(key="k"))
    say("left", len(children()), client.exit_status)


def interrupt_call(command: list[str]) -> None:
    with started(command) as client:
        chat = KVStub(client.grpc_channel).Chat(iter(threading.Event().wait, None))
        interrupt_when(lambda: main_is_inside("_fill"))
        interrupted(lambda: next(chat))
    say("left", len(children()), client.exit_status)


def interrupt_close(command: list[str]) -> None:
    """Twice: during the start, and during the cleaning up after it."""
    client = new_client(command)
    interrupt_when(children)

    def end(session: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        type(client)._end(client, session)

    client._end = end  # type: ignore[method-assign]
    interrupted(client.start)
    del client._end
    client.close()
    say("left", len(children()), _core.live_plugins(), client.is_started)


def handler_closes(command: list[str]) -> None:
    """A signal's handler closes the client whose start it interrupts."""
    client = new_client(command)
    signal.signal(signal.SIGTERM, lambda *_: client.close())

    def watch() -> None:
        wait_until(lambda: bool(children()), "the process")
        os.kill(os.getpid(), signal.SIGTERM)

    in_background(watch)
    try:
        client.start()
    except ConnectionError as error:
        say("closed", "closed while it started" in str(error))
    say("left", len(children()))


def attempt(work: Callable[[], object]) -> None:
    try:
        work()
    except RuntimeError as error:
        say("RuntimeError", error)
    else:
        say("no error")


def use_and_close(client: RPCPluginClient) -> None:
    kv = KVStub(client.grpc_channel)
    kv.Put(kv_pb2.PutRequest(key="after", value=b"well"))
    say("parent", kv.Get(kv_pb2.GetRequest(key="after")).value.decode())
    client.shutdown_plugin()
    client.close()


def fork(command: list[str]) -> None:
    client = new_client(command)
    client.start()
    child = os.fork()
    if child == 0:
        threads = threading.active_count()
        for work in (
            new_client(command).start,
            client.start,
            client.shutdown_plugin,
            client.wait_exited,
            client.close,
            functools.partial(client.__exit__, None, None, None),
        ):
            attempt(work)
        say("threads", threads, threading.active_count())
        # As the interpreter ends by itself, exit functions and all.
        sys.exit(0)
    say("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    use_and_close(client)


def fork_by_multiprocessing(command: list[str]) -> None:
    client = new_client(command)
    client.start()
    child = multiprocessing.get_context("fork").Process(target=attempt, args=(new_client(command).start,))
    child.start()
    child.join(20)
    say("child", child.exitcode)
    use_and_close(client)


def fork_first(command: list[str]) -> None:
    """A fork before the first use harms neither side."""
    child = os.fork()
    client = new_client(command)
    client.start()
    use_and_close(client)
    if child:
        say("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def leave(command: list[str]) -> None:
    started(command)


def leave_starting(command: list[str]) -> None:
    client = new_client(command)
    LIVE.append(client)

    def start() -> None:
        # Told of the exit, if there is still time.
        with contextlib.suppress(ConnectionError):
            client.start()

    in_background(start)
    wait_until(lambda: bool(children()), "the process")
    say(*children())


def leave_waiting(command: list[str]) -> None:
    client = started(command)
    for _ in range(3):
        in_background(client.wait_exited)


def leave_stopping(command: list[str]) -> None:
    in_background(started(command, shutdown_timeout=60, kill_timeout=60).shutdown_plugin)


def leave_flooding(command: list[str]) -> None:
    seen = threading.Event()
    logger = logging.Logger("flood")
    logger.addHandler(logging.NullHandler())
    client = new_client(command, sync_stdout=lambda _: seen.set(), logger=logger)
    client.start()
    LIVE.append(client)
    say(client.pid)
    flood = kv_pb2.NoiseRequest(synced_stdout="x" * 1000, stderr_bytes=10**8, stderr_line_bytes=100)
    CALLS.append(KVStub(client.grpc_channel).Noise.future(flood))
    wait_until(seen.is_set, "the flood")


def leave_a_stuck_handler(command: list[str]) -> None:
    entered = threading.Event()

    def block(_: bytes) -> None:
        entered.set()
        threading.Event().wait()

    client = started(command, sync_stdout=block)
    KVStub(client.grpc_channel).Noise(kv_pb2.NoiseRequest(synced_stdout="x"))
    wait_until(entered.is_set, "the handler")


def leave_in_a_loop(command: list[str]) -> None:
    async def main() -> None:
        leave(command)

    asyncio.run(main())


if __name__ == "__main__":
    word, *command = sys.argv[1:]
    globals()[word.replace("-", "_")](command)
