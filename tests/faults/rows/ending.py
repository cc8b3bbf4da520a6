"""How a plugin ends: the call Shutdown, SIGTERM, SIGKILL."""

from __future__ import annotations

from typing import Any

from faults.row import CONNECTIONS, WORKS, Row, on

SOON = {"shutdown_timeout": 0.3, "kill_timeout": 0.3}


def _row(step: str, fault: str, end: str, **more: Any) -> Row:
    return Row(area="end", step=step, fault=fault, outcome=WORKS, end=end, **{"job": "stop", **more})


ROWS = [
    *on(_row("shutdown request", "killed", "shutdown"), CONNECTIONS, ("asyncio", "blocking")),
    *on(_row("shutdown", "killed", "shutdown"), CONNECTIONS),
    *on(_row("shutdown", "half, then killed", "shutdown"), CONNECTIONS),
    *on(_row("shutdown", "stopped", "sigkill", settings=SOON), ("plain", "TLS"), ("asyncio", "blocking", "uvloop")),
    *on(_row("shutdown", "silent", "sigterm", settings=SOON), CONNECTIONS),
    *on(_row("shutdown", "closed", "sigterm", settings=SOON), CONNECTIONS),
    *on(_row("shutdown", "garbage", "sigterm", settings=SOON), ("plain", "TLS")),
    *on(_row("shutdown", "byte by byte", "shutdown"), CONNECTIONS),
    *[_row("shutdown", "reset", "sigterm", settings=SOON, argument=code) for code in (2, 7, 8)],
    _row("shutdown", "GOAWAY", "sigterm", settings=SOON, argument=2),
    _row("shutdown", "status", "sigterm", settings=SOON, argument=12),
    _row("shutdown", "HTTP status", "sigterm", settings=SOON, argument=404),
    _row("end", "silent", "sigterm", settings=SOON),
    _row("end", "stopped", "sigkill", settings=SOON),
    _row("end", "exits", "shutdown"),
]
