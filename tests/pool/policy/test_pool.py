"""Eviction, new limits, and room for other pools."""

from __future__ import annotations

from math import inf

from ferrule.pool import Limits
from ferrule.pool.policy import Entry, Plugin, Revoke, Stop
from ferrule.pool.policy.policy import MAX_UNUSED_ENTRIES
from pool.policy.simulation import MISSING, Simulation
from pool.policy.situations import commands, leased, opened, serving, spec, waiter


def test_evicting_forgets_failures_and_can_be_forced() -> None:
    simulation = opened(spec())
    entry = simulation.entries[0]
    waiter(simulation, entry)
    simulation.start_ends(simulation.starting[0], MISSING)
    simulation.evict(entry, force=False)
    hold = leased(simulation, entry)
    simulation.evict(entry, force=True)
    assert commands(simulation, Revoke) == [Revoke(hold.plugin, "evicted")]
    assert leased(simulation, entry).plugin is not hold.plugin


def test_fewer_plugins_are_allowed_while_they_run() -> None:
    simulation = opened(*map(spec, "abcd"))
    holds = [leased(simulation, entry) for entry in simulation.entries]
    simulation.give_back(holds[0])
    simulation.resize(Limits(max_plugins=2, start_slots=2))
    assert [command.plugin for command in commands(simulation, Stop)] == [holds[0].plugin]
    simulation.give_back(holds[1])
    simulation.give_back(holds[2])
    assert [command.plugin for command in commands(simulation, Stop)] == [holds[0].plugin, holds[1].plugin]


def test_more_plugins_start_as_soon_as_they_are_allowed() -> None:
    simulation = opened(*map(spec, "ab"), max_plugins=1)
    leased(simulation, simulation.entries[0])
    waiter(simulation, simulation.entries[1])
    assert not simulation.starting
    simulation.resize(Limits(max_plugins=2, start_slots=2))
    assert simulation.starting[0].entry is simulation.entries[1]


def test_keys_that_nobody_uses_are_forgotten_and_come_back() -> None:
    simulation = opened(*map(spec, "ab"), max_idle=10.0)
    policy, (a, b) = simulation.policy, simulation.entries
    leased(simulation, a)
    simulation.stop_ends(stopped_when_idle(simulation, b))
    for number in range(3000):
        policy.entry(f"other {number}".encode(), spec())
    assert len(policy.entries) < 1100
    assert policy.entry(a.key, a.spec) is a
    # Somebody made the entry of the key anew, while another kept the old one: one plugin serves both.
    again = policy.entry(b.key, b.spec)
    assert again is not b
    first, second = waiter(simulation, b), waiter(simulation, again)
    (plugin,) = simulation.starting
    simulation.start_ends(plugin)
    assert {simulation.answers[each][0].plugin for each in (first, second)} == {plugin}


def stopped_when_idle(simulation: Simulation, entry: Entry) -> Plugin:
    plugin = serving(simulation, entry)
    simulation.advance(10)
    return plugin


def test_groups_that_nobody_uses_are_forgotten_and_their_limits_are_not() -> None:
    limits = Limits(start_slots=2, max_concurrent_calls_per_group=1)
    policy = Simulation(limits, [spec("kv", group="account")]).policy
    entry = next(iter(policy.entries.values()))
    for number in range(2 * MAX_UNUSED_ENTRIES):
        policy.entry(b"%d" % number, spec(group=f"account {number}"))
    assert len(policy._groups) <= MAX_UNUSED_ENTRIES
    assert "account" not in policy._groups
    other = policy.entry(b"other", spec(group="account"))
    policy.wait(entry, 0, inf, 0.0)
    assert entry.group is other.group
