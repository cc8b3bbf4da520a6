"""The page docs/reliability.md, out of the table and of what was measured: `python -m faults.page RESULTS`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from faults.row import Row
from faults.rows import ROWS

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
NOT_MEASURED = "-"
COLUMNS = ("Step", "Fault", "Connection", "Face", "Outcome", "Then", "Plugin's end", "Limit, s", "Took, s")

AREAS = {
    "launch": "The process and its handshake line",
    "connecting": "From the handshake line to a plugin that answers",
    "call": "Calls",
    "broker": "The broker, and the streams that the host keeps open",
    "end": "The plugin's end",
    "pool": "Pools",
    "server": "A plugin in Python among strangers",
    "program": "What the host program does while its plugin is at a step",
    "machine": "What the machine refuses, or does behind the program's back",
    "clock": "The host's wall clock: it jumps by an hour, forth and back, at each look; or it is wrong by an hour",
}
"""Areas in the page's order, and their titles."""

INTRODUCTION = """\
# What happens when something goes wrong

This page is the table of Ferrule's fault suite: what goes wrong at which step, what the caller is promised then, and
how long it took when `make faults` ran last. Every row is a test on real processes, sockets and TLS: `tests/faults` has
a plugin that fails on request at every step. After every row nothing is left behind: no process, socket, file,
descriptor, thread, task or error that the event loop could only log, and no memory above 32 MiB.

- **Outcome**: `works`, or the class and [code](errors.md) of the error, or the status of the call. Two with "or"
  between them: the fault and the host's next step happen at the same time.
- **Then**: the outcome of the same thing a second time, on the same client.
- **Plugin's end**: the step of the stop that ended the plugin (`exited`: it had ended before). Empty: the start failed,
  and its plugin was killed.
- **Limit**: seconds in which all is over, the plugin's end included. Timeouts in these rows are short: `start_timeout`
  3 s, `connect_timeout` 0.8 s, `shutdown_timeout` and `kill_timeout` 0.3 s where a plugin does not answer.
- **Took**: the slowest of the rows of a line, in seconds, on a machine that did other work as well.
"""


def _cells(row: Row) -> tuple[str, ...]:
    is_told_apart = (row.argument and row.area != "clock") or row.fault == "reset"
    fault = f"{row.fault} {row.argument}" if is_told_apart else row.fault
    return (row.step, fault, row.outcome, row.then, row.end, f"{row.limit:g}")


def _lines(area: str, seconds: Mapping[str, float]) -> Iterable[str]:
    """A line for all rows of an area that differ by connection and face alone."""
    grouped: dict[tuple[str, ...], list[Row]] = {}
    for row in ROWS:
        if row.area == area:
            grouped.setdefault(_cells(row), []).append(row)
    for (step, fault, outcome, then, end, limit), rows in grouped.items():
        connections = dict.fromkeys(row.connection + (", TCP" if row.tcp else "") for row in rows)
        faces = dict.fromkeys(row.face for row in rows)
        took = [seconds[row.name] for row in rows if row.name in seconds]
        measured = f"{max(took):.1f}" if took else NOT_MEASURED
        cells = (step, fault, "; ".join(connections), "; ".join(faces), outcome, then, end, limit, measured)
        yield "| " + " | ".join(cells) + " |"


def render(seconds: Mapping[str, float]) -> str:
    """The page's text, with what was measured by row."""
    parts = [INTRODUCTION]
    for area, title in AREAS.items():
        lines = list(_lines(area, seconds))
        head = "| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS)
        parts.append(
            f"## {title}\n\n{sum(row.area == area for row in ROWS)} rows.\n\n{head}\n" + "\n".join(lines) + "\n"
        )
    return "\n".join(parts)


def without_measures(page: str) -> list[str]:
    """The page's lines without the last column."""
    return [line.rpartition("|")[0].rpartition("|")[0] if line.startswith("| ") else line for line in page.splitlines()]


if __name__ == "__main__":
    measured = json.loads(Path(sys.argv[1]).read_text())
    PAGE.write_text(render({each["name"]: each["seconds"] for each in measured}))
