"""What the machine refuses, or does behind the program's back."""

from __future__ import annotations

from typing import Any

from faults.row import WORKS, Row, on

FACES = ("asyncio", "blocking")


def _row(fault: str, outcome: str = WORKS, **more: Any) -> Row:
    end = "shutdown" if outcome == WORKS else ""
    return Row(
        area="machine",
        step="before the start",
        fault=fault,
        outcome=outcome,
        **{"end": end, "connection": "TLS", "limit": 60, **more},
    )


NO_WATCHER = "said: no watcher could be started"
"""The line of the log: who ends what a killed host leaves needs memory with a name."""

REFUSED = "LaunchError launch.failed"
ROWS = [
    *[row for spare in (0, 4, 8) for row in on(_row("no descriptors", REFUSED, argument=spare), (), FACES)],
    *on(_row("no processes", REFUSED), (), FACES),
    *on(_row("no address space", REFUSED), (), FACES),
    *on(_row("no file may grow", REFUSED), (), FACES),
    *on(_row("full", connection="plain"), (), FACES),
    *on(_row("no inodes", REFUSED), (), FACES),
    *on(_row("read-only", REFUSED), (), FACES),
    *on(_row("SIGPIPE at its default"), (), FACES),
    *on(_row("SIGCHLD ignored"), (), FACES),
    *on(_row("foreign reaper"), (), FACES),
    *on(_row("standard descriptor closed", argument=0), (), FACES),
    _row("standard descriptor closed", argument=1),
    _row("standard descriptor closed", argument=2),
    *on(_row("all standard descriptors closed"), (), FACES),
    *[
        row
        for call in ("clone3", "close_range", "pidfd_open", "waitid", "statx", "execveat")
        for row in on(_row(f"{call} refused"), (), FACES)
    ],
    *on(_row("memfd_create refused", left=NO_WATCHER), (), FACES),
    _row("memfd_create forbidden", left=NO_WATCHER),
    *on(_row("eventfd2 refused", REFUSED), (), FACES),
    *[_row(f"{call} forbidden") for call in ("close_range", "pidfd_open", "statx", "pidfd_send_signal")],
    _row("eventfd2 forbidden", REFUSED),
    # The C library tries an older call where the new one is unknown, not where it is forbidden: no thread is to be had.
    _row("clone3 forbidden", REFUSED),
]
