"""Rendezvous routing with bounded load: each key has an order of nodes of its own, and stays with the first of them.

A node that joins or is lost moves the keys that it gets or had, and no others. Bounded load as in "Consistent Hashing
with Bounded Loads" (Mirrokni, Thorup, Zadimoghaddam, 2016): a node that has more than `LOAD_FACTOR` times the mean gets
no more, and the key's next node does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import TypeVar

__all__ = ["LOAD_FACTOR", "NODES_PER_KEY", "load_bound", "order_of"]

LOAD_FACTOR = 1.25
"""Times the mean load that a node may have and still get a key's next task. More spreads keys less, and waits more."""

NODES_PER_KEY = 3
"""Nodes that one key may use: each of them starts a plugin of its own for it."""

Member = TypeVar("Member")


def order_of(key: bytes, members: Iterable[Member], name_of: Callable[[Member], str]) -> list[Member]:
    """The members in the key's order, the same wherever it is computed."""

    def weight(member: Member) -> bytes:
        return blake2b(name_of(member).encode() + b"|" + key, digest_size=8).digest()

    return sorted(members, key=weight, reverse=True)


def load_bound(loads: Sequence[int], slots: int) -> float:
    """Tasks, waiting ones included, that a node may have and still get another one.

    All slots may be in use, however little other nodes have to do: a task that would begin at once stays with its
    plugin. A bound nearer to the mean feeds itself where memory is short. Plugins that are started elsewhere take the
    room of others, whose next tasks wait for a start, and those that wait are load.
    """
    mean = (sum(loads) + 1) / len(loads)
    return max(slots, math.ceil(LOAD_FACTOR * mean))
