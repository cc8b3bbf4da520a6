"""Many threads on what they may share: clients, pools, the start and stop of plugins, the thread for their output.

What they do is counted, so that a step of ours that two threads divide shows as a number, if not as an error. On a
free-threaded interpreter all of them run at once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from ferrule import _core
from ferrule.client import RPCPluginClient
from ferrule.pool import Limits, PluginSpec
from ferrule.sync import PluginPool
from ferrule.sync import RPCPluginClient as BlockingClient
from ferrule.testing import KV_CONFIG, KVStub
from ferrule.testing.kv_pb2 import GetRequest, NoiseRequest, PutRequest
from peers import go_kv
from waiting import LIMIT, wait_until

pytestmark = [pytest.mark.go, pytest.mark.timeout(120), pytest.mark.usefixtures("no_leaks")]

THREADS = 8


def in_threads(work: Callable[[int], Any], count: int = THREADS) -> list[Any]:
    """Runs work on so many threads, which begin together; what each returns."""
    together = threading.Barrier(count)

    def begin(number: int) -> Any:
        together.wait(LIMIT)
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(begin, range(count)))


def test_one_channel() -> None:
    def work(number: int) -> int:
        cancelled = 0
        for turn in range(60):
            key, told = f"{number}-{turn}", threading.Event()
            stub.Put(PutRequest(key=key, value=key.encode()), timeout=LIMIT)
            future = stub.Get.future(GetRequest(key=key), timeout=LIMIT)
            future.add_done_callback(lambda _, told=told: told.set())
            assert future.result().value == key.encode()
            assert told.wait(LIMIT)
            dropped = stub.Get.future(GetRequest(key=key), timeout=LIMIT)
            if dropped.cancel():
                cancelled += 1
                with pytest.raises(grpc.FutureCancelledError):
                    dropped.result()
        return cancelled

    with BlockingClient(go_kv(), KV_CONFIG) as client:
        stub = KVStub(client.grpc_channel)
        cancelled = sum(in_threads(work))
        wait_until(lambda: client.stats().calls_active == 0, "all calls have ended")
        stats = client.stats()
    assert stats.calls_started == THREADS * 60 * 3
    # A response that is not read yet is given up too.
    assert stats.calls_failed <= cancelled
    assert stats.calls_succeeded == stats.calls_started - stats.calls_failed


def test_a_loop_in_each_thread() -> None:
    async def main(number: int) -> int:
        async with RPCPluginClient(go_kv(), KV_CONFIG) as client:
            stub = KVStub(client.grpc_channel)

            async def one(key: str) -> None:
                await stub.Put(PutRequest(key=key, value=key.encode()))
                assert (await stub.Get(GetRequest(key=key))).value == key.encode()

            for turn in range(5):
                await asyncio.gather(*(one(f"{number}-{turn}-{each}") for each in range(20)))
            return client.stats().calls_started

    assert in_threads(lambda number: asyncio.run(main(number))) == [200] * THREADS


def test_starts_and_stops() -> None:
    def work(_: int) -> list[str]:
        rungs = []
        for _ in range(5):
            with BlockingClient(go_kv(), KV_CONFIG) as client:
                KVStub(client.grpc_channel).Put(PutRequest(key="a", value=b"1"), timeout=LIMIT)
            assert client.stop_report is not None
            rungs.append(client.stop_report.rung)
        return rungs

    assert in_threads(work) == [["shutdown"] * 5] * THREADS
    assert _core.live_plugins() == 0


def test_one_pool() -> None:
    """Sixteen threads lease; of what they ask a lease, and of the pool's statistics, none disturbs the others."""
    specs = [
        PluginSpec(go_kv(), KV_CONFIG, name=f"kv-{number}", memory_soft_limit=2**30 + number) for number in range(3)
    ]
    stop = threading.Event()

    def lease(number: int) -> None:
        for turn in range(60):
            with pool.lease(specs[(number + turn) % 3], timeout=LIMIT) as leased:
                leased.stub(KVStub).Put(PutRequest(key=f"{number}", value=b"1"), timeout=LIMIT)
                assert leased.is_shared in {False, True}

    def watch() -> None:
        while not stop.wait(0.001):
            pool.stats()
            pool._pool.stats()

    with PluginPool(Limits(max_plugins=3)) as pool, ThreadPoolExecutor(1) as watcher:
        watching = watcher.submit(watch)
        try:
            in_threads(lease, 16)
        finally:
            stop.set()
        watching.result(LIMIT)
        assert sum(each.calls for each in pool.stats().names) == 16 * 60


def test_lines_of_many_plugins() -> None:
    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("line "):
                lines[record.name].append(int(record.getMessage().split()[1]))

    lines: dict[str, list[int]] = {f"plugin-{number}": [] for number in range(THREADS)}
    handler = Lines()

    def work(number: int) -> None:
        logger = logging.Logger(f"plugin-{number}", logging.DEBUG)
        logger.addHandler(handler)
        with BlockingClient(go_kv(), {**KV_CONFIG, "logger": logger}) as client:
            for turn in range(10):
                texts = [f"line {50 * turn + each}" for each in range(50)]
                KVStub(client.grpc_channel).Noise(NoiseRequest(stderr_lines=texts), timeout=LIMIT)

    in_threads(work)
    assert lines == {name: [*range(500)] for name in lines}
