"""close() at any moment: while it starts, twice at once, after a cancelled start. Nothing may be left behind.

That nothing is left - process, plugin, thread, task, file - is checked after each test by the fixtures of all tests.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import types
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest

from conftest import children, descriptors
from ferrule import _core
from ferrule._host.launch import core_settings
from ferrule._mailbox import mailbox, outcome
from ferrule.client import RPCPluginClient
from ferrule.client.session import Session
from ferrule.config import ClientConfig
from ferrule.errors import RPCPluginError, TransportError
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import EchoRequest, PutRequest
from integration.kv import both_plugins, kv_client, kv_stub, started
from integration.processes import is_running
from peers import Command, go_kv, kv_config, python_kv
from waiting import LIMIT, until

pytestmark = pytest.mark.timeout(60)

PROMPTLY = 5.0
"""Seconds that are far more than closing takes, and far less than any of the timeouts it must not wait for."""

UNREACHABLE = "raw-line=1|1|unix|/nowhere|grpc|"


def launched(before: set[int]) -> Callable[[], object]:
    return lambda: children() - before


# How far a start has come when it is given up: the plugin's words, and whether to wait until its process exists.
MOMENTS = {
    "before its first step": (["hang"], False),
    "waiting for the handshake": (["hang"], True),
    "connecting": ([UNREACHABLE], True),
    "succeeding": ([], True),
}
moments = pytest.mark.parametrize(("words", "wait"), MOMENTS.values(), ids=MOMENTS.keys())


async def starting(words: list[str], wait: bool) -> tuple[RPCPluginClient, asyncio.Task[None]]:
    client = kv_client(python_kv(*words), auto_mtls=UNREACHABLE not in words)
    before = children()
    task = asyncio.create_task(client.start())
    await asyncio.sleep(0)
    if wait:
        await until(launched(before))
    return client, task


@moments
async def test_close_during_start(words: list[str], wait: bool) -> None:
    before = children()
    client, task = await starting(words, wait)
    async with asyncio.timeout(PROMPTLY):
        await client.close()
        with pytest.raises(TransportError) as caught:
            await task
    assert caught.value.code == "client.cancelled"
    assert children() == before
    assert not client.is_started


@moments
async def test_cancelled_start_cleans_up(words: list[str], wait: bool) -> None:
    before = children()
    client, task = await starting(words, wait)
    task.cancel()
    async with asyncio.timeout(PROMPTLY):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert children() == before
    assert not client.is_started
    await client.close()


@pytest.mark.parametrize("yields", [*range(6), 20, 100, 1000])
async def test_close_so_many_turns_of_the_loop_after_start_began(yields: int) -> None:
    client = kv_client([*python_kv()])
    task = asyncio.create_task(client.start())
    for _ in range(yields):
        await asyncio.sleep(0)
    async with asyncio.timeout(PROMPTLY):
        await asyncio.gather(client.close(), client.close())
        result = (await asyncio.gather(task, return_exceptions=True))[0]
    # A start that had not begun when it was closed is a start after close(), and goes through.
    assert isinstance(result, TransportError) or (yields == 0 and result is None)
    await client.close()


async def test_start_that_has_not_begun_takes_time_to_close() -> None:
    for _ in range(20):
        settings = core_settings(tuple(python_kv("hang")), ClientConfig.of(kv_config()))
        host = _core.Host(settings, mailbox(), lambda: None, None)
        started = asyncio.get_running_loop().create_future()
        host.start(mailbox(), started)
        # The I/O thread has hardly heard of it.
        assert not host.close_at_once()
        await outcome(host.close)
        with pytest.raises(TransportError, match="closed while it started"):
            await started


class EagerTask(asyncio.Task[Any]):
    """Takes its first step when it is made, and is done if that was the last: as in Python 3.12's eager tasks."""

    def __init__(self, work: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._over: Any = None
        try:
            first = work.send(None)
        except StopIteration as stop:
            self._over = stop
            work, first = asyncio.sleep(0), None
        super().__init__(resumed(work, first) if self._over is None else work, **options)

    def done(self) -> bool:
        return self._over is not None or super().done()


@types.coroutine
def resumed(work: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    """The rest of a coroutine whose first step is taken."""
    while True:
        try:
            value = yield waits_for
        except BaseException as error:  # noqa: BLE001 - it is the coroutine's
            step = functools.partial(work.throw, error)
        else:
            step = functools.partial(work.send, value)
        try:
            waits_for = step()
        except StopIteration as stop:
            return stop.value


async def test_eager_tasks(temporary_directory: Path) -> None:
    client = kv_client(python_kv())
    for _ in range(2):
        await client.start()
        assert client.is_started
        await client.shutdown_plugin()
        asyncio.get_running_loop().set_task_factory(lambda _, work, **options: EagerTask(work, **options))
        try:
            await client.close()
        finally:
            asyncio.get_running_loop().set_task_factory(None)
        assert not client.is_started
    assert list(temporary_directory.iterdir()) == []


async def test_start_within_a_limit_of_the_caller(temporary_directory: Path) -> None:
    before = children()
    client = kv_client(python_kv("hang"))
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.2):
            await client.start()
    # The caller's own limit, not one of ours.
    assert not isinstance(caught.value, RPCPluginError)
    assert children() == before
    assert list(temporary_directory.iterdir()) == []


@pytest.mark.go
async def test_given_up_start_may_be_repeated() -> None:
    client = kv_client(go_kv())
    for _ in range(5):
        task = asyncio.create_task(client.start())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with client:
        await kv_stub(client).Put(PutRequest(key="k"))


@pytest.mark.go
async def test_close_that_overtakes_a_start_that_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    client = kv_client(go_kv())
    genuine = client._start_once

    async def overtaken(session: Session) -> object:
        facts = await genuine(session)
        # The I/O thread is done; before the loop hears of it, close() has begun.
        closing.append(asyncio.create_task(client.close()))
        await until(lambda: session.given_up)
        return facts

    closing: list[asyncio.Task[None]] = []
    monkeypatch.setattr(client, "_start_once", overtaken)
    with pytest.raises(TransportError) as caught:
        await client.start()
    assert caught.value.code == "client.cancelled"
    await closing[0]
    assert client.grpc_channel is None


async def test_close_while_a_failed_start_waits_for_its_next_attempt() -> None:
    refused = asyncio.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "next attempt" in record.getMessage():
                refused.set()

    logger = logging.Logger("retried")
    logger.addHandler(Handler())
    client = kv_client(python_kv("exit=3"), retry={"attempts": 3, "backoff": 30, "max_backoff": 30}, logger=logger)
    task = asyncio.create_task(client.start())
    async with asyncio.timeout(PROMPTLY):
        await refused.wait()
        await client.close()
        with pytest.raises(TransportError) as caught:
            await task
    assert caught.value.code == "client.cancelled"


@both_plugins
async def test_two_starts_at_once(plugin: Command) -> None:
    client = kv_client(plugin())
    results = await asyncio.gather(client.start(), client.start(), return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[1], RPCPluginError)
    assert "already running" in str(results[1])
    assert results[1].hint
    await kv_stub(client).Put(PutRequest(key="k"))
    await client.close()


@both_plugins
async def test_close_twice_at_once_and_once_more(plugin: Command) -> None:
    async with started(plugin()) as (client, _):
        async with asyncio.timeout(PROMPTLY):
            await asyncio.gather(client.close(), client.close())
            await client.close()
        assert client.pid is not None
        assert not is_running(client.pid)
        # Without shutdown_plugin() nobody asked the plugin; its end was SIGKILL.
        assert client.exit_status == -9


@pytest.mark.go
async def test_cancelled_close_still_closes() -> None:
    client = kv_client(go_kv())
    await client.start()
    closing = asyncio.create_task(client.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    async with asyncio.timeout(PROMPTLY):
        await client.close()
    assert client.pid is not None
    assert not is_running(client.pid)


@pytest.mark.go
async def test_close_cuts_short_a_shutdown_that_is_under_way() -> None:
    client = kv_client(go_kv("hang-shutdown"), shutdown_timeout=60)
    await client.start()
    stopping = asyncio.create_task(client.shutdown_plugin())
    await asyncio.sleep(0)
    async with asyncio.timeout(PROMPTLY):
        await client.close()
        await stopping
    assert client.stop_report is not None
    assert client.stop_report.rung == "sigkill"


@both_plugins
async def test_two_shutdowns_at_once(plugin: Command) -> None:
    async with started(plugin()) as (client, _):
        await asyncio.gather(client.shutdown_plugin(), client.shutdown_plugin())
        await client.shutdown_plugin()
        assert client.exit_status == 0


@pytest.mark.go
async def test_close_ends_calls_in_flight_and_waits_for_exit() -> None:
    client = kv_client(go_kv())
    await client.start()
    chat = kv_stub(client).Chat()
    await chat.write(EchoRequest(payload=b"x"))
    await chat.read()
    reading = asyncio.create_task(chat.read())
    exiting = asyncio.create_task(client.wait_exited())
    await asyncio.sleep(0)
    async with asyncio.timeout(PROMPTLY):
        await client.close()
        assert await exiting == -9
        result = (await asyncio.gather(reading, return_exceptions=True))[0]
    assert isinstance(result, BaseException)


@pytest.mark.go
async def test_descriptors_are_given_back() -> None:
    async def life() -> None:
        async with started(go_kv()) as (_, kv):
            await kv.Put(PutRequest(key="k"))

    await life()
    before = len(descriptors())
    for _ in range(20):
        await life()
    # gRPC closes its own end when it comes to it.
    await until(lambda: len(descriptors()) <= before + 2)


async def test_close_leaves_the_loop_to_what_callbacks_of_the_blocking_channel_wait_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It waits for callbacks as long as that, which must not be on the loop.
    monkeypatch.setattr("ferrule.channel.sync.channel._JOIN_LIMIT", 2 * LIMIT)
    loop = asyncio.get_running_loop()
    turns: list[int] = []
    called = threading.Event()

    async def turn() -> None:
        turns.append(len(turns))

    def ask_the_loop(_call: object) -> None:
        asyncio.run_coroutine_threadsafe(turn(), loop).result(LIMIT)
        called.set()

    client = kv_client(python_kv())
    await client.start()
    echo = KVStub(client.sync_channel).Echo.future(EchoRequest(payload=b"x"))
    echo.add_done_callback(ask_the_loop)
    await client.close()
    assert called.is_set()
    assert turns == [0]
