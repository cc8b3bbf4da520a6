"""A row of the table: one fault at one step, what is promised then, and how the page shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

CONNECTIONS = ("plain", "TLS", "plain, multiplexed", "TLS, multiplexed")
WORKS = "works"
APART = ("loop closed", "second loop", "interpreter exits", "host killed", "host terminated")
"""What ends a host program, or its loop."""
LIMIT = 10.0
"""Seconds in which a row is over, with the end of its plugin, where it says nothing else: far more than any needs."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault and its outcome."""

    area: str
    step: str
    fault: str
    outcome: str
    """`works`; or class and code of a Ferrule error; or the status of a call; or what a program says.

    Two with `or` between them where the fault and the host's next step happen at the same time.
    """
    then: str = ""
    """The outcome of the same thing a second time."""
    job: str = "start"
    """What the host does, by the name of its function in `asyncio_host` and `blocking_host`."""
    end: str = "shutdown"
    """How the plugin ended: the rung of its stop; empty where it never started."""
    connection: str = "plain"
    face: str = "asyncio"
    says: str = ""
    """A part of the error's text."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    argument: int = 0
    times: int = 0
    """How often the plugin's fault happens; 0: always."""
    is_first_only: bool = False
    """Whether the fault is that of the first process alone, of those that a pool starts."""
    is_idempotent: bool = False
    """Whether a pool may make the call again."""
    tcp: bool = False
    limit: float = LIMIT
    left: str = ""
    """The beginning of what may be left behind, or said on standard error; empty: nothing."""

    @property
    def name(self) -> str:
        """Unique among all rows."""
        parts = [self.area, self.step, self.fault, self.connection, "TCP" if self.tcp else "", self.face, self.job]
        parts += ["idempotent" if self.is_idempotent else "", f"{self.argument}" if self.argument else ""]
        return ", ".join(part for part in parts if part)

    @property
    def is_apart(self) -> bool:
        """Whether the row needs a process of its own."""
        return self.area in ("machine", "clock") or self.fault in APART

    @property
    def is_secure(self) -> bool:
        return self.connection.startswith("TLS")

    @property
    def is_multiplexed(self) -> bool:
        return self.connection.endswith("multiplexed")


def on(row: Row, connections: Iterable[str] = (), faces: Iterable[str] = ()) -> list[Row]:
    """The row on several kinds of connections, and with several faces."""
    return [
        replace(row, connection=connection, face=face)
        for connection in connections or (row.connection,)
        for face in faces or (row.face,)
    ]
