"""Work that is cancelled at each await, in turn: nothing is left, and the client still works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from broker.exchange_pb2 import ExchangeRequest, IdentifyRequest
from broker.exchange_pb2_grpc import CounterStub, WitnessStub
from broker.witness import Witness, serve_witness
from faults import runner
from faults.asyncio_host import WORK
from faults.leftovers import Holdings, left_since
from ferrule.client import RPCPluginClient
from ferrule.testing import KV_CONFIG
from peers import EXCHANGE_CONFIG, go_exchange, go_kv
from waiting import LIMIT

pytestmark = pytest.mark.go

CALL_LIMIT = 30.0
MOST_AWAITS = 400
"""More than any of these has."""
CONNECTIONS = ("plain", "TLS, multiplexed")


class Suspensions:
    """Counts where the tasks of a loop suspend, and cancels one of them when any suspends for the given time."""

    def __init__(self) -> None:
        self._victim: asyncio.Task[None] | None = None
        self._left = 0
        self._has_cancelled = False

    def new_task(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **named: Any
    ) -> asyncio.Task[Any]:
        """The task factory of such a loop."""
        return asyncio.Task(self._watched(work), loop=loop, **named)

    async def is_over(self, work: Coroutine[Any, Any, None], number: int) -> bool:
        """Whether the work ended before so many suspensions; else it was cancelled, and its task says so."""
        self._left, self._victim, self._has_cancelled = number, asyncio.create_task(work), False
        task = self._victim
        await asyncio.wait([task])
        self._victim = None
        if not task.cancelled():
            task.result()
        assert task.cancelled() == self._has_cancelled, "a CancelledError was swallowed"
        return not task.cancelled()

    async def _watched(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await _Steps(work, self._suspends)

    def _suspends(self) -> None:
        if self._victim is not None:
            if self._left == 0:
                self._has_cancelled = self._victim.cancel()
            self._left -= 1


class _Steps:
    """Runs a coroutine, and tells when it suspends."""

    def __init__(self, work: Coroutine[Any, Any, Any], tell: Callable[[], None]) -> None:
        self._work, self._tell = work, tell

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._work.__await__()
        resume: Callable[[], Any] = partial(steps.send, None)
        while True:
            try:
                awaited = resume()
            except StopIteration as end:
                return end.value
            self._tell()
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001 - what is thrown in is thrown on.
                resume = partial(steps.throw, error)
            else:
                resume = partial(steps.send, None)


async def sweep(one: Callable[[int], Awaitable[bool]]) -> int:
    """Cancels at each await in turn; the number of awaits."""
    for number in range(MOST_AWAITS):
        if await one(number):
            return number
    raise AssertionError("the work never ended by itself")


def new_client(connection: str, command: list[str] | None = None) -> RPCPluginClient:
    protection = {"auto_mtls": connection.startswith("TLS"), "broker_multiplex": connection.endswith("multiplexed")}
    return RPCPluginClient(command or go_kv(), {**(EXCHANGE_CONFIG if command else KV_CONFIG), **protection})


@asynccontextmanager
async def opened(connection: str, command: list[str] | None = None) -> AsyncIterator[RPCPluginClient]:
    client = new_client(connection, command)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


IsOver = Callable[[Coroutine[Any, Any, None], int], Awaitable[bool]]


def ran(test: Callable[[IsOver], Coroutine[Any, Any, int]], face: str) -> int:
    """Runs a test in a loop of its own, to which nothing is reported; the test's own number."""
    reported: list[str] = []

    async def bounded() -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: reported.append(str(context)))
        suspensions = Suspensions()
        loop.set_task_factory(suspensions.new_task)  # type: ignore[arg-type]
        async with asyncio.timeout(LIMIT * 4):
            return await test(suspensions.is_over)

    with asyncio.Runner(loop_factory=runner.LOOPS[face]) as running:
        awaits = running.run(bounded())
    assert reported == []
    return awaits


def awaits_of(test: Callable[[IsOver], Coroutine[Any, Any, int]], face: str, directory: Path) -> int:
    """As `ran`, and nothing is left."""
    before = Holdings.now(directory)
    awaits = ran(test, face)
    assert left_since(before, directory) == []
    return awaits


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """What the library keeps for the life of the process is there before the first test."""

    async def once(is_over: IsOver) -> int:
        async with opened("plain") as client:
            await WORK["call"](client, CALL_LIMIT)
        return 0

    for face in ("asyncio", "uvloop"):
        ran(once, face)


@pytest.mark.parametrize("face", ["asyncio", "uvloop"])
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_a_start(connection: str, face: str, temporary_directory: Path) -> None:
    async def swept(is_over: IsOver) -> int:
        async def one(number: int) -> bool:
            client = new_client(connection)
            try:
                over = await is_over(client.start(), number)
                if not over:
                    await client.start()
                await WORK["call"](client, CALL_LIMIT)
            finally:
                await client.close()
            return over

        return await sweep(one)

    assert awaits_of(swept, face, temporary_directory) >= 1


@pytest.mark.parametrize("ending", ["shutdown_plugin", "close"])
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_an_end(connection: str, ending: str, temporary_directory: Path) -> None:
    async def swept(is_over: IsOver) -> int:
        async def one(number: int) -> bool:
            async with opened(connection) as client:
                return await is_over(getattr(client, ending)(), number)

        return await sweep(one)

    assert awaits_of(swept, "asyncio", temporary_directory) >= 1


@pytest.mark.parametrize("face", ["asyncio", "uvloop"])
@pytest.mark.parametrize("job", ["call", "stream"])
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_a_call(connection: str, job: str, face: str, temporary_directory: Path) -> None:
    async def swept(is_over: IsOver) -> int:
        async with opened(connection) as client:

            async def one(number: int) -> bool:
                over = await is_over(WORK[job](client, CALL_LIMIT), number)  # type: ignore[arg-type]
                await WORK["call"](client, CALL_LIMIT)
                return over

            return await sweep(one)

    assert awaits_of(swept, face, temporary_directory) >= 1


async def exchange(client: RPCPluginClient) -> None:
    """Serves the plugin something that it calls, and calls what it serves in turn."""
    number, server = await serve_witness(client.broker, Witness(1))
    async with server:
        request = ExchangeRequest(host_service=number, token=1)
        answer = await CounterStub(client.grpc_channel).Exchange(request, timeout=CALL_LIMIT)
        async with await client.broker.dial(answer.plugin_service) as channel:
            found = await WitnessStub(channel).Identify(IdentifyRequest(), timeout=CALL_LIMIT)
    assert found.token == 1


@pytest.mark.parametrize(("connection", "face"), [("plain", "asyncio"), ("TLS, multiplexed", "uvloop")])
def test_an_exchange(connection: str, face: str, temporary_directory: Path) -> None:
    async def swept(is_over: IsOver) -> int:
        async with opened(connection, go_exchange()) as client:

            async def one(number: int) -> bool:
                over = await is_over(exchange(client), number)
                await exchange(client)
                return over

            return await sweep(one)

    # Once before: grpcio keeps what its servers have used at most.
    ran(swept, face)
    assert awaits_of(swept, face, temporary_directory) >= 4
