"""More providers than there is memory for: the limit holds at every moment, and no caller gets an error for it.

FERRULE_PROVIDERS says how many (default 8, under 64 MiB; `make soak` has 50 under 300 MiB).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conftest import children
from ferrule.pool import Limits, PluginPool, PluginSpec
from ferrule.terraform import Provider, provider_spec
from peers import GO_PEERS, provider_path

MIB = 1 << 20
COUNT = int(os.environ.get("FERRULE_PROVIDERS", "8"))
LIMIT_BYTES = (300 if COUNT >= 50 else 64) * MIB
CALLERS, TASKS = (20, 1000) if COUNT >= 50 else (6, 60)
SAMPLE_SECONDS = 0.02
PROGRAM = Path(os.path.realpath(GO_PEERS / "terraform-provider-simple"))

pytestmark = [pytest.mark.go, pytest.mark.timeout(300)]


def private_bytes(pid: int) -> int:
    """Memory that a provider's process shares with no other; 0 if it has ended, or not begun."""
    try:
        # Until a child runs the program, its memory is that of this process.
        if Path(f"/proc/{pid}/exe").readlink() != PROGRAM:
            return 0
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))


@contextlib.asynccontextmanager
async def sampled() -> AsyncIterator[list[int]]:
    """The private memory of all child processes together, from time to time."""
    samples: list[int] = []

    async def sample() -> None:
        while True:
            samples.append(sum(private_bytes(pid) for pid in children()))
            await asyncio.sleep(SAMPLE_SECONDS)

    sampling = asyncio.create_task(sample())
    yield samples
    sampling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sampling


async def test_memory_never_exceeds_its_limit(cache_directory: None) -> None:
    settings = ({"env": {"FERRULE_NUMBER": str(number)}} for number in range(COUNT))
    specs = [provider_spec(provider_path("simple"), {}, settings=each) for each in settings]
    numbers, used, begun = random.Random(1), set[int](), time.monotonic()

    async def task(pool: PluginPool, spec: PluginSpec) -> None:
        async with pool.lease(spec) as lease, Provider.over(lease) as provider:
            used.add(lease.pid)
            resource = provider.resource("simple_resource")
            state = await resource.apply(await resource.plan({"value": "x"}))
            assert state is not None

    async def some(pool: PluginPool) -> None:
        for _ in range(TASKS // CALLERS):
            await task(pool, numbers.choice(specs))

    async with PluginPool(Limits(max_memory_bytes=LIMIT_BYTES)) as pool:
        # The schema comes from a process of its own, which ends right away.
        await task(pool, specs[0])
        async with sampled() as samples:
            await asyncio.gather(*(some(pool) for _ in range(CALLERS)))
    print(  # noqa: T201
        f"{COUNT} providers, {len(used)} processes, {TASKS / (time.monotonic() - begun):.0f} tasks per second, private "
        f"memory at most {max(samples) / MIB:.0f} MiB in {len(samples)} samples, {LIMIT_BYTES / MIB:.0f} allowed"
    )
    assert max(samples) <= LIMIT_BYTES
    # As a rule all of the few fit.
    assert len(used) > (COUNT if COUNT >= 50 else 1), "no provider was stopped for room"
