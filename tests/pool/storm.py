"""A pool in a storm: many callers of many plugins, of which one is killed every few milliseconds.

Run as: python -m pool.storm SECONDS SEED JOURNAL COMMAND...

The command is that of the KV plugin that writes the journal. Prints one line of JSON: what callers were told, what the
journal says of it, and what was left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import grpc

from ferrule.pool import LeaseTimeout, Limits, OutcomeUnknown, PluginPool, PluginSpec, PoolEvent
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import PutRequest
from integration.usage import Usage
from peers import kv_config
from pool.journal import Told, judged
from waiting import until

KEYS, CALLERS = 50, 200
KILL_SECONDS = 0.05
PATIENT_SECONDS, HASTY_SECONDS, HASTY_SHARE = 10.0, 0.02, 0.1
"""Deadlines of calls, and the share of those that give up soon."""

# Crashes are what this is about: no plugin is given up for them, or left alone for long.
LIMITS = Limits(failures=10**9, retry_after=0.2)


class Storm:
    """Callers, a killer, and what became of each call."""

    def __init__(self, pool: PluginPool, specs: list[PluginSpec], numbers: random.Random) -> None:
        self.told: dict[str, Told] = {}
        self.ends: Counter[str] = Counter()
        self.kills = 0
        self.longest_seconds = 0.0
        self._pool = pool
        self._specs = specs
        self._numbers = numbers
        self._serving: set[int] = set()
        self._calls = itertools.count()
        pool.subscribe(self._note)

    def _note(self, event: PoolEvent) -> None:
        if event.pid is not None and event.kind == "ready":
            self._serving.add(event.pid)
        elif event.pid is not None:
            self._serving.discard(event.pid)

    async def blow(self, seconds: float) -> None:
        """Returns when the time is over and every call has ended."""
        end = time.monotonic() + seconds
        await asyncio.gather(self._kill(end), *(self._call_again_and_again(end) for _ in range(CALLERS)))

    async def _kill(self, end: float) -> None:
        while time.monotonic() < end:
            await asyncio.sleep(KILL_SECONDS)
            if self._serving:
                victim = self._numbers.choice(sorted(self._serving))
                self._serving.discard(victim)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    self.kills += 1

    async def _call_again_and_again(self, end: float) -> None:
        while time.monotonic() < end:
            call, begun = f"call-{next(self._calls)}", time.monotonic()
            self.told[call], word = await self._call(call)
            self.ends[word] += 1
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - begun)

    async def _call(self, call: str) -> tuple[Told, str]:
        spec = self._numbers.choice(self._specs)
        limit = HASTY_SECONDS if self._numbers.random() < HASTY_SHARE else PATIENT_SECONDS
        try:
            async with self._pool.lease(spec, timeout=limit) as lease:
                await lease.stub(KVStub).Put(PutRequest(key=call), timeout=limit)
        except OutcomeUnknown:
            return Told.UNKNOWN, "OutcomeUnknown"
        except LeaseTimeout:
            return Told.NOT_BEGUN, "LeaseTimeout"
        except grpc.aio.AioRpcError as error:
            begun = error.begun  # type: ignore[attr-defined]
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return Told.UNKNOWN if begun else Told.NOT_BEGUN, f"DEADLINE_EXCEEDED, {begun=}"
            first_line = (error.details() or "").partition("\n")[0]
            return Told.UNKNOWN if begun else Told.NOT_BEGUN, f"{type(error).__name__}, {begun=}: {first_line}"
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - any other is the finding.
            return Told.UNKNOWN, repr(error)
        return Told.OK, "ok"


async def storm(seconds: float, seed: str, journal: Path, command: list[str]) -> dict[str, object]:
    """Runs a storm on a new pool; what came of it."""
    specs = [PluginSpec(command, kv_config(env={"FERRULE_STORM_KEY": str(key)})) for key in range(KEYS)]
    numbers = random.Random(seed)
    async with PluginPool(LIMITS) as pool:
        await pool.warm(specs[:1])  # What the first plugin brings stays: a thread, modules, a watcher.
    before = Usage.now()
    async with PluginPool(LIMITS) as pool:
        blown = Storm(pool, specs, numbers)
        await blown.blow(seconds)
    with contextlib.suppress(TimeoutError):
        await until(lambda: Usage.now()[:-1] == before[:-1])
    return {
        "ends": dict(blown.ends),
        "kills": blown.kills,
        "longest_seconds": round(blown.longest_seconds, 3),
        "verdict": judged(journal, blown.told)._asdict(),
        "before": before._asdict(),
        "after": Usage.now()._asdict(),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(storm(float(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4:]))))  # noqa: T201
