"""What the fixtures have open, so that the leak check does not take it for left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["count_of_plugins", "has_owners", "is_owned", "owner"]

_owners: list[Any] = []


@contextmanager
def owner(thing: Any) -> Iterator[None]:
    """Notes a client, a provider or a pool as open."""
    _owners.append(thing)
    try:
        yield
    finally:
        _owners.remove(thing)


def has_owners() -> bool:
    """Whether anything is open."""
    return bool(_owners)


def count_of_plugins() -> int:
    """How many plugins belong to what is open."""
    return sum(map(_count, _owners))


def is_owned(client: Any) -> bool:
    """Whether a client is open in a fixture. A pool's clients are not told apart."""
    return any(client in (thing, getattr(thing, "client", None)) for thing in _owners)


def _count(thing: Any) -> int:
    if hasattr(thing, "stats") and hasattr(thing, "lease"):
        return sum(plugin.pid is not None for plugin in thing.stats().plugins)
    client = getattr(thing, "client", thing)
    return int(client is not None and client.is_started)
