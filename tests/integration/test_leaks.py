"""Cycle after cycle, nothing accumulates: descriptors, threads, tasks, files, memory.

The counts come from the environment: FERRULE_CYCLES starts and stops (default 30), FERRULE_KILLS plugins ended by
SIGKILL (default 10). `make soak` runs 1,000 and 200; with -s the figures are shown.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ferrule.client import RPCPluginClient
from ferrule.errors import RPCPluginError
from ferrule.testing.kv_pb2 import EchoRequest
from integration.kv import kv_client, kv_stub, started
from integration.usage import Usage
from peers import go_kv

CYCLES = int(os.environ.get("FERRULE_CYCLES", "30"))
KILLS = int(os.environ.get("FERRULE_KILLS", "10"))
WARM_UP = 10
"""Cycles before the first measurement: allocators and libraries keep what they took first."""
NOISE_BYTES = 4 << 20
"""By how much resident memory may differ although nothing leaks: fragments of the allocators."""
LEAST_LEAK_BYTES = 4096
"""What a cycle may not lose on average: far less than one forgotten connection or certificate."""

pytestmark = [pytest.mark.go, pytest.mark.timeout(1800)]


async def repeated(cycle: Callable[[], Awaitable[None]], count: int, directory: Path, what: str) -> None:
    """Runs a cycle many times, and compares what is held before and after."""
    for _ in range(WARM_UP):
        await cycle()
    before, begun = Usage.now(), time.perf_counter()
    for _ in range(count):
        await cycle()
    seconds, after = time.perf_counter() - begun, Usage.now()
    print(f"\n{what}, {count} times in {seconds:.1f} s:\n  {before}\n  {after}")  # noqa: T201
    assert after[:-1] == before[:-1]
    assert after.resident_bytes - before.resident_bytes < NOISE_BYTES + count * LEAST_LEAK_BYTES
    assert list(directory.iterdir()) == []


async def call(client: RPCPluginClient) -> None:
    answer = await kv_stub(client).Echo(EchoRequest(payload=bytes(10_000)))
    assert len(answer.payload) == 10_000


async def test_starts_and_stops_leave_nothing(temporary_directory: Path) -> None:
    async def cycle() -> None:
        async with started(go_kv()) as (client, _):
            await call(client)

    await repeated(cycle, CYCLES, temporary_directory, "start, call, stop")


async def test_killed_plugins_leave_nothing(temporary_directory: Path) -> None:
    async def cycle() -> None:
        client = kv_client(go_kv())
        await client.start()
        await call(client)
        waiting = asyncio.create_task(client.wait_exited())
        os.kill(client.pid or 0, signal.SIGKILL)
        assert await waiting == -signal.SIGKILL
        await client.close()

    await repeated(cycle, KILLS, temporary_directory, "start, call, SIGKILL, close")


async def test_failed_and_cancelled_starts_leave_nothing(temporary_directory: Path) -> None:
    async def cycle() -> None:
        with pytest.raises(RPCPluginError):
            await kv_client(go_kv("exit=3")).start()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(kv_client(go_kv("hang")).start(), 0.01)

    await repeated(cycle, KILLS, temporary_directory, "failed and cancelled starts")


async def test_closes_without_a_shutdown_leave_nothing(temporary_directory: Path) -> None:
    async def cycle() -> None:
        client = kv_client(go_kv())
        await client.start()
        calls = [asyncio.create_task(call(client)) for _ in range(4)]
        await asyncio.sleep(0)
        await client.close()
        await asyncio.gather(*calls, return_exceptions=True)

    await repeated(cycle, KILLS, temporary_directory, "start, close during calls")
