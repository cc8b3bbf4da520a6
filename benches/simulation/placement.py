"""Which node does a call: three ways to choose."""

import hashlib
import math
import random
from collections.abc import Callable, Sequence

from simulation.node import Node
from simulation.scenario import Scenario

LOAD_FACTOR = 1.25
"""By how much a node may be loaded above the mean before a key's calls go to the next node of its order."""
SLACK_CALLS = 4
"""Calls above that limit: with few calls at all, the mean says little."""

Placement = Callable[[int, int], Node]
"""The node for a key, when that many calls run or wait on all nodes; at least one is up."""


def placement_of(scenario: Scenario, nodes: Sequence[Node]) -> Placement:
    """The way that a scenario names."""
    rendezvous = Rendezvous(nodes)
    numbers = random.Random(f"placement {scenario.seed}")
    return {
        "affinity": lambda key, _calls: rendezvous.first(key),
        "bounded": rendezvous.first_below_the_limit,
        "random": lambda _key, _calls: numbers.choice([node for node in nodes if node.is_up]),
    }[scenario.placement]


class Rendezvous:
    """Nodes in an order of the key's own, which is the same for every router and moves only a lost node's keys."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._orders: dict[int, list[Node]] = {}

    def first(self, key: int) -> Node:
        """The first node that is up."""
        return next(node for node in self._order(key) if node.is_up)

    def first_below_the_limit(self, key: int, calls: int) -> Node:
        """The first node that is up and not loaded far above the mean; the first one where all are."""
        limit = math.ceil(LOAD_FACTOR * calls / len(self._nodes)) + SLACK_CALLS
        usable = (node for node in self._order(key) if node.is_up and node.load < limit)
        return next(usable, None) or self.first(key)

    def _order(self, key: int) -> list[Node]:
        order = self._orders.get(key)
        if order is None:
            order = self._orders[key] = sorted(self._nodes, key=lambda node: weight(key, node.number), reverse=True)
        return order


def weight(key: int, node: int) -> bytes:
    """The rendezvous weight of a node for a key."""
    return hashlib.blake2b(b"%d/%d" % (key, node), digest_size=8).digest()
