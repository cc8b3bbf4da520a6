"""What makes room for a plugin, and that no key is starved."""

from __future__ import annotations

from ferrule.pool import Limits
from ferrule.pool.policy import Hold, Revoke, State, Stop
from pool.policy.simulation import ENDED, MIB
from pool.policy.situations import commands, leased, opened, serving, spec, waiter


def test_the_plugin_used_least_recently_makes_room_on_the_first_return() -> None:
    simulation = opened(*map(spec, "abc"), spec("d"), max_plugins=3)
    holds = [leased(simulation, entry) for entry in simulation.entries[:3]]
    waits = waiter(simulation, simulation.entries[3])
    assert commands(simulation, Stop) == []
    simulation.give_back(holds[1])
    assert commands(simulation, Stop) == [Stop(holds[1].plugin, "pressure")]
    assert not simulation.starting
    simulation.stop_ends(holds[1].plugin)
    simulation.start_ends(simulation.starting[0])
    assert isinstance(simulation.answers[waits][0], Hold)
    # Among several that are idle, it is the one that was used before the others.
    simulation.give_back(holds[2])
    simulation.give_back(holds[0])
    waiter(simulation, simulation.entries[1])
    assert commands(simulation, Stop)[1:] == [Stop(holds[2].plugin, "pressure")]


def test_memory_is_counted_by_estimate_then_by_measure() -> None:
    simulation = opened(*map(spec, "abc"), max_memory_bytes=250 * MIB, start_slots=3)
    a, b, c = simulation.entries
    for entry in (a, b, c):
        waiter(simulation, entry)
    assert [plugin.entry for plugin in simulation.starting] == [a, b]
    simulation.start_ends(simulation.starting[0], memory=30 * MIB)
    assert [plugin.entry for plugin in simulation.starting] == [b, c]
    assert simulation.policy.memory == 230 * MIB


def test_above_the_limit_of_memory_idle_plugins_end_and_then_the_largest_is_drained() -> None:
    simulation = opened(*map(spec, "abc"), max_memory_bytes=250 * MIB)
    holds = []
    for entry in simulation.entries:
        holds.append(leased(simulation, entry))
        simulation.measure(holds[-1].plugin, 20 * MIB)
    simulation.give_back(holds[0])
    simulation.measure(holds[1].plugin, 235 * MIB)
    assert commands(simulation, Stop) == [Stop(holds[0].plugin, "pressure")]
    assert holds[1].plugin.state is State.DRAINING
    # One at a time.
    simulation.measure(holds[2].plugin, 30 * MIB)
    assert holds[2].plugin.state is State.LEASED
    assert commands(simulation, Revoke) == []


def test_no_more_is_stopped_than_makes_room() -> None:
    simulation = opened(*map(spec, "abc"), max_memory_bytes=250 * MIB)
    a, b, c = simulation.entries
    first, _ = serving(simulation, a), serving(simulation, b)
    waiter(simulation, c)
    # What one that ends has grown to is free with it.
    simulation.measure(first, 200 * MIB)
    assert commands(simulation, Stop) == [Stop(first, "pressure")]
    simulation.stop_ends(first)
    assert [plugin.entry for plugin in simulation.starting] == [c]


def test_a_replacement_without_room_does_not_hold_up_those_who_wait() -> None:
    simulation = opened(spec("a", max_calls=1), spec("b"), max_plugins=2)
    a, b = simulation.entries
    hold = leased(simulation, a)
    simulation.start_ends(simulation.starting[0], ENDED)
    leased(simulation, b)
    simulation.advance(1)
    assert not simulation.starting
    assert leased(simulation, a).plugin is hold.plugin
    for each in [each for each in simulation.holds if each.plugin is hold.plugin]:
        simulation.give_back(each)
    assert commands(simulation, Stop) == [Stop(hold.plugin, "calls")]


def test_a_key_with_a_thousand_callers_does_not_starve_another() -> None:
    simulation = opened(spec("a", max_concurrent_calls=1), spec("b"), max_plugins=1, max_waiting=2000)
    a, b = simulation.entries
    hold = leased(simulation, a)
    for _ in range(1000):
        waiter(simulation, a, timeout=1000)
    other = waiter(simulation, b, timeout=60)
    for _ in range(20):
        simulation.advance(1)
        if hold in simulation.holds:
            simulation.give_back(hold)
        hold = next((each for each in simulation.holds if each.plugin.entry is a), hold)
        for plugin in list(simulation.stopping):
            simulation.stop_ends(plugin)
        for plugin in list(simulation.starting):
            simulation.start_ends(plugin)
    assert isinstance(simulation.answers[other][0], Hold)
    # The first key has its turn again, without having been refused.
    simulation.give_back(simulation.answers[other][0])
    simulation.stop_ends(simulation.stopping[0])
    assert simulation.starting[0].entry is a
    assert all(isinstance(answer, Hold) for answers in simulation.answers.values() for answer in answers)


def test_a_key_that_makes_room_serves_again_when_it_is_not_needed() -> None:
    simulation = opened(spec("a"), spec("b"), max_plugins=1)
    a, b = simulation.entries
    first = leased(simulation, a)
    simulation.advance(6)
    second = leased(simulation, a)
    other = waiter(simulation, b)
    simulation.advance(5)
    simulation.give_back(first)
    simulation.advance(2)
    assert first.plugin.state is State.DRAINING
    simulation.withdraw(other)
    assert second.plugin.state is State.LEASED
    assert leased(simulation, a).plugin is first.plugin


def test_keys_of_a_group_take_turns() -> None:
    simulation = opened(*(spec(name, group="account") for name in "abc"), max_concurrent_calls_per_group=1)
    a, b, c = simulation.entries
    for entry in simulation.entries:
        serving(simulation, entry)
    hold = leased(simulation, a)
    for entry in (a, a, a, b, b, c):
        waiter(simulation, entry)
    order = []
    for _ in range(6):
        simulation.give_back(hold)
        (hold,) = simulation.holds
        order.append(hold.plugin.entry.spec.name)
    assert order == ["a", "b", "c", "a", "b", "a"]


def test_a_plugin_that_serves_again_is_as_old_as_it_was() -> None:
    simulation = opened(spec("a", max_age=20.0), spec("b"), max_plugins=1)
    a, b = simulation.entries
    first = leased(simulation, a)
    simulation.advance(6)
    leased(simulation, a)
    other = waiter(simulation, b)
    simulation.give_back(first)
    simulation.advance(7)
    assert first.plugin.state is State.DRAINING
    simulation.withdraw(other)
    simulation.resize(Limits(max_plugins=2, start_slots=2))
    simulation.advance(10)
    assert [plugin.entry for plugin in simulation.starting] == [a]


def test_a_plugin_that_serves_again_is_replaced_if_it_was_to_be() -> None:
    simulation = opened(spec("a", max_calls=2), spec("b"), max_plugins=1)
    a, b = simulation.entries
    first = leased(simulation, a)
    simulation.advance(6)
    leased(simulation, a)
    other = waiter(simulation, b)
    simulation.give_back(first)
    simulation.advance(7)
    assert (first.plugin.state, first.plugin.reason) == (State.DRAINING, "pressure")
    simulation.withdraw(other)
    assert first.plugin.state is State.LEASED
    simulation.resize(Limits(max_plugins=2, start_slots=2))
    simulation.advance(1)
    assert [plugin.entry for plugin in simulation.starting] == [a]
    simulation.start_ends(simulation.starting[0])
    assert (first.plugin.state, first.plugin.reason) == (State.DRAINING, "calls")


def test_nobody_makes_room_for_what_would_not_fit_anyway() -> None:
    simulation = opened(spec("a"), spec("b"), max_memory_bytes=250 * MIB)
    a, b = simulation.entries
    for _ in range(20):
        simulation.give_back(leased(simulation, a))
        leased(simulation, a)
        simulation.advance(1)
    simulation.others_use(0, 200 * MIB)
    waiter(simulation, b)
    for _ in range(20):
        simulation.give_back(simulation.holds[0])
        leased(simulation, a)
        simulation.advance(1)
    assert simulation.holds[0].plugin.state is State.LEASED
