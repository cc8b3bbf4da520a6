"""What the host program does while its plugin is at a step."""

from __future__ import annotations

from typing import Any

from faults.row import Row, on

STEPS = {
    "launch": ("start", "plain"),
    "handshake line": ("start", "TLS"),
    "accept": ("start", "plain"),
    "yamux": ("start", "TLS, multiplexed"),
    "TLS": ("start", "TLS"),
    "preface": ("start", "plain"),
    "health": ("start", "TLS"),
    "call request": ("call", "TLS"),
    "call trailers": ("call", "plain"),
    "stream": ("stream", "TLS"),
    "brokered TLS": ("dial", "TLS"),
    "knock": ("dial", "plain, multiplexed"),
    "shutdown": ("stop", "TLS"),
}
"""What waits at each step, and on which connection."""

STARTING = ("launch", "handshake line", "accept", "yamux", "TLS", "preface", "health")
CLOSED = dict.fromkeys(STARTING, "TransportError client.cancelled") | {
    "call request": "UNAVAILABLE",
    "call trailers": "UNAVAILABLE",
    "stream": "UNAVAILABLE",
    "brokered TLS": "ProtocolError broker.closed",
    "knock": "ProtocolError broker.closed",
    "shutdown": "works",
}
"""The outcome of what waits when its client is closed."""

PATIENT = {"shutdown_timeout": 30, "connect_timeout": 30, "start_timeout": 30, "kill_timeout": 5}


def _row(step: str, fault: str, outcome: str, **more: Any) -> Row:
    job, connection = STEPS[step]
    values = {"end": "", "settings": PATIENT, "job": job, "connection": connection, "limit": 20, **more}
    return Row(area="program", step=step, fault=fault, outcome=outcome, **values)


ROWS: list[Row] = []
for STEP in STEPS:
    ROWS += on(_row(STEP, "cancelled", "CancelledError"), (), ("asyncio", "uvloop"))
    ROWS += on(_row(STEP, "client closed", CLOSED[STEP]), (), ("asyncio", "uvloop"))
    ROWS += [_row(STEP, "closed by two, one cancelled", CLOSED[STEP])]
    ROWS += [_row(STEP, "forgotten, collected", "CancelledError")] if STEP in STARTING else []
    ROWS += [_row(STEP, "forked", "CancelledError, child 0")]
    ROWS += on(_row(STEP, "interpreter exits", "status 0", limit=60), (), ("asyncio", "uvloop"))
    ROWS += [_row(STEP, "host killed", "status -9", limit=60)]
for STEP in ("launch", "TLS", "health", "call request", "stream", "knock", "shutdown"):
    ROWS += on(_row(STEP, "loop closed", "works", limit=60), (), ("asyncio", "uvloop"))
    ROWS += on(_row(STEP, "second loop", "works", limit=60), (), ("asyncio", "uvloop"))
    ROWS += [_row(STEP, "host terminated", "status -15", limit=60)]
for STEP in ("accept", "call request", "shutdown"):
    ROWS += [_row(STEP, "cancelled", "CancelledError", face="eager tasks")]
