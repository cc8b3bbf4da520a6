"""Hundreds of plugins in one pool: what each costs its host, and how fast all of them stop.

FERRULE_POOL_PLUGINS says how many (default 50; `make soak` has 500). Only from 500 on are times held, since the machine
is theirs alone then; with -s the figures are shown.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from typing import NamedTuple

import pytest

from conftest import children, descriptors
from ferrule.pool import Lease, Limits, PluginPool, PluginSpec
from ferrule.pool.machine.cpus import usable_cpus
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import EchoRequest
from integration.usage import own_threads
from peers import go_kv, kv_config
from stress.memory import resident_bytes

COUNT = int(os.environ.get("FERRULE_POOL_PLUGINS", "50"))
IS_TIMED = COUNT >= 500
DESCRIPTORS_EACH, KIB_EACH, NOISE_KIB = 4.2, 100, 4096
IDLE_SECONDS, IDLE_SHARE = 10.0, 0.002
STOP_SECONDS = 1.5

pytestmark = [pytest.mark.go, pytest.mark.timeout(300)]


def specs(count: int) -> list[PluginSpec]:
    """That many specs that share no process."""
    return [PluginSpec(go_kv(), kv_config(env={"FERRULE_NUMBER": str(number)})) for number in range(count)]


async def echoes(lease: Lease) -> bool:
    answer = await lease.stub(KVStub).Echo(EchoRequest(payload=b"here"))
    return bool(answer.payload == b"here")


class Held(NamedTuple):
    """What this process holds."""

    children: int
    descriptors: int
    threads: int
    kib: int

    @classmethod
    def now(cls) -> Held:
        gc.collect()
        return cls(len(children()), len(descriptors()), own_threads(), resident_bytes() // 1024)


async def idle_share() -> float:
    """CPU of this process while nothing happens, as a share of one core."""
    begun = time.process_time()
    await asyncio.sleep(IDLE_SECONDS)
    return (time.process_time() - begun) / IDLE_SECONDS


async def test_each_of_many_plugins_costs_the_host_little() -> None:
    async with PluginPool() as pool:
        # The first plugin brings what all share: threads, modules, a watcher.
        assert await pool.run(specs(1)[0], echoes)
    many = specs(COUNT)
    before = Held.now()
    async with PluginPool(Limits(max_plugins=COUNT, max_waiting=COUNT, acquire_timeout=300)) as pool:
        assert all(await asyncio.gather(*(pool.run(spec, echoes) for spec in many)))
        live = Held.now()
        idle = await idle_share() if IS_TIMED else 0.0
        begun = time.perf_counter()
    stop_seconds = time.perf_counter() - begun
    descriptors_each = (live.descriptors - before.descriptors) / COUNT
    kib_each = (live.kib - before.kib) / COUNT
    print(  # noqa: T201
        f"{COUNT} plugins, each {descriptors_each:.2f} descriptors and {kib_each:.0f} KiB; {live.threads} threads, "
        f"idle {idle:.2%} of a core, stopped in {stop_seconds:.2f} s"
    )
    assert live.children - before.children == COUNT
    # A thread for each start at once looks at the program.
    assert live.threads - before.threads <= usable_cpus()
    assert descriptors_each <= DESCRIPTORS_EACH
    assert kib_each <= KIB_EACH + NOISE_KIB / COUNT
    if IS_TIMED:
        assert idle <= IDLE_SHARE
        assert stop_seconds <= STOP_SECONDS
    assert Held.now()[:3] == before[:3]
