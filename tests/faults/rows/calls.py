"""A call of the application's: unary, and a stream whose first message has been answered; then the same once more."""

from __future__ import annotations

from typing import Any

from faults.row import CONNECTIONS, WORKS, Row, on

SHORT_CALL = {"call_limit": 0.5, "shutdown_timeout": 0.3}
ONCE = {"times": 1, "then": WORKS}


def _row(step: str, fault: str, outcome: str, **more: Any) -> Row:
    job = "stream" if step.startswith("stream") else "call"
    return Row(area="call", step=step, fault=fault, outcome=outcome, job=job, **more)


DEATH = {"then": "UNAVAILABLE", "end": "exited"}
ROWS: list[Row] = []
for STEP in ("call request", "call", "call trailers", "stream"):
    ROWS += on(_row(STEP, "killed", "UNAVAILABLE", says="SIGKILL", **DEATH), CONNECTIONS)
    ROWS += on(
        _row(STEP, "exits", "UNAVAILABLE", says="status 3", **DEATH), ("TLS",), ("asyncio", "blocking", "uvloop")
    )
    ROWS += on(
        _row(STEP, "stopped", "DEADLINE_EXCEEDED", settings=SHORT_CALL, then="DEADLINE_EXCEEDED", end="sigkill"),
        ("plain",),
    )
    ROWS += on(
        _row(
            STEP, "silent", "DEADLINE_EXCEEDED", settings=SHORT_CALL, times=1, then="DEADLINE_EXCEEDED", end="sigterm"
        ),
        ("TLS",),
    )
    ROWS += on(_row(STEP, "closed", "UNAVAILABLE", **ONCE), ("plain", "TLS"), ("asyncio", "blocking"))
    ROWS += on(_row(STEP, "garbage", "INTERNAL", says="HTTP/2", **ONCE), ("plain", "TLS"))
for STEP in ("call", "call trailers", "stream"):
    ROWS += on(_row(STEP, "half, then closed", "UNAVAILABLE", **ONCE), ("plain", "TLS"))
    ROWS += on(_row(STEP, "half, then killed", "UNAVAILABLE", **DEATH), CONNECTIONS)
    ROWS += on(_row(STEP, "byte by byte", WORKS, then=WORKS), CONNECTIONS)
ROWS += [
    _row("call", "HTTP status", status, argument=number, **ONCE)
    for number, status in (
        (400, "INTERNAL"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "UNIMPLEMENTED"),
        (503, "UNAVAILABLE"),
    )
]
for STEP in ("call", "stream"):
    ROWS += [
        # A stream that the peer has not begun is made again, unseen.
        _row(STEP, "GOAWAY", WORKS if STEP == "call" else "UNAVAILABLE", argument=2, **ONCE),
        _row(STEP, "GOAWAY, served", "UNAVAILABLE", argument=0, **ONCE),
        _row(STEP, "no trailers", "UNKNOWN", **ONCE),
        _row(STEP, "cut message", "INTERNAL", **ONCE),
        _row(STEP, "wrong prefix", "INTERNAL", **ONCE),
        _row(STEP, "too large", "RESOURCE_EXHAUSTED", settings={"max_receive_bytes": 1000}, **ONCE),
        *[
            _row(STEP, "status", status, argument=number, **ONCE)
            for number, status in ((2, "UNKNOWN"), (14, "UNAVAILABLE"), (99, "UNKNOWN"))
        ],
    ]
    ROWS += [
        _row(STEP, "reset", status, argument=number, **ONCE)
        for number, status in (
            (0, "INTERNAL"),
            (1, "INTERNAL"),
            (2, "INTERNAL"),
            (3, "INTERNAL"),
            (7, "UNAVAILABLE"),
            (8, "CANCELLED"),
            (11, "RESOURCE_EXHAUSTED"),
            (12, "PERMISSION_DENIED"),
            (13, "INTERNAL"),
        )
    ]
