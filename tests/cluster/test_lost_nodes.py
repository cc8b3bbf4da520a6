"""Nodes of a real Ray cluster that are killed, and that hang, in the middle of work."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from cluster.accounts import Accounts, Journal
from cluster.conftest import Box
from cluster.plugin_work import read, where, write
from cluster.test_tasks import spec
from ferrule.pool import Limits
from ferrule.ray import NodeLost, RayPool
from waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.go, pytest.mark.timeout(400)]

KEYS, TASKS, CALLERS, IN_FLIGHT = 200, 4000, 200, 40
READ_LIMIT = 4.0
"""Seconds from the kill within which a read that was on the lost node has its answer from another."""


async def all_joined(pool: RayPool, count: int) -> None:
    """Returns when so many nodes take work: a busy machine starts actors one by one, and keys move to them."""
    await until(lambda: len(pool.stats()["nodes"]) == count, 120.0)


async def test_a_node_is_killed_in_the_middle(box: Box, journal: Path) -> None:
    nodes = box.add("lost", 3)
    chosen = random.Random(7)
    specs = [spec(number, journal) for number in range(KEYS)]
    keys = [chosen.randrange(KEYS) for _ in range(TASKS)]
    accounts = Accounts()
    killed_at = 0.0
    async with RayPool(resource="lost", limits_per_node=Limits(max_plugins=KEYS), in_flight_per_node=IN_FLIGHT) as pool:
        await all_joined(pool, 3)
        await asyncio.gather(*(pool.run(one, where, idempotent=True, timeout=120) for one in specs))

        async def one(number: int) -> None:
            nonlocal killed_at
            if number == TASKS // 3:
                killed_at = time.monotonic()
                await asyncio.to_thread(box.kill, nodes[1])
            work = (write, read)[number % 2]
            task = pool.run(specs[keys[number]], work, number, idempotent=work is read, timeout=120)
            await accounts.keep(number, task)

        numbers = iter(range(TASKS))

        async def caller() -> None:
            for number in numbers:
                await one(number)

        began = time.monotonic()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        took = time.monotonic() - began
        stats = pool.stats()
    what_happened = Journal.read(journal)
    writes = set(range(0, TASKS, 2))
    # Those that were asked for before the kill and answered after it.
    reads = [
        accounts.answered_at[number] - killed_at
        for number in range(1, TASKS, 2)
        if accounts.begun_at[number] < killed_at < accounts.answered_at[number]
    ]
    print(f"{TASKS} tasks in {took:.1f} s; {stats}")  # noqa: T201
    unknown = accounts.told_unknown
    really = f"{len(unknown & what_happened.begun.keys())} begun, {len(unknown & what_happened.ended.keys())} ended"
    print(f"{len(unknown)} told unknown, of these really {really}")  # noqa: T201
    print(f"reads answered at most {max(reads, default=0):.2f} s after the kill")  # noqa: T201
    assert accounts.told_error == {}
    assert accounts.told_ok | accounts.told_unknown == set(range(TASKS))
    assert accounts.told_ok & writes <= what_happened.ended.keys()
    assert what_happened.twice == set()
    assert what_happened.begun.keys() <= accounts.told_ok | accounts.told_unknown
    assert len(accounts.told_unknown) <= IN_FLIGHT
    assert accounts.told_unknown <= writes
    assert max(reads, default=0) <= READ_LIMIT


async def test_a_raylet_hangs_and_thaws_with_writes_in_flight(box: Box, journal: Path) -> None:
    """Ray declares the node dead while the actor and its plugins work on."""
    nodes = box.add("hangs", 2)
    specs = [spec(number, journal) for number in range(8)]
    accounts = Accounts()
    async with RayPool(resource="hangs") as pool:
        await all_joined(pool, 2)
        await asyncio.gather(*(pool.run(one, where, idempotent=True, timeout=120) for one in specs))
        first = [
            asyncio.ensure_future(accounts.keep(number, pool.run(one, write, number, 8.0)))
            for number, one in enumerate(specs)
        ]
        await until(lambda: journal.exists() and len(Journal.read(journal).begun) == len(specs))
        raylet = nodes[0].all_processes["raylet"][0].process
        raylet.send_signal(signal.SIGSTOP)
        try:
            await asyncio.wait(first)
            later = [
                accounts.keep(100 + number, pool.run(one, write, 100 + number, timeout=60))
                for number, one in enumerate(specs)
            ]
            await asyncio.gather(*later)
        finally:
            raylet.send_signal(signal.SIGCONT)
        await until(lambda: pool.stats()["nodes_lost"] == 1)
        stats = pool.stats()
    what_happened = Journal.read(journal)
    print(f"\n{len(accounts.told_unknown)} of {len(specs)} told unknown; {stats}")  # noqa: T201
    assert accounts.told_error == {}
    assert what_happened.twice == set()
    assert 0 < len(accounts.told_unknown) < len(specs)
    assert accounts.told_ok <= what_happened.ended.keys()
    assert {100 + number for number in range(len(specs))} <= accounts.told_ok
    lines = journal.read_text().splitlines()
    for number in accounts.told_unknown:
        # Whatever the lost node did of the earlier write was over before the later one began.
        assert max(n for n, line in enumerate(lines) if line.split()[1].startswith(f"{number}.")) < lines.index(
            f"begin {100 + number}.first"
        )


async def test_an_actor_hangs_and_thaws_with_writes_in_flight(box: Box, journal: Path) -> None:
    """The node's own process stands still, longer than its lease of time; its plugins do not."""
    box.add("stands", 2)
    specs = [spec(number, journal) for number in range(8)]
    accounts = Accounts()
    async with RayPool(resource="stands") as pool:
        await all_joined(pool, 2)
        places = await asyncio.gather(*(pool.run(one, where, idempotent=True, timeout=120) for one in specs))
        actor = places[0][0]
        first = [
            asyncio.ensure_future(accounts.keep(number, pool.run(one, write, number, 4.0)))
            for number, one in enumerate(specs)
        ]
        await until(lambda: journal.exists() and len(Journal.read(journal).begun) == len(specs))
        os.kill(actor, signal.SIGSTOP)
        try:
            await asyncio.wait(first)
            assert 0 < len(accounts.told_unknown) == sum(place[0] == actor for place in places)
            reads = [pool.run(one, read, number, idempotent=True, timeout=60) for number, one in enumerate(specs)]
            assert await asyncio.gather(*reads) == list(range(len(specs)))
            later = [
                accounts.keep(100 + number, pool.run(one, write, 100 + number, timeout=60))
                for number, one in enumerate(specs)
            ]
            await asyncio.gather(*later)
        finally:
            os.kill(actor, signal.SIGCONT)
        # The node ends what it had, and is a member again.
        await until(lambda: len(pool.stats()["nodes"]) == 2, 60.0)
        again = await asyncio.gather(*(pool.run(one, where, timeout=60) for one in specs))
        assert {place[0] for place in again} == {place[0] for place in places}
        assert {place[1] for place in again if place[0] == actor}.isdisjoint({place[1] for place in places})
    what_happened = Journal.read(journal)
    assert accounts.told_error == {}
    assert what_happened.twice == set()
    assert accounts.told_ok <= what_happened.ended.keys()
    assert {100 + number for number in range(len(specs))} <= accounts.told_ok


async def test_an_actor_is_killed(box: Box, journal: Path) -> None:
    """The node lives on, and gets another actor; the plugins of the first are gone with it."""
    box.add("dies", 1)
    one = spec(1, journal)
    async with RayPool(resource="dies") as pool:
        actor, plugin = await pool.run(one, where)
        running = asyncio.ensure_future(pool.run(one, write, 1, 600.0))
        await until(lambda: journal.exists() and 1 in Journal.read(journal).begun)
        os.kill(actor, signal.SIGKILL)
        with pytest.raises(NodeLost) as lost:
            await running
        assert lost.value.begun
        assert lost.value.node in pool.stats()["nodes"] or pool.stats()["nodes"] == {}
        await until(lambda: not Path(f"/proc/{plugin}").exists())
        assert await pool.run(one, read, 2, idempotent=True, timeout=60) == 2
        assert await pool.run(one, write, 3, timeout=60) == 3
    assert Journal.read(journal).twice == set()
