"""What callers were told, beside what the plugins wrote down."""

from __future__ import annotations

import collections
import time
from dataclasses import dataclass, field
from pathlib import Path

from ferrule.pool import OutcomeUnknown


@dataclass
class Accounts:
    """The answers of one run, by the tasks' numbers.

    Attributes:
        answered: When each task had its answer.
    """

    told_ok: set[int] = field(default_factory=set)
    told_unknown: set[int] = field(default_factory=set)
    told_error: dict[int, str] = field(default_factory=dict)
    begun_at: dict[int, float] = field(default_factory=dict)
    answered_at: dict[int, float] = field(default_factory=dict)

    async def keep(self, number: int, work: object) -> None:
        """Awaits the answer to one task."""
        self.begun_at[number] = time.monotonic()
        try:
            await work  # type: ignore[misc]
        except OutcomeUnknown:
            self.told_unknown.add(number)
        except Exception as error:  # noqa: BLE001 - counted.
            self.told_error[number] = repr(error)
        else:
            self.told_ok.add(number)
        self.answered_at[number] = time.monotonic()


@dataclass
class Journal:
    """What plugins did: how often each write began and ended."""

    begun: collections.Counter[int]
    ended: collections.Counter[int]

    @classmethod
    def read(cls, path: Path) -> Journal:
        """The journal of a run."""
        begun: collections.Counter[int] = collections.Counter()
        ended: collections.Counter[int] = collections.Counter()
        for line in path.read_text().splitlines():
            word, _, key = line.partition(" ")
            number, _, part = key.partition(".")
            if (word, part) == ("begin", "first"):
                begun[int(number)] += 1
            elif (word, part) == ("end", "last"):
                ended[int(number)] += 1
        return cls(begun, ended)

    @property
    def twice(self) -> set[int]:
        """Writes that began more than once."""
        return {number for number, times in self.begun.items() if times > 1}
