"""A mixed load over many plugins, which are killed, restarted, frozen and flooded: `python -m soak.program --help`.

The load is a pace and not a rush: it is to show what accumulates, and to leave room beside it on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import platform
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from faults.leftovers import Holdings
from ferrule.pool import PluginPool
from peers import ROOT
from soak.ledger import Ledger
from soak.member import Member
from soak.pooled import LIMITS
from soak.population import FULL, SMALL, Output, make_members
from soak.sampling import Sampler, verdict
from waiting import LIMIT, until

SAMPLES, FEWEST_SECONDS = 240, 0.4
"""Samples of a run, and the pause between two of them at least: each collects garbage."""
THREADS = 6
"""Those that the blocking clients share."""
PAUSE_SECONDS = 0.5
"""Between two pieces of work of a plugin, on average."""
CANCELLED_SHARE, LATEST_CANCEL_SECONDS = 0.05, 0.005
TROUBLE_SECONDS = 1.0
"""Between two troubles, on average."""
LONGEST_PAUSE_SECONDS = 4.0

SETTLED_AT_ONCE = 1.0
"""Seconds to wait for what is leaked on purpose, and does not end."""


class Soak:
    """The load on some plugins, and their troubles."""

    def __init__(self, members: list[Member], ledger: Ledger, numbers: Random) -> None:
        self._members = members
        self._ledger = ledger
        self._numbers = numbers
        self._is_over = False

    async def run(self, sampling: Awaitable[None]) -> None:
        """Returns when all samples are taken and all work has ended."""
        async with asyncio.TaskGroup() as group:
            for member in self._members:
                group.create_task(self._work(member))
            group.create_task(self._trouble())
            await sampling
            self._is_over = True

    async def _pause(self, seconds: float) -> bool:
        """Waits a while, on average that long; whether there is to be more."""
        await asyncio.sleep(min(self._numbers.expovariate(1 / seconds), LONGEST_PAUSE_SECONDS))
        return not self._is_over

    async def _work(self, member: Member) -> None:
        while await self._pause(PAUSE_SECONDS):
            work = self._ledger.keep(member.name, member.kind, member.troubles, member.work(self._numbers))
            if member.is_cancellable and self._numbers.random() < CANCELLED_SHARE:
                await self._cancelled(asyncio.create_task(work), member.kind)
            else:
                await work

    async def _cancelled(self, work: asyncio.Task[None], kind: str) -> None:
        await asyncio.wait([work], timeout=self._numbers.uniform(0, LATEST_CANCEL_SECONDS))
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
            return
        self._ledger.ends[f"{kind}: cancelled"] += 1

    async def _trouble(self) -> None:
        """One trouble after the other, each of them beside the work."""
        async with asyncio.TaskGroup() as group:
            while await self._pause(TROUBLE_SECONDS):
                victim = self._numbers.choice(self._members)
                if victim.troubles.is_open:
                    continue
                # A veteran may be frozen, since it lives on.
                kind = "freeze" if victim.is_veteran else self._numbers.choice(("kill", "kill", "renew", "freeze"))
                group.create_task(self._make_trouble(victim, kind))

    async def _make_trouble(self, victim: Member, kind: str) -> None:
        begun = time.monotonic()
        try:
            if kind == "kill":
                await victim.kill()
                self._ledger.note_seconds("recovery", time.monotonic() - begun)
            elif kind == "freeze":
                await victim.freeze()
            else:
                await victim.renew(self._numbers)
        except Exception as error:  # noqa: BLE001 - any is the finding.
            self._ledger.find(f"{victim.name}, {kind}: {error!r}")
        self._ledger.troubles[kind] += 1


LEAKED: list[Any] = []


LEAKS: dict[str, Callable[[], object]] = {
    "descriptors": lambda: os.open(os.devnull, os.O_RDONLY),
    "tasks": lambda: asyncio.create_task(asyncio.Event().wait()),
    "memory": lambda: bytearray(os.urandom(2000)),
}


async def leak(what: Sequence[str]) -> None:
    """Leaks on purpose, to show that it is seen."""
    while True:
        await asyncio.sleep(0.05)
        LEAKED.extend(LEAKS[each]() for each in what)


async def load(
    counts: dict[str, int], seconds: float, numbers: Random, ledger: Ledger, leaks: Sequence[str] = ()
) -> Sampler:
    """Starts plugins, puts them under load for a while, and ends them."""
    output, threads = Output(), ThreadPoolExecutor(THREADS)
    asyncio.get_running_loop().set_default_executor(threads)
    async with PluginPool(LIMITS) as pool:
        members = make_members(pool, output, counts)
        try:
            await asyncio.gather(*(member.start() for member in members))
            sampler = Sampler(ledger, members)
            leaking = asyncio.create_task(leak(leaks)) if leaks else None
            pause = max(seconds / SAMPLES, FEWEST_SECONDS)
            await Soak(members, ledger, numbers).run(sampler.take_some(round(seconds / pause), pause))
            if leaking is not None:
                leaking.cancel()
        finally:
            await asyncio.gather(*(member.close() for member in members))
    output.close()
    threads.shutdown()
    ledger.ends["log lines"] = output.lines
    ledger.ends["bytes of output"] = output.synced_bytes
    return sampler


KEPT = {"descriptor of anon_inode": 8, "thread ferrule-spawn": 7}
"""What a busy machine may add for the life of the process: threads of grpcio's, which poll, and threads for starts."""


async def left_since(before: Holdings, tasks: int, directory: Path, limit: float) -> Counter[str]:
    """What is held now and was not before, once all that ends by itself has ended."""

    def left() -> Counter[str]:
        found = Counter(Holdings.now(directory).more_than(before)) - Counter(KEPT)
        return found + Counter({"task": len(asyncio.all_tasks()) - tasks})

    with contextlib.suppress(TimeoutError):
        await until(lambda: not left(), limit)
    return left()


def facts() -> dict[str, str]:
    """What a reader has to know of a run besides its figures."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return {"date": date, "commit": commit, "Python": platform.python_version(), "kernel": platform.release()}


async def soak(seconds: float, seed: str, counts: dict[str, int], leaks: Sequence[str]) -> dict[str, object]:
    """A whole run; what came of it."""
    numbers, ledger = Random(seed), Ledger()
    with tempfile.TemporaryDirectory(prefix="ft-", dir="/tmp") as name:
        tempfile.tempdir, directory = name, Path(name)
        # What the first plugins bring stays: threads, modules, a watcher.
        await load(SMALL, 1.0, numbers, Ledger())
        before, tasks = Holdings.now(directory), len(asyncio.all_tasks())
        sampler = await load(counts, seconds, numbers, ledger, leaks)
        left = await left_since(before, tasks, directory, SETTLED_AT_ONCE if leaks else LIMIT)
        tempfile.tempdir = None
    return {
        "seed": seed,
        "seconds": seconds,
        "facts": facts(),
        "plugins": counts,
        "ends": dict(sorted(ledger.ends.items())),
        "troubles": dict(sorted(ledger.troubles.items())),
        "found": ledger.found,
        "findings": ledger.findings,
        "not_flat": verdict(sampler.times, sampler.values),
        "left": left,
        "times": sampler.times,
        "values": sampler.values,
    }


def main() -> None:
    """Runs as the command line says, and writes what came of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--few", action="store_true", help="one plugin of each kind instead of fifty plugins")
    parser.add_argument("--leak", choices=LEAKS, action="append", default=[])
    options = parser.parse_args()
    logging.getLogger("ferrule").addHandler(logging.NullHandler())
    results = asyncio.run(soak(options.seconds, options.seed, SMALL if options.few else FULL, options.leak))
    options.results.write_text(json.dumps(results))


if __name__ == "__main__":
    main()
