"""Which node does a call: three ways to choose."""

import random
from collections.abc import Callable, Sequence

from ferrule.ray.router.rendezvous import NODES_PER_KEY, load_bound, order_of
from simulation.node import Node
from simulation.scenario import Scenario

SLOTS_PER_NODE = 40
"""Tasks that the router has on a node at once, by default."""

Placement = Callable[[int], Node]
"""The node for a key; at least one node is up."""


def placement_of(scenario: Scenario, nodes: Sequence[Node]) -> Placement:
    """The way that a scenario names."""
    rendezvous = Rendezvous(nodes)
    numbers = random.Random(f"placement {scenario.seed}")
    return {
        "affinity": rendezvous.first,
        "bounded": rendezvous.first_below_the_bound,
        "random": lambda _key: numbers.choice([node for node in nodes if node.is_up]),
    }[scenario.placement]


class Rendezvous:
    """The order of nodes and the bound of the router of `ferrule.ray`."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._orders: dict[int, list[Node]] = {}

    def first(self, key: int) -> Node:
        """The first node of the key's order."""
        return self._usable(key)[0]

    def first_below_the_bound(self, key: int) -> Node:
        """The first of the key's nodes that has not far more than the mean load, else the one with the least."""
        bound = load_bound([node.load for node in self._nodes if node.is_up], SLOTS_PER_NODE)
        candidates = self._usable(key)[:NODES_PER_KEY]
        return next((node for node in candidates if node.load < bound), None) or min(candidates, key=lambda n: n.load)

    def _usable(self, key: int) -> list[Node]:
        order = self._orders.get(key)
        if order is None:
            order = self._orders[key] = order_of(b"%d" % key, self._nodes, lambda node: str(node.number))
        return [node for node in order if node.is_up]
