"""Pools that share the machine's start slots."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ferrule import ConfigError
from ferrule.pool import PluginPool, PluginSpec
from ferrule.pool.aio import resources
from ferrule.pool.machine import Machine
from pool.aio.fakes import FakeClock, FakeLauncher, FakeMeter, turns
from pool.aio.holder import Holder


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with one start slot, for this test alone."""
    machine = Machine(start_slots=1)
    monkeypatch.setattr(resources, "this_machine", lambda: machine)
    return machine


async def test_pools_start_in_turn(
    make_pool: Callable[..., PluginPool], spec: Callable[..., PluginSpec], clock: FakeClock, launcher: FakeLauncher
) -> None:
    async with make_pool(start_slots=None) as first, make_pool(start_slots=None) as second:
        holders = [Holder(first, spec(f"first {number}")) for number in range(3)]
        await turns()
        holders += [Holder(second, spec(f"second {number}")) for number in range(2)]
        await clock.advance(20)
        assert launcher.most_starting == 1
        assert launcher.names == ["first 0", "first 1", "second 0", "first 2", "second 1"]
        for holder in holders:
            await holder.end()


async def test_a_pool_whose_loop_was_closed_keeps_no_slot(
    make_pool: Callable[..., PluginPool], spec: Callable[..., PluginSpec], clock: FakeClock, machine: Machine
) -> None:
    async with make_pool(start_slots=None) as pool:
        blocker = Holder(pool, spec("blocker"))
        await turns()
        tasks: list[asyncio.Future[Any]] = []
        its_clock = FakeClock()
        launcher = FakeLauncher(its_clock)
        abandoned = PluginPool(_clock=its_clock, _launcher=launcher, _random=random.Random(1), _meter=FakeMeter())

        async def wait_for_a_slot() -> None:
            await abandoned.__aenter__()
            tasks.append(asyncio.ensure_future(abandoned.lease(spec("abandoned")).__aenter__()))
            await asyncio.sleep(0)

        await asyncio.to_thread(_run_and_close, wait_for_a_slot)
        other = Holder(pool, spec("other"))
        await clock.advance(5)
        assert blocker.pid != other.pid
        assert machine.start_slots.used == 0
        await blocker.end()
        await other.end()


def _run_and_close(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs something on a loop that is then closed under the tasks that it has."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    loop.run_until_complete(work())
    loop.close()


@pytest.mark.parametrize(
    "promise", [{"idempotent": {"/kv.KV/Put"}}, {"exclusive": True}, {"group": "account"}, {"max_concurrent_calls": 1}]
)
async def test_what_a_spec_promises_is_not_another_ones(
    make_pool: Callable[..., PluginPool], spec: Callable[..., PluginSpec], launcher: FakeLauncher, promise: Any
) -> None:
    launcher.start_seconds = 0
    async with make_pool() as pool:
        async with pool.lease(spec()), pool.lease(spec()) as second:
            assert second.calls == 2
        with pytest.raises(ConfigError, match=f"share a process, and differ in {next(iter(promise))}"):
            async with pool.lease(spec(**promise)):
                pass


class BrokenTracer:
    """A tracer of which one method raises."""

    def __init__(self, broken: str) -> None:
        self.broken = broken

    def __getattr__(self, name: str) -> Callable[..., object]:
        def trace(*_: Any, **__: Any) -> object:
            if name == self.broken:
                raise ValueError("the exporter is gone")
            return object()

        return trace


@pytest.mark.parametrize("broken", ["lease_asked", "lease_waits", "lease_granted", "lease_ended", "start_ended"])
async def test_a_tracer_that_raises_hurts_no_lease(
    make_pool: Callable[..., PluginPool], spec: Callable[..., PluginSpec], launcher: FakeLauncher, broken: str
) -> None:
    launcher.start_seconds = 0
    async with make_pool() as pool:
        pool.tracer = BrokenTracer(broken)  # type: ignore[assignment]
        async with pool.lease(spec()) as lease:
            assert lease.calls == 1
        assert pool.stats().by_state() == {"ready": 1}
