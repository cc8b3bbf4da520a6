"""The journal that KV plugins write of their Puts, against what the callers were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

__all__ = ["Told", "Verdict", "judged"]


class Told(StrEnum):
    """What a caller knows of a call that has ended."""

    OK = "ok"
    NOT_BEGUN = "not begun"
    UNKNOWN = "unknown"


class Verdict(NamedTuple):
    """What the journal says of calls. The first three are to be empty.

    Attributes:
        twice: Calls that plugins have begun more than once.
        lost: Calls that their callers were told are done, and no plugin has ended.
        begun_after_all: Calls that their callers were told had not begun, and a plugin has begun.
        unknown_and_done: Of the calls with an unknown outcome, the number of those that a plugin has ended.
        unknown_and_begun: ... has begun and not ended.
        unknown_and_absent: ... never saw.
    """

    twice: list[str]
    lost: list[str]
    begun_after_all: list[str]
    unknown_and_done: int
    unknown_and_begun: int
    unknown_and_absent: int


def judged(journal: Path, told: Mapping[str, Told]) -> Verdict:
    """Compares what the callers of calls were told with what plugins wrote down."""
    lines = [line.split() for line in journal.read_text().splitlines()]
    begun = Counter(call for word, call in lines if word == "begin")
    done = {call for word, call in lines if word == "end"}
    unknown = {call for call, outcome in told.items() if outcome is Told.UNKNOWN}
    return Verdict(
        twice=sorted(call for call, times in begun.items() if times > 1),
        lost=sorted(call for call, outcome in told.items() if outcome is Told.OK and call not in done),
        begun_after_all=sorted(call for call, outcome in told.items() if outcome is Told.NOT_BEGUN and call in begun),
        unknown_and_done=len(unknown & done),
        unknown_and_begun=len(unknown & (begun.keys() - done)),
        unknown_and_absent=len(unknown - begun.keys()),
    )
