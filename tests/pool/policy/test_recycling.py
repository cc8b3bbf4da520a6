"""When plugins are replaced or stopped, and what becomes of their leases."""

from __future__ import annotations

import pytest

from ferrule.pool import PluginUnavailable
from ferrule.pool.policy import Hold, Revoke, Start, State, Stop, Warn
from pool.policy.simulation import ENDED, MIB
from pool.policy.situations import commands, leased, opened, refusal, serving, spec, told, waiter


@pytest.mark.parametrize("held", [True, False])
def test_the_last_call_asks_for_a_replacement_and_the_old_plugin_serves_until_it_is_ready(held: bool) -> None:
    simulation = opened(spec(max_calls=3))
    entry = simulation.entries[0]
    holds = [leased(simulation, entry) for _ in range(3)]
    old = holds[0].plugin
    assert simulation.starting[0].entry is entry
    if not held:
        for hold in holds:
            simulation.give_back(hold)
    fourth = leased(simulation, entry)
    assert fourth.plugin is old
    simulation.start_ends(simulation.starting[0])
    assert leased(simulation, entry).plugin is not old
    assert old.state is State.DRAINING
    for hold in [*simulation.holds]:
        simulation.give_back(hold)
    assert commands(simulation, Stop) == [Stop(old, "calls")]


def test_a_replacement_that_fails_leaves_the_old_plugin_in_service() -> None:
    simulation = opened(spec(max_age=100.0), max_idle=3600.0)
    entry = simulation.entries[0]
    old = serving(simulation, entry)
    simulation.advance(100)
    for pause in (0.1, 0.2, 0.4):
        simulation.start_ends(simulation.starting[0], ENDED)
        assert leased(simulation, entry).plugin is old
        simulation.advance(pause - 0.01)
        assert not simulation.starting
        simulation.advance(0.02)
    assert len(commands(simulation, Warn)) == 1
    assert len(told(simulation, "start_failed")) == 3
    simulation.start_ends(simulation.starting[0])
    assert old.state is State.DRAINING
    assert leased(simulation, entry).plugin is not old


def test_an_idle_plugin_is_stopped_in_time_and_not_before() -> None:
    simulation = opened(spec(), max_idle=10.0)
    plugin = serving(simulation, simulation.entries[0])
    simulation.advance(5)
    simulation.give_back(leased(simulation, simulation.entries[0]))
    simulation.advance(9.999)
    assert plugin.state is State.READY
    simulation.advance(0.001)
    assert commands(simulation, Stop) == [Stop(plugin, "idle")]


def test_a_lease_at_the_moment_of_the_idle_stop_wins() -> None:
    simulation = opened(spec(), max_idle=10.0)
    plugin = serving(simulation, simulation.entries[0])
    simulation.now += 10
    hold = leased(simulation, simulation.entries[0])
    simulation.advance(0)
    assert hold.plugin is plugin
    simulation.advance(30)
    assert commands(simulation, Stop) == []


def test_plugins_of_one_age_are_replaced_one_after_the_other() -> None:
    simulation = opened(*(spec(f"key{number}", max_age=1000.0) for number in range(100)), max_idle=86400.0)
    for entry in simulation.entries:
        serving(simulation, entry)
    simulation.advance(899)
    assert len(simulation.running) == 100
    assert not simulation.starting
    times: list[float] = []
    while len(times) < 100:
        simulation.advance(1)
        assert len(simulation.starting) <= 2
        times += [simulation.now] * len(simulation.starting)
        for plugin in list(simulation.starting):
            simulation.start_ends(plugin)
    assert max(times) - min(times) > 50
    assert len(set(times)) > 30


def test_replacing_a_plugin_that_nobody_uses_does_not_keep_it_for_ever() -> None:
    simulation = opened(spec(max_age=100.0), max_idle=250.0)
    serving(simulation, simulation.entries[0])
    for _ in range(300):
        simulation.advance(1)
        for plugin in list(simulation.starting):
            simulation.start_ends(plugin)
        for plugin in list(simulation.stopping):
            simulation.stop_ends(plugin)
    assert simulation.policy.live == ()


@pytest.mark.parametrize("when", ["at the start", "soon after"])
def test_a_plugin_larger_than_its_limit_at_the_start_is_refused_as_a_setting(when: str) -> None:
    simulation = opened(spec(max_memory_bytes=60 * MIB))
    entry = simulation.entries[0]
    waits = waiter(simulation, entry)
    if when == "at the start":
        simulation.start_ends(simulation.starting[0], memory=90 * MIB)
        error = refusal(simulation, waits)
    else:
        simulation.start_ends(simulation.starting[0])
        simulation.measure(simulation.running[0], 90 * MIB)
        error = simulation.lease(entry)
        simulation.give_back(simulation.holds[0])
    assert isinstance(error, PluginUnavailable)
    assert "90.0 MiB" in error.message
    assert "60.0 MiB" in error.message
    assert "max_memory_bytes" in error.message
    simulation.stop_ends(simulation.stopping[0])
    simulation.advance(1000)
    assert len(commands(simulation, Start)) == 1


def test_a_plugin_that_grows_above_its_limit_is_replaced() -> None:
    simulation = opened(spec(max_memory_bytes=60 * MIB))
    hold = leased(simulation, simulation.entries[0])
    simulation.measure(hold.plugin, 30 * MIB)
    simulation.measure(hold.plugin, 70 * MIB)
    simulation.measure(hold.plugin, 80 * MIB)
    simulation.start_ends(simulation.starting[0], memory=30 * MIB)
    assert hold.plugin.state is State.DRAINING
    assert hold.plugin.reason == "memory"


def test_an_exclusive_plugin_ends_before_the_next_one_starts() -> None:
    simulation = opened(spec(exclusive=True, max_age=100.0), max_idle=3600.0)
    entry = simulation.entries[0]
    hold = leased(simulation, entry)
    simulation.advance(100)
    waits = waiter(simulation, entry, timeout=100)
    assert hold.plugin.state is State.DRAINING
    simulation.give_back(hold)
    assert not simulation.starting
    simulation.stop_ends(hold.plugin)
    simulation.start_ends(simulation.starting[0])
    assert isinstance(simulation.answers[waits][0], Hold)


def test_leases_that_outlast_the_drain_are_revoked() -> None:
    simulation = opened(spec(), drain_timeout=50.0)
    hold = leased(simulation, simulation.entries[0])
    simulation.evict(simulation.entries[0], force=False)
    simulation.advance(49.9)
    assert commands(simulation, Revoke) == []
    simulation.advance(0.2)
    assert commands(simulation, Revoke) == [Revoke(hold.plugin, "evicted")]
    assert simulation.history.index(Revoke(hold.plugin, "evicted")) < simulation.history.index(
        Stop(hold.plugin, "evicted")
    )
    assert simulation.entries[0].leases == 0
    simulation.give_back(hold)
    assert simulation.entries[0].leases == 0


def test_a_lease_that_is_held_for_too_long_is_reported_once_with_its_place() -> None:
    simulation = opened(spec(), leak_after=100.0)
    serving(simulation, simulation.entries[0])
    simulation.advance(7)
    place = (test_a_lease_that_is_held_for_too_long_is_reported_once_with_its_place.__code__, 7)
    hold = simulation.policy.lease_now(simulation.entries[0], simulation.now, place)
    assert hold is not None
    simulation.holds.append(hold)
    simulation.advance(99.9)
    assert told(simulation, "leaked") == []
    simulation.advance(500)
    (event,) = told(simulation, "leaked")
    assert "test_recycling.py:7" in event.detail
    assert [event.detail in command.text for command in commands(simulation, Warn)] == [True]
