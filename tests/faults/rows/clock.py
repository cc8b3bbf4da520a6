"""Limits under a wall clock that jumps: they are those of the monotonic clock."""

from __future__ import annotations

from typing import Any

from faults.row import WORKS, Row, on

HOUR_S = 3600
NOT_VALID = "SecurityError tls.certificate-expired"
REFUSED = "SecurityError tls.failed"
FACES = ("asyncio", "uvloop", "blocking")
SOON = {"start_timeout": 3.0, "shutdown_timeout": 0.3, "kill_timeout": 0.3}
CONNECTING_SOON = {"connect_timeout": 0.8}
SHORT_CALL = {"call_limit": 0.5, "shutdown_timeout": 0.3}


def _row(step: str, fault: str, outcome: str, **more: Any) -> Row:
    return Row(area="clock", step=step, fault=fault, outcome=outcome, **more)


ROWS = [
    *on(_row("call", "none", WORKS, job="call"), ("plain",), FACES),
    # A clock that is wrong where certificates are looked at: an error that names the clocks, instead of a look away.
    *on(
        _row("host an hour behind", "none", NOT_VALID, end="", says="not valid yet", argument=-HOUR_S), ("TLS",), FACES
    ),
    *on(_row("host an hour ahead", "none", REFUSED, end="", says="alert", argument=HOUR_S), ("TLS",), FACES),
    *on(_row("launch", "silent", "StartTimeoutError handshake.timeout", end="", settings=SOON), (), FACES),
    *on(_row("accept", "silent", "ConnectTimeoutError connect.timeout", end="", settings=CONNECTING_SOON), (), FACES),
    *on(
        _row("call", "silent", "DEADLINE_EXCEEDED", job="call", settings=SHORT_CALL, end="sigterm"),
        ("plain",),
        FACES,
    ),
    *on(_row("shutdown", "silent", WORKS, job="stop", settings=SOON, end="sigterm"), (), FACES),
    *on(_row("shutdown", "stopped", WORKS, job="stop", settings=SOON, end="sigkill"), (), FACES),
]
