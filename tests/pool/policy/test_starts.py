"""When plugins are started, in which order, and when starts are given up."""

from __future__ import annotations

from ferrule.pool.policy import Abandon, Hold, Start
from pool.policy.simulation import ENDED, configure
from pool.policy.situations import commands, opened, spec, waiter


def test_a_hundred_callers_of_one_key_share_one_start() -> None:
    simulation = opened(spec())
    waiters = [waiter(simulation, simulation.entries[0]) for _ in range(100)]
    (start,) = commands(simulation, Start)
    simulation.start_ends(start.plugin)
    assert {simulation.answers[each][0].plugin for each in waiters} == {start.plugin}


def test_starts_are_throttled_and_in_order_of_priority_then_arrival() -> None:
    simulation = opened(*(spec(f"key{number}") for number in range(10)))
    priorities = [0, 0, 0, 1, 0, 5, 1, 0, 5, 0]
    for entry, priority in zip(simulation.entries, priorities, strict=True):
        waiter(simulation, entry, priority)
    while simulation.starting:
        assert len(simulation.starting) <= 2
        simulation.start_ends(simulation.starting[0])
    order = [command.plugin.entry.spec.name for command in commands(simulation, Start)]
    assert order == [f"key{number}" for number in (0, 1, 5, 8, 3, 6, 2, 4, 7, 9)]


def test_waiting_raises_the_priority_by_one_step_in_five_seconds() -> None:
    simulation = opened(*map(spec, "abcd"), start_slots=1)
    a, b, c, d = simulation.entries
    waiter(simulation, a)
    waiter(simulation, b)
    simulation.advance(4.9)
    waiter(simulation, c, 1)
    simulation.advance(0.2)
    waiter(simulation, d, 1)
    while simulation.starting:
        simulation.start_ends(simulation.starting[0])
    order = [command.plugin.entry.spec.name for command in commands(simulation, Start)]
    assert order == ["a", "c", "b", "d"]


def test_a_wait_for_a_slot_that_others_hold_ends_in_a_start() -> None:
    simulation = opened(spec())
    simulation.others_use(2, 0)
    waits = waiter(simulation, simulation.entries[0], timeout=100)
    simulation.advance(70)
    assert commands(simulation, Start) == []
    simulation.others_use(0, 0)
    simulation.start_ends(simulation.starting[0])
    assert isinstance(simulation.answers[waits][0], Hold)


def test_configuring_holds_no_slot_and_has_a_limit_of_its_own() -> None:
    simulation = opened(*(spec(f"key{number}", on_start=configure) for number in range(10)), start_slots=1)
    for entry in simulation.entries:
        waiter(simulation, entry)
    for _ in range(10):
        assert len(simulation.starting) == 1
        simulation.start_ends(simulation.starting[0])
    assert simulation.slots.held == 0
    assert len(simulation.configuring) == 4
    simulation.configuring_ends(simulation.configuring[0])
    simulation.configuring_ends(simulation.configuring[0], ENDED)
    assert len(simulation.configuring) == 4


def test_a_start_is_given_up_with_its_last_waiter() -> None:
    simulation = opened(spec())
    entry = simulation.entries[0]
    first, second = waiter(simulation, entry), waiter(simulation, entry)
    simulation.withdraw(first)
    assert commands(simulation, Abandon) == []
    simulation.withdraw(second)
    assert len(commands(simulation, Abandon)) == 1
    # Somebody who comes in the meantime has a start of its own, and no error.
    third = waiter(simulation, entry)
    simulation.start_ends(simulation.starting[0], ENDED)
    simulation.start_ends(simulation.starting[0])
    assert isinstance(simulation.answers[third][0], Hold)
    assert entry.breaker.error is None


def test_a_queued_start_that_nobody_wants_is_never_made() -> None:
    simulation = opened(spec("a"), spec("b"), start_slots=1)
    waiter(simulation, simulation.entries[0])
    simulation.withdraw(waiter(simulation, simulation.entries[1]))
    simulation.start_ends(simulation.starting[0])
    assert len(commands(simulation, Start)) == 1


def test_a_warm_start_goes_on_when_its_caller_is_gone() -> None:
    simulation = opened(spec())
    simulation.withdraw(waiter(simulation, simulation.entries[0], warm=True))
    assert commands(simulation, Abandon) == []
    simulation.start_ends(simulation.starting[0])
    assert isinstance(simulation.lease(simulation.entries[0]), Hold)
