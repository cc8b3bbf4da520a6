"""Directory: which entry of the policy a spec means at this moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ferrule.pool.aio.accounts import Accounts
from ferrule.pool.key import KeyMaker, check_same_surroundings
from ferrule.pool.measures import Histogram
from ferrule.pool.policy import Entry
from ferrule.pool.spec import PluginSpec

__all__ = ["Directory"]

CHECK_SECONDS: Final = 1.0
"""How long a program's file is taken to be what it was."""

MAX_SPECS: Final = 10_000
"""Specs whose entry is remembered; a program may make a spec for each lease."""


class Known:
    """What is known of a spec.

    Attributes:
        entry: Its entry.
        waits: Where leases without a wait are counted.
        until: When its key is looked at again.
    """

    __slots__ = ("entry", "identity", "until", "waits")

    def __init__(self, entry: Entry, waits: Histogram, identity: object, until: float) -> None:
        self.entry = entry
        self.waits = waits
        self.identity = identity
        self.until = until


class Directory:
    """Entries by spec. A program that has changed on disk has another key, and with it another entry.

    Args:
        make_entry: The entry of a key, made if there is none.
        replaced: Told of an entry whose program is no longer what it was.
        accounts: What the pool counts.

    Attributes:
        known: What is known of each spec, for those who do without a method's call.
    """

    def __init__(
        self,
        make_entry: Callable[[bytes, PluginSpec], Entry],
        replaced: Callable[[Entry], None],
        accounts: Accounts,
    ) -> None:
        self.known: dict[PluginSpec, Known] = {}
        self._accounts = accounts
        self._make_entry = make_entry
        self._replaced = replaced
        self._keys = KeyMaker()

    def look_up(self, spec: PluginSpec, now: float) -> Known:
        """The entry of a spec and what goes with it, by the program's file as it is now.

        Raises:
            ConfigError: Another spec has the same key and other loggers or outputs.
        """
        known = self.known.get(spec)
        identity = self._keys.identity(spec)
        if known is not None and known.identity == identity:
            # The policy forgets entries that nobody uses, and makes them anew.
            known.entry = self._make_entry(known.entry.key, spec)
            known.until = now + CHECK_SECONDS
            return known
        entry = self._make_entry(self._keys.key(spec, identity), spec)
        if entry.spec is not spec:
            check_same_surroundings(entry.spec, spec)
        if len(self.known) >= MAX_SPECS:
            self.known.clear()
        waits = self._accounts.of(spec).lease_wait["warm"]
        before, known = known, Known(entry, waits, identity, now + CHECK_SECONDS)
        self.known[spec] = known
        if before is not None and before.entry is not entry:
            self._replaced(before.entry)
        return known
