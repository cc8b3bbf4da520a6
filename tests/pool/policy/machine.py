"""Random events in a simulation of a pool: made and made smaller by hypothesis, and many more by a seeded walk."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from ferrule.pool import Limits, PluginSpec
from pool.policy.simulation import ENDED, MIB, MISSING, Simulation, Watch, configure

EXAMPLES = int(os.environ.get("FERRULE_EXAMPLES", "3"))
STEPS = 30
WALKS_PER_EXAMPLE = 10
WALK_STEPS = 120

Choices = dict[str, Sequence[Any]]

LIMITS: Choices = {
    "max_plugins": [1, 2, 4, 100],
    "max_memory_bytes": [None, None, 150 * MIB, 300 * MIB],
    "start_slots": [1, 2],
    "max_waiting": [3, 100],
    "max_idle": [20.0, 600.0],
    "drain_timeout": [8.0, 3600.0],
    "leak_after": [10.0, 3600.0],
    "max_concurrent_calls_per_group": [None, 1, {"account": 2}],
    "failures": [2, 5],
    "retry_after": [3.0, 30.0],
}
SPEC: Choices = {
    "command": [("small",), ("large",)],
    "max_calls": [None, None, 1, 3],
    "max_age": [None, None, 15.0],
    "max_idle": [None, 5.0],
    "max_memory_bytes": [None, None, 60 * MIB],
    "max_concurrent_calls": [None, 1, 2],
    "on_start": [None, None, configure],
    "group": [None, "account"],
    "exclusive": [False, False, True],
}
WHICH = range(1000)
SIZES = [5 * MIB, 40 * MIB, 90 * MIB, 250 * MIB]
EVENTS: dict[str, Choices] = {
    "lease": {"which": WHICH, "priority": [0, 0, 0, 1, 5], "timeout": [1.0, 30.0]},
    "warm": {"which": WHICH},
    "give_back": {"which": WHICH},
    "withdraw": {"which": WHICH},
    "vanish": {"which": WHICH},
    "start_ends": {"which": WHICH, "error": [None, None, None, ENDED, MISSING], "memory": [None, *SIZES]},
    "configuring_ends": {"which": WHICH, "error": [None, None, ENDED]},
    "stop_ends": {"which": WHICH},
    "die": {"which": WHICH},
    "measure": {"which": WHICH, "memory": SIZES},
    "advance": {"seconds": [0.0, 0.05, 1.0, 6.0, 40.0]},
    "evict": {"which": WHICH, "force": [False, True]},
    "others_use": {"slots": [0, 1, 2], "memory": [0, 0, 120 * MIB]},
    "resize": {"limits": [None], **LIMITS},
}
COMMON = ["lease", "lease", "lease", "give_back", "give_back", "start_ends", "start_ends", "advance", "stop_ends"]


def happen(simulation: Simulation, event: str, arguments: dict[str, Any]) -> None:
    """Has one event happen, to the one of those whom it can happen to that `which` says."""
    arguments = dict(arguments)
    which = arguments.pop("which", 0)
    if event == "warm":
        simulation.lease(simulation.entries[which % len(simulation.entries)], -10, 1.0, warm=True)
    elif event == "resize":
        del arguments["limits"]
        simulation.resize(Limits(**arguments))
    elif event in {"advance", "others_use"}:
        getattr(simulation, event)(**arguments)
    else:
        subjects = subjects_of(simulation, event)
        if subjects:
            getattr(simulation, event)(subjects[which % len(subjects)], **arguments)


def subjects_of(simulation: Simulation, event: str) -> Sequence[Any]:
    if event in {"lease", "evict"}:
        return simulation.entries
    if event == "give_back":
        return [*simulation.holds, *simulation.lost]
    if event in {"withdraw", "vanish"}:
        return simulation.waiters
    if event in {"die", "measure"}:
        return simulation.processes
    return {
        "start_ends": simulation.starting,
        "configuring_ends": simulation.configuring,
        "stop_ends": simulation.stopping,
    }[event]


def walk(watch: type[Watch], seed: int) -> None:
    """A simulation of events drawn from a seed."""
    source = random.Random(seed)

    def draw(choices: Choices) -> dict[str, Any]:
        return {name: source.choice(values) for name, values in choices.items()}

    specs = [PluginSpec(**draw(SPEC)) for _ in range(source.randint(2, 5))]
    simulation = Simulation(Limits(**draw(LIMITS)), specs, watch, seed)
    names = [*EVENTS, *COMMON * 3]
    for _ in range(WALK_STEPS):
        event = source.choice(names)
        happen(simulation, event, draw(EVENTS[event]))
    simulation.finish()


def strategies(choices: Choices) -> dict[str, st.SearchStrategy[Any]]:
    return {name: st.sampled_from(values) for name, values in choices.items()}


class Machine(RuleBasedStateMachine):
    """Events of callers, of the driver, of plugins and of the machine, in any order."""

    watch: type[Watch] = Watch

    @initialize(
        limits=st.fixed_dictionaries(strategies(LIMITS)),
        specs=st.lists(st.fixed_dictionaries(strategies(SPEC)), min_size=2, max_size=4),
    )
    def open(self, limits: dict[str, Any], specs: list[dict[str, Any]]) -> None:
        self.simulation = Simulation(Limits(**limits), [PluginSpec(**spec) for spec in specs], self.watch)

    def teardown(self) -> None:
        if hasattr(self, "simulation"):
            self.simulation.finish()


def _rule(event: str) -> Callable[..., None]:
    def one(self: Machine, **arguments: Any) -> None:
        happen(self.simulation, event, arguments)

    one.__name__ = event
    rule_of: Any = rule
    made: Callable[..., None] = rule_of(**strategies(EVENTS[event]))(one)
    return made


for _event in EVENTS:
    setattr(Machine, f"{_event}_rule", _rule(_event))


def run(watch: type[Watch]) -> None:
    """Runs random events under a watch."""
    machine = type("Watched", (Machine,), {"watch": watch})
    few = settings(
        max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
    )
    for seed in range(EXAMPLES * WALKS_PER_EXAMPLE):
        try:
            walk(watch, seed)
        except Exception as error:
            error.add_note(f"walk(watch, {seed})")
            raise
    run_state_machine_as_test(machine, settings=few)
