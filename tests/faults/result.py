"""What was seen of a row."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Result:
    """The outcome of a row's job, and what was left behind."""

    outcome: str = ""
    then: str = ""
    end: str = ""
    texts: list[str] = field(default_factory=list)
    """Of all errors, in order."""
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0
