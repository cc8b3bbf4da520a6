"""What callers are told who cannot have a lease, and who gets one that somebody left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ferrule.pool import LeaseTimeout, Limits, PoolFull
from ferrule.pool.policy import Hold
from pool.policy.simulation import ENDED, MIB, Simulation
from pool.policy.situations import leased, opened, refusal, serving, spec, waiter


def test_one_caller_too_many_is_refused_at_once() -> None:
    simulation = opened(spec(), max_waiting=3)
    for _ in range(3):
        waiter(simulation, simulation.entries[0])
    assert isinstance(simulation.lease(simulation.entries[0]), PoolFull)


def _slots(simulation: Simulation) -> None:
    simulation.others_use(2, 0)


def _memory(simulation: Simulation) -> None:
    simulation.others_use(0, 900 * MIB)


def _plugins(simulation: Simulation) -> None:
    simulation.resize(Limits(max_plugins=1, start_slots=2))
    leased(simulation, simulation.entries[1])


def _concurrency(simulation: Simulation) -> None:
    leased(simulation, simulation.entries[0])


def _group(simulation: Simulation) -> None:
    serving(simulation, simulation.entries[0])
    leased(simulation, simulation.entries[1])


def _backoff(simulation: Simulation) -> None:
    for _ in range(9):
        waiter(simulation, simulation.entries[0], timeout=1000)
        while not simulation.starting:
            simulation.advance(1)
        simulation.start_ends(simulation.starting[0], ENDED)


@pytest.mark.parametrize(
    ("held_by", "prepare"),
    [
        ("start slots", _slots),
        ("memory", _memory),
        ("plugins", _plugins),
        ("concurrency", _concurrency),
        ("group", _group),
        ("start", lambda _: None),
        ("backoff", _backoff),
    ],
)
def test_a_timeout_says_what_held_the_caller(held_by: str, prepare: Callable[[Simulation], None]) -> None:
    kv = spec(max_concurrent_calls=1, group="account")
    other = spec("other", group="account")
    limits = {"max_memory_bytes": 950 * MIB, "failures": 100, "max_concurrent_calls_per_group": 1}
    simulation = opened(kv, other, **limits if prepare is not _concurrency else {"failures": 100})
    prepare(simulation)
    waits = waiter(simulation, simulation.entries[0], timeout=3)
    simulation.advance(3)
    error = refusal(simulation, waits)
    assert isinstance(error, LeaseTimeout)
    assert error.held_by == held_by
    assert error.waited == pytest.approx(3)
    assert f"held by {held_by} for 3 s" in error.message


@pytest.mark.parametrize("per_group", [2, {"account": 2}, None])
def test_a_groups_limit_follows_the_pools(per_group: int | dict[str, int] | None) -> None:
    simulation = opened(*(spec(name, group="account") for name in "ab"), max_concurrent_calls_per_group=1)
    first, second = simulation.entries
    serving(simulation, first)
    leased(simulation, second)
    waits = waiter(simulation, first)
    simulation.resize(Limits(start_slots=2, max_concurrent_calls_per_group=per_group))
    assert isinstance(simulation.answers[waits][0], Hold)


def test_a_timeout_during_the_start_says_that_slots_held_it_for_longer() -> None:
    simulation = opened(spec())
    simulation.others_use(2, 0)
    waits = waiter(simulation, simulation.entries[0], timeout=30)
    simulation.advance(29)
    simulation.others_use(0, 0)
    simulation.advance(1)
    error = refusal(simulation, waits)
    assert error.held_by == "start slots"
    assert "held by start slots for 29 s, then start for 1 s" in error.message


def test_a_lease_for_a_caller_who_has_gone_goes_to_the_next() -> None:
    simulation = opened(spec(max_concurrent_calls=1))
    entry = simulation.entries[0]
    hold = leased(simulation, entry)
    first, second = waiter(simulation, entry), waiter(simulation, entry)
    simulation.vanish(first)
    simulation.give_back(hold)
    assert simulation.holds == simulation.answers[second]
    assert hold.plugin.calls == 2
