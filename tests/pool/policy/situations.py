"""What the scenarios are made of."""

from __future__ import annotations

from typing import Any

from ferrule.pool import Limits, PluginSpec
from ferrule.pool.policy import Entry, Hold, Plugin, Tell, Waiter
from pool.policy.simulation import Simulation


def spec(name: str = "kv", **settings: Any) -> PluginSpec:
    return PluginSpec([name], name=name, **settings)


def opened(*specs: PluginSpec, **limits: Any) -> Simulation:
    return Simulation(Limits(**{"start_slots": 2, **limits}), list(specs))


def serving(simulation: Simulation, entry: Entry) -> Plugin:
    """Has an entry's plugin started, leased and given back."""
    hold = leased(simulation, entry)
    simulation.give_back(hold)
    return hold.plugin


def leased(simulation: Simulation, entry: Entry) -> Hold:
    """A lease of an entry, whose plugin is started for it if there is none."""
    got = simulation.lease(entry)
    if isinstance(got, Waiter):
        if got in simulation.waiters:
            simulation.start_ends(simulation.starting[-1])
        got = simulation.answers[got][0]
    assert isinstance(got, Hold)
    return got


def waiter(simulation: Simulation, entry: Entry, *args: Any, **settings: Any) -> Waiter:
    got = simulation.lease(entry, *args, **settings)
    assert isinstance(got, Waiter)
    return got


def refusal(simulation: Simulation, waiter: Waiter) -> Any:
    (answer,) = simulation.answers[waiter]
    assert isinstance(answer, Exception)
    return answer


def commands(simulation: Simulation, kind: type[Any]) -> list[Any]:
    return [command for command in simulation.history if isinstance(command, kind)]


def told(simulation: Simulation, kind: str) -> list[Any]:
    return [command.event for command in commands(simulation, Tell) if command.event.kind == kind]
