"""What follows when plugins do not start, or end by themselves."""

from __future__ import annotations

import pytest

from ferrule.errors import LaunchError, PluginExitedError, SecurityError
from ferrule.pool import PluginUnavailable
from ferrule.pool.policy import Abandon, Hold, State
from pool.policy.simulation import ENDED, MISSING, configure
from pool.policy.situations import commands, leased, opened, refusal, serving, spec, told, waiter


def test_a_plugin_that_dies_while_idle_is_replaced_at_the_next_lease() -> None:
    simulation = opened(spec())
    plugin = serving(simulation, simulation.entries[0])
    simulation.advance(10)
    simulation.die(plugin)
    hold = leased(simulation, simulation.entries[0])
    assert hold.plugin is not plugin


def test_leases_of_a_dead_plugin_count_no_longer() -> None:
    simulation = opened(spec(max_concurrent_calls=1, group="account"), max_concurrent_calls_per_group=1)
    entry = simulation.entries[0]
    hold = leased(simulation, entry)
    simulation.advance(10)
    simulation.die(hold.plugin)
    simulation.stop_ends(hold.plugin)
    fresh = leased(simulation, entry)
    simulation.give_back(hold)
    assert entry.leases == 1
    assert fresh.plugin.state is State.LEASED


def test_each_caller_of_a_failed_start_has_an_error_of_its_own() -> None:
    simulation = opened(spec())
    waiters = [waiter(simulation, simulation.entries[0]) for _ in range(3)]
    simulation.start_ends(simulation.starting[0], ENDED)
    errors = [refusal(simulation, each) for each in waiters]
    assert len({id(error) for error in errors}) == 3
    assert {error.stderr_tail for error in errors} == {("last words",)}
    assert all(isinstance(error, PluginUnavailable) and error.__cause__ is ENDED for error in errors)


def test_a_crash_loop_opens_the_breaker_and_one_probe_closes_it() -> None:
    simulation = opened(spec(), failures=5, retry_after=30.0)
    entry = simulation.entries[0]
    for _ in range(5):
        waiter(simulation, entry)
        simulation.advance(3)
        simulation.start_ends(simulation.starting[0], ENDED)
    error = simulation.lease(entry)
    assert isinstance(error, PluginUnavailable)
    assert error.stderr_tail == ("last words",)
    assert len(told(simulation, "breaker_opened")) == 1
    simulation.advance(29.9)
    assert isinstance(simulation.lease(entry), PluginUnavailable)
    simulation.advance(0.2)
    waiters = [waiter(simulation, entry) for _ in range(3)]
    assert len(simulation.starting) == 1
    assert entry.breaker.state(simulation.now) == "half_open"
    simulation.start_ends(simulation.starting[0])
    assert all(isinstance(simulation.answers[each][0], Hold) for each in waiters)
    assert len(told(simulation, "breaker_closed")) == 1
    assert entry.breaker.state(simulation.now) == "closed"


def test_a_probe_that_fails_opens_the_breaker_again() -> None:
    simulation = opened(spec(), failures=1, retry_after=30.0)
    entry = simulation.entries[0]
    for _ in range(3):
        waits = waiter(simulation, entry)
        simulation.start_ends(simulation.starting[0], ENDED)
        assert isinstance(refusal(simulation, waits), PluginUnavailable)
        assert isinstance(simulation.lease(entry), PluginUnavailable)
        simulation.advance(30)


def test_a_probe_that_fails_opens_the_breaker_though_other_failures_are_long_ago() -> None:
    simulation = opened(spec(), failures=5, failure_window=10.0, retry_after=30.0)
    entry = simulation.entries[0]
    for seconds in (1, 1, 1, 1, 31):
        waiter(simulation, entry)
        simulation.start_ends(simulation.starting[0], ENDED)
        simulation.advance(seconds)
    waiter(simulation, entry)
    simulation.start_ends(simulation.starting[0], ENDED)
    simulation.advance(29.9)
    assert isinstance(simulation.lease(entry), PluginUnavailable)
    simulation.advance(0.2)
    waiter(simulation, entry)
    assert len(told(simulation, "breaker_opened")) == 2


def test_the_pause_between_starts_grows_up_to_a_limit() -> None:
    simulation = opened(spec(), failures=100, retry_after=1.0)
    breaker = simulation.entries[0].breaker
    pauses = []
    for _ in range(6):
        waiter(simulation, simulation.entries[0])
        simulation.start_ends(simulation.starting[0], ENDED)
        pauses.append(breaker.until - simulation.now)
        simulation.advance(1)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1, 1])


def test_a_plugin_that_crashes_on_every_call_opens_the_breaker() -> None:
    simulation = opened(spec(), failures=5)
    for _ in range(5):
        hold = leased(simulation, simulation.entries[0])
        simulation.die(hold.plugin)
        simulation.advance(2)
    assert isinstance(simulation.lease(simulation.entries[0]), PluginUnavailable)


@pytest.mark.parametrize("error", [MISSING, SecurityError("checksum"), LaunchError("no", None, "launch.refused")])
def test_an_error_that_will_not_pass_opens_the_breaker_at_once(error: Exception) -> None:
    simulation = opened(spec())
    waiter(simulation, simulation.entries[0])
    simulation.start_ends(simulation.starting[0], error)
    assert isinstance(simulation.lease(simulation.entries[0]), PluginUnavailable)


def test_failures_far_apart_open_nothing() -> None:
    simulation = opened(spec(), failures=2, failure_window=60.0)
    for _ in range(5):
        waiter(simulation, simulation.entries[0])
        simulation.start_ends(simulation.starting[0], ENDED)
        simulation.advance(61)
    assert told(simulation, "breaker_opened") == []


def test_a_plugin_that_dies_while_it_is_configured_is_told_by_its_end() -> None:
    simulation = opened(spec(on_start=configure))
    waits = waiter(simulation, simulation.entries[0])
    plugin = simulation.starting[0]
    simulation.start_ends(plugin)
    simulation.die(plugin, PluginExitedError("killed", exit_status=-9))
    simulation.configuring_ends(plugin, RuntimeError("cancelled"))
    assert commands(simulation, Abandon) == [Abandon(plugin)]
    assert refusal(simulation, waits).exit_status == -9
