"""Between an event loop and the I/O thread: cancelling, several waiters, several loops, a loop that is busy."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from conftest import children
from ferrule import _core
from ferrule._mailbox import outcome
from ferrule.testing.kv_pb2 import EchoRequest, NoiseRequest
from integration.bridge_program import LOOPS
from integration.kv import kv_client, kv_stub, started
from integration.processes import ended, is_running
from peers import go_kv
from waiting import LIMIT, until, wait_until

PROMPTLY = 5.0
MIB = 1 << 20

pytestmark = pytest.mark.go

Run = Callable[[Coroutine[Any, Any, Any]], Any]


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def plugin_works(client: Any) -> None:
    assert (await kv_stub(client).Echo(EchoRequest(payload=b"x"))).payload == b"x"


def test_start_cancelled_before_its_first_step_does_nothing(run: Run) -> None:
    async def main() -> None:
        client = kv_client(go_kv())
        await cancelled(asyncio.create_task(client.start()))
        assert not client.is_started
        assert children() == set()
        async with client:
            await plugin_works(client)

    run(main())


def test_start_cancelled_in_flight_has_cleaned_up_and_can_be_repeated(run: Run, temporary_directory: Path) -> None:
    async def main() -> None:
        client = kv_client(go_kv("hang"))
        for _ in range(2):
            starting = asyncio.create_task(client.start())
            await until(children)
            assert list(temporary_directory.iterdir()) != []
            (plugin,) = children()
            await cancelled(starting)
            assert not is_running(plugin)
            assert list(temporary_directory.iterdir()) == []

    run(main())


def test_cancelling_what_is_over_changes_nothing(run: Run) -> None:
    async def main() -> None:
        client = kv_client(go_kv())
        for operation in (client.start, client.shutdown_plugin, client.wait_exited, client.close):
            task = asyncio.create_task(operation())
            await task
            assert task.cancel() is False
            if operation == client.start:
                await plugin_works(client)

    run(main())


def test_cancelled_wait_leaves_plugin_and_other_waiters_alone(run: Run) -> None:
    async def main() -> None:
        async with started(go_kv()) as (client, _):
            first, second, third = (asyncio.create_task(client.wait_exited()) for _ in range(3))
            await cancelled(first)
            await plugin_works(client)
            os.kill(client.pid or 0, signal.SIGKILL)
            assert await second == await third == -signal.SIGKILL

    run(main())


def test_waiter_cancelled_as_the_plugin_ends_gets_its_cancellation(run: Run) -> None:
    """The outcome is on its way when the cancellation comes: it finds nobody, and nobody complains."""

    async def main() -> None:
        async with started(go_kv()) as (client, _):
            waiting = asyncio.create_task(client.wait_exited())
            await asyncio.sleep(0)
            os.kill(client.pid or 0, signal.SIGKILL)
            wait_until(lambda: client.exit_status is not None, "the end of the plugin")
            await cancelled(waiting)
            assert await client.wait_exited() == -signal.SIGKILL

    run(main())


def test_cancelled_shutdown_goes_on_and_close_ends_it(run: Run) -> None:
    async def main() -> None:
        client = kv_client(go_kv("ignore-shutdown", "ignore-sigterm"), shutdown_timeout=60, kill_timeout=60)
        await client.start()
        plugin = client.pid or 0
        stopping = asyncio.create_task(client.shutdown_plugin())
        await asyncio.sleep(0)
        await cancelled(stopping)
        assert is_running(plugin)
        try:
            await asyncio.wait_for(client.close(), PROMPTLY)
        finally:
            if is_running(plugin):
                os.kill(plugin, signal.SIGKILL)
                await client.close()

    run(main())


def test_cancelled_close_goes_on(run: Run) -> None:
    async def main() -> None:
        client = kv_client(go_kv())
        await client.start()
        plugin = client.pid or 0
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        await cancelled(closing)
        await ended(plugin)
        await client.close()
        assert client.grpc_channel is None

    run(main())


def test_thousands_of_outcomes_at_once_do_not_starve_the_loop(run: Run) -> None:
    """Far more than one batch of the mailbox."""

    async def main() -> None:
        async with started(go_kv()) as (client, _):
            assert client._host is not None
            waiters = [asyncio.create_task(outcome(client._host.exited)) for _ in range(10_000)]
            await asyncio.sleep(0)
            finished_per_turn = []
            os.kill(client.pid or 0, signal.SIGKILL)
            while not all(waiter.done() for waiter in waiters):
                finished_per_turn.append(sum(waiter.done() for waiter in waiters))
                await asyncio.sleep(0)
            assert {waiter.result() for waiter in waiters} == {-signal.SIGKILL}
            # Other callbacks had their turn in between.
            assert len({count for count in finished_per_turn if 0 < count < 10_000}) > 2

    run(main())


def test_another_loop_can_wait_and_stop(run: Run) -> None:
    """An outcome goes to the loop that asked for it, even when the one that started the plugin is closed."""
    client = kv_client(go_kv())
    asyncio.run(client.start())

    async def main() -> None:
        waiting = asyncio.create_task(client.wait_exited())
        await client.shutdown_plugin()
        assert await waiting == 0
        await client.close()

    run(main())


@pytest.mark.parametrize("loop_name", LOOPS)
def test_two_loops_in_two_threads_have_plugins_of_their_own(loop_name: str) -> None:
    barrier = threading.Barrier(2)
    failures: list[BaseException] = []

    async def main(thread_number: int) -> None:
        payload = b"thread %d" % thread_number
        async with asyncio.timeout(LIMIT), started(go_kv()) as (_, one), started(go_kv()) as (_, two):
            await asyncio.to_thread(barrier.wait, LIMIT)
            calls = [kv.Echo(EchoRequest(payload=payload)) for _ in range(50) for kv in (one, two)]
            assert {answer.payload for answer in await asyncio.gather(*calls)} == {payload}

    def work(thread_number: int) -> None:
        try:
            with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
                runner.run(main(thread_number))
        except BaseException as error:  # noqa: BLE001
            failures.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * LIMIT)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)


def test_busy_loop_does_not_stall_a_plugin_that_writes(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """While the loop computes for a second, the plugin gets rid of 10 MB on its standard error."""

    def written(plugin: int) -> int:
        fields = Path(f"/proc/{plugin}/io").read_text().split()
        return int(fields[fields.index("wchar:") + 1])

    async def main() -> None:
        async with started(go_kv(), logger=logger) as (client, kv):
            plugin = client.pid or 0
            before = written(plugin)
            noise = asyncio.ensure_future(kv.Noise(NoiseRequest(stderr_bytes=10 * MIB)))
            await until(lambda: written(plugin) > before + 1000)
            begun = time.monotonic()
            while time.monotonic() < begun + 1:
                sum(range(1000))
            assert written(plugin) >= before + 10 * MIB
            await noise
            await client.shutdown_plugin()

    lines = dropped = 0

    def count(record: logging.LogRecord) -> bool:
        nonlocal lines, dropped
        if record.levelno == logging.WARNING:
            dropped += record.args[0] if isinstance(record.args, tuple) else 0  # type: ignore[operator]
        else:
            lines += 1
        return False

    logger = logging.getLogger("busy")
    logger.setLevel(logging.DEBUG)
    logger.addFilter(count)
    try:
        run(main())
    finally:
        logger.removeFilter(count)
    # Lines of 100 bytes and a few of go-plugin's own: each is accounted for.
    assert 0 <= lines + dropped - 10 * MIB // 100 < 20
    assert lines > 1000


@pytest.mark.parametrize("loop_name", LOOPS)
def test_loop_closed_with_operations_in_flight_gives_everything_back(loop_name: str) -> None:
    """Futures that nobody resolves any more must not keep their loop, nor its mailbox's descriptor, for ever."""
    counts = []
    for _ in range(5):
        loop = LOOPS[loop_name]()
        client = kv_client(go_kv())
        loop.run_until_complete(client.start())
        waiting = loop.create_task(client.wait_exited())
        loop.run_until_complete(asyncio.sleep(0))
        waiting.cancel()
        loop.run_until_complete(asyncio.wait([waiting]))
        loop.close()
        del waiting
        with pytest.warns(ResourceWarning, match="was never closed"):  # noqa: PT031 - one collection
            del client
            gc.collect()  # Which versions of Python collect it without is no promise of theirs.
        del loop
        wait_until(lambda: _core.live_plugins() == 0, "the end of the plugin")
        gc.collect()
        counts.append(mailbox_descriptors())
    # The last loop's stays until the next loop is used.
    assert counts == [counts[0]] * 5


def mailbox_descriptors() -> int:
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except FileNotFoundError:
            continue
    return sum("eventfd" in link for link in links)
