"""What events cost, in lines executed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from pool.policy.simulation import MIB, Simulation
from pool.policy.situations import leased, opened, serving, spec, waiter


def steps_of(action: Callable[[], object]) -> int:
    """Lines of the package that an action executes: what it costs, on any machine."""
    steps = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal steps
        steps += event == "line" and "ferrule" in frame.f_code.co_filename
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return steps


def crowd(number: int) -> Simulation:
    """As many plugins, all leased, and as many callers who wait: for one of them, and for plugins without room."""
    specs = [spec(f"key{index}", max_concurrent_calls=1) for index in range(2 * number)]
    simulation = opened(*specs, max_plugins=number, max_waiting=10 * number)
    for entry in simulation.entries[:number]:
        leased(simulation, entry)
    for index in range(number):
        waiter(simulation, simulation.entries[0], timeout=1000 + index)
        waiter(simulation, simulation.entries[number + index], timeout=1000 + index)
    return simulation


@pytest.mark.parametrize("event", ["give back", "give back the last", "wait", "withdraw", "tick", "exited", "measured"])
def test_events_cost_the_same_with_few_and_with_many(event: str) -> None:
    def cost(number: int) -> int:
        simulation = crowd(number)
        policy, now = simulation.policy, simulation.now
        actions: dict[str, Callable[[], object]] = {
            "give back": lambda: policy.give_back(simulation.holds[0], now),
            "give back the last": lambda: policy.give_back(simulation.holds[1], now),
            "wait": lambda: policy.wait(simulation.entries[0], 3, now + 9, now),
            "withdraw": lambda: policy.withdraw(simulation.waiters[3], now),
            "tick": lambda: policy.tick(now + 0.5),
            "exited": lambda: policy.exited(simulation.holds[0].plugin, now + 10),
            "measured": lambda: policy.measured(simulation.holds[0].plugin, MIB, now),
        }
        return steps_of(actions[event])

    assert cost(300) <= cost(10) + 15


def test_a_lease_leaves_no_timer_and_costs_few_steps() -> None:
    simulation = opened(spec())
    serving(simulation, simulation.entries[0])
    policy, entry = simulation.policy, simulation.entries[0]
    timers = len(policy._context.timers._heap)

    def lease() -> None:
        hold = policy.lease_now(entry, simulation.now)
        assert hold is not None
        policy.give_back(hold, simulation.now)

    assert steps_of(lease) <= 40
    for _ in range(100):
        lease()
    assert len(policy._context.timers._heap) == timers
    assert not policy.commands
