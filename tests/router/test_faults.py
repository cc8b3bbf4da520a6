"""Random work over random faults: whatever happens, the books balance."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferrule.pool import LeaseRevoked, OutcomeUnknown
from ferrule.ray import NodeLost
from router.memory_transport import Trouble
from router.scenario import Scenario, scenario
from router.virtual_time import run

NODES = ("n1", "n2", "n3", "n4")


@dataclass(frozen=True)
class Event:
    """Something that befalls a node, and ends after a while."""

    what: str
    node: str
    at: float
    lasts: float


EVENTS = st.builds(
    Event,
    st.sampled_from(["kill", "freeze", "cut off", "drain", "join"]),
    st.sampled_from(NODES),
    st.floats(0.0, 20.0),
    st.floats(0.1, 40.0),
)
TROUBLES = st.builds(
    Trouble,
    delay=st.sampled_from([0.0, 0.01, 0.5]),
    duplicated=st.sampled_from([0.0, 0.3]),
    cut=st.sampled_from([0.0, 0.02]),
    answer_cut=st.sampled_from([0.0, 0.02]),
)


async def befall(one: Scenario, event: Event) -> None:
    transport = one.transport
    await asyncio.sleep(event.at)
    node = transport.by_name.get(event.node)
    if event.what == "join" and node is None:
        transport.add(event.node)
    elif node is None:
        return
    elif event.what == "kill":
        transport.kill(event.node)
        await asyncio.sleep(event.lasts)
        if event.node not in transport.by_name:
            transport.add(event.node)
    elif event.what == "freeze":
        node.clock.thawed.clear()
        await asyncio.sleep(event.lasts)
        node.clock.thaw()
    elif event.what == "cut off":
        node.reachable.clear()
        await asyncio.sleep(event.lasts)
        node.reachable.set()
    elif event.what == "drain" and event.node in one.router.stats()["nodes"]:
        await one.router.drain(event.node, event.lasts)


async def live(seed: int, trouble: Trouble, events: list[Event], tasks: int) -> Scenario:
    """Tasks of random kinds at random times, while the events happen."""
    chosen = random.Random(seed)

    async def ask() -> None:
        await asyncio.sleep(chosen.uniform(0, 25))
        key = f"key-{chosen.randrange(8)}"
        deadline = {"deadline": chosen.uniform(0.1, 30)} if chosen.random() < 0.1 else {}
        asking = asyncio.ensure_future(
            one.ask(
                key,
                write=chosen.random() < 0.6,
                seconds=chosen.choice([0.02, 0.5, 5.0, 30.0]),
                exclusive=key == "key-0",
                **deadline,
            )
        )
        if chosen.random() < 0.05:
            await asyncio.sleep(chosen.uniform(0, 5))
            asking.cancel()
        await asyncio.wait([asking])

    async with scenario(*NODES, seed=seed, trouble=trouble) as one:
        for node in one.transport.by_name.values():
            node.start_seconds = chosen.choice([0.0, 0.05, 2.0])
        happening = asyncio.gather(*(befall(one, event) for event in events))
        await asyncio.gather(*(ask() for _ in range(tasks)))
        await happening
        # Nothing is left when all have their answers and all nodes are heard of.
        await asyncio.sleep(15.0)
        stats = one.router.stats()
        assert (stats["waiting"], stats["in_flight"]) == (0, 0)
        assert [row for row in stats["nodes"].values() if row["in_flight"] or row["running"] or row["admitted"]] == []
    return one


EXAMPLES = os.environ.get("FERRULE_EXAMPLES")


# Always the same examples, unless `make fuzz` asks for a number of others.
@settings(
    deadline=None,
    max_examples=int(EXAMPLES or 25),
    derandomize=EXAMPLES is None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.integers(0, 2**32), TROUBLES, st.lists(EVENTS, max_size=5))
def test_the_books_balance(seed: int, trouble: Trouble, events: list[Event]) -> None:
    one = run(live(seed, trouble, events, 40))
    # A frozen node sees no time, and a fence of any kind: its processes go on where they were, for a moment.
    if not any(event.what == "freeze" for event in events):
        one.check_fences()


@pytest.mark.parametrize("seed", range(5))
def test_without_faults_nobody_is_told_anything(seed: int) -> None:
    one = run(live(seed, Trouble(delay=0.5, duplicated=0.3), [], 60))
    told = [told.error for told in one.told.values() if isinstance(told.error, NodeLost | LeaseRevoked)]
    assert told == []


def test_all_nodes_are_killed_one_after_the_other() -> None:
    events = [Event("kill", node, 5.0 * number, 1.0) for number, node in enumerate(NODES)]
    one = run(live(7, Trouble(), events, 200))
    unknown = [told for told in one.told.values() if isinstance(told.error, OutcomeUnknown)]
    assert 0 < len(unknown) <= 4 * len(NODES)


@pytest.mark.parametrize("what", ["freeze", "cut off"])
def test_all_nodes_are_away_at_once(what: str) -> None:
    one = run(live(3, Trouble(), [Event(what, node, 5.0, 15.0) for node in NODES], 100))
    assert sum(told.error is None for told in one.told.values()) > 60
