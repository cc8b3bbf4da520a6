"""What a forked child leaves of its parent's: nothing of it is touched, whatever the child closes or forgets."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import platform
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import ferrule.channel
import ferrule.channel.sync
from broker.witness import Witness, serve_witness
from ferrule import _core
from ferrule.client import ClientConnection
from ferrule.errors import LaunchError
from ferrule.server import RPCPluginServer
from ferrule.sync import RPCPluginClient as SyncClient
from ferrule.testing import KVStub, kv_pb2
from integration.kv import kv_client, kv_stub
from integration.seccomp import NUMBERS
from integration.sync_kv import sync_started
from peers import ROOT, go_kv, kv_config, python_kv
from waiting import LIMIT

pytestmark = pytest.mark.timeout(60)


def in_child(work: Callable[[], object]) -> int:
    """Does something in a forked child; its exit status as the interpreter would have it."""
    with warnings.catch_warnings():
        # From Python 3.12 on a fork of a process with threads is warned of.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 99
        try:
            work()
            gc.collect()
            status = 0
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent is to hear of it.
            sys.stderr.write(f"in the child: {error!r}\n")
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def done(coroutine: Coroutine[Any, Any, object]) -> None:
    """Runs to its end what waits for nothing: the child has the parent's loop, which it must not use."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


async def test_everything_of_a_host_may_be_closed_and_forgotten() -> None:
    async with kv_client(go_kv()) as client:
        kv = kv_stub(client)
        await kv.Put(kv_pb2.PutRequest(key="key", value=b"value"))
        _, server = await serve_witness(client.broker, Witness(1))
        listener = await client.broker.accept(client.broker.next_id())
        channel = ferrule.channel.insecure_channel("localhost:1")
        held = [client.sync_channel, client.grpc_channel, client._host, client._broker and client._broker._core()]

        def close() -> None:
            done(listener.close())
            done(server.stop(1.0))
            done(client.broker.close())
            done(channel.close(1.0))
            client.sync_channel.close()
            assert client.grpc_channel is not None
            done(client.grpc_channel.close(1.0))
            done(client.close())
            done(client.__aexit__(None, None, None))
            held.clear()
            client.__dict__.clear()

        assert await asyncio.to_thread(in_child, close) == 0
        assert server.listener.connections == 0
        assert (await kv.Get(kv_pb2.GetRequest(key="key"), timeout=LIMIT)).value == b"value"
        assert KVStub(client.sync_channel).Get.future(kv_pb2.GetRequest(key="key")) is not None
        await server.stop()
        await listener.close()
        await channel.close()


def test_everything_of_a_blocking_host_may_be_closed_and_forgotten() -> None:
    with sync_started(go_kv()) as (client, kv):
        kv.Put(kv_pb2.PutRequest(key="key", value=b"value"))
        server = client.broker.accept_and_serve(client.broker.next_id(), lambda _server: None)
        listener = client.broker.accept(client.broker.next_id())

        def close() -> None:
            listener.close()
            server.stop(1.0)
            client.broker.close()
            client.sync_channel.close()
            client.close()
            client.__exit__(None, None, None)
            client.__dict__.clear()

        assert in_child(close) == 0
        assert kv.Get(kv_pb2.GetRequest(key="key"), timeout=LIMIT).value == b"value"
        server.stop()
        listener.close()


def test_child_that_leaves_the_block_has_its_own_status() -> None:
    client = SyncClient(python_kv(), kv_config())
    with client:
        child = os.fork()
        if child == 0:
            try:
                client.__exit__(SystemExit, SystemExit(7), None)
            finally:
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        stub = KVStub(client.grpc_channel)
        assert stub.Echo(kv_pb2.EchoRequest(payload=b"x"), timeout=LIMIT).payload == b"x"


async def test_server_and_connections_may_be_closed() -> None:
    async with RPCPluginServer(lambda _server, _broker: None, kv_config(), test=True) as server:
        assert server.address is not None
        connection = await ClientConnection.open(server.address)

        def close() -> None:
            done(server.stop())
            done(server.broker.close())
            done(connection.close())

        assert await asyncio.to_thread(in_child, close) == 0
        assert not connection.is_closed
        second = await ClientConnection.open(server.address)
        await second.close()
        await connection.close()


async def test_calls_go_on_to_raise() -> None:
    async with kv_client(go_kv()) as client:

        def call() -> None:
            with pytest.raises(RuntimeError, match="after the fork"):
                KVStub(client.sync_channel).Get(kv_pb2.GetRequest(key="key"), timeout=LIMIT)

        assert await asyncio.to_thread(in_child, call) == 0


@pytest.mark.parametrize("count", [20])
def test_start_is_refused_while_the_parent_starts_and_closes_plugins(count: int) -> None:
    """Whatever locks the parent's I/O thread holds at the fork."""

    def start() -> None:
        assert _core.live_plugins() == 0
        with pytest.raises(RuntimeError, match="after the fork"):
            SyncClient(python_kv(), kv_config()).start()

    def start_and_close() -> None:
        while not over.is_set():
            with pytest.raises(LaunchError):
                SyncClient(["/etc/passwd"]).start()

    over = threading.Event()
    with sync_started(python_kv()):
        parent = threading.Thread(target=start_and_close)
        parent.start()
        try:
            assert [in_child(start) for _ in range(count)] == [0] * count
        finally:
            over.set()
            parent.join()


def test_blocking_channel_is_forgotten_while_its_thread_is_held_up() -> None:
    """The thread of the parent may hold the worker's lock at the fork, and nobody gives that back in the child."""
    channel: Any = ferrule.channel.sync.insecure_channel("localhost:1")
    channel.unary_unary("/test/call").future(b"")
    held = [channel]
    lock = channel._call_factory.worker()._lock
    taken, released = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            released.wait(LIMIT)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert taken.wait(LIMIT)
        channel = None

        def forget() -> None:
            faulthandler.dump_traceback_later(LIMIT, exit=True)
            held.clear()

        assert in_child(forget) == 0
    finally:
        released.set()
        holder.join()
        held.pop().close()


FORK_WITHOUT_WATCHER = """
import contextlib, errno, os, sys
from ferrule.errors import LaunchError
from ferrule.sync import RPCPluginClient
from ferrule.testing import KV_CONFIG, plugin_command
from integration.processes import is_running, watchers
from integration.seccomp import refuse
from waiting import wait_until

def first():
    refuse("memfd_create")
    start()

def replacement():
    start()
    (watcher,) = watchers(os.getpid())
    os.kill(watcher, 9)
    wait_until(lambda: not is_running(watcher), "the end of the watcher")
    held = []
    with contextlib.suppress(OSError):
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    # Enough for the program and the pipe to the watcher, and for nothing else.
    for descriptor in held[:3]:
        os.close(descriptor)
    try:
        start()
    except LaunchError as error:
        assert os.strerror(errno.EMFILE) in str(error), error
    else:
        sys.exit("it was started")
    for descriptor in held[3:]:
        os.close(descriptor)

def start():
    with RPCPluginClient(plugin_command(), KV_CONFIG):
        pass

{"first": first, "replacement": replacement}[sys.argv[1]]()
files = [os.open("/dev/zero", os.O_RDONLY) for _ in range(40)]
fork = os.fork()
if fork == 0:
    for descriptor in files:
        try:
            os.read(descriptor, 1)
        except OSError:
            os._exit(1)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]))
"""


@pytest.mark.skipif(platform.machine() not in NUMBERS, reason="the numbers of its system calls are not known here")
@pytest.mark.parametrize("missing", ["first", "replacement"])
def test_fork_has_all_descriptors_where_no_watcher_could_be_started(missing: str) -> None:
    command = [sys.executable, "-c", FORK_WITHOUT_WATCHER, missing]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert run.returncode == 0, run.stderr
