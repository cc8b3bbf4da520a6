"""Pools: a lease and a call, and the same once more."""

from __future__ import annotations

from typing import Any

from faults.row import WORKS, Row, on

FACES = ("asyncio", "blocking")
UNKNOWN = "OutcomeUnknown pool.unknown"
UNAVAILABLE = "PluginUnavailable pool.unavailable"
SOON = {"connect_timeout": 0.8, "start_timeout": 3.0, "shutdown_timeout": 0.3, "kill_timeout": 0.3}
NO_ANSWER = {**SOON, "call_limit": 0.5}


def _row(step: str, fault: str, outcome: str, **more: Any) -> Row:
    values = {"end": "pool closed", "connection": "TLS", "limit": 30, "settings": SOON, "job": "pool", **more}
    return Row(area="pool", step=step, fault=fault, outcome=outcome, **values)


ROWS: list[Row] = []
for STEP in ("launch", "handshake line", "TLS", "preface", "health"):
    ROWS += on(_row(STEP, "killed", UNAVAILABLE, is_first_only=True, then=WORKS), (), FACES)
for STEP in ("call request", "call", "call trailers"):
    ROWS += on(_row(STEP, "killed", UNKNOWN, is_first_only=True, then=WORKS), (), FACES)
    ROWS += on(_row(STEP, "killed", WORKS, is_first_only=True, is_idempotent=True, then=WORKS), (), FACES)
    ROWS += on(_row(STEP, "stopped", "DEADLINE_EXCEEDED", is_first_only=True, settings=NO_ANSWER), (), FACES)
ROWS += [
    *on(_row("launch", "exits", UNAVAILABLE), (), FACES),
    *on(_row("handshake line", "HTTP/1.1", UNAVAILABLE, settings={**SOON, "start_timeout": 1.0}), (), FACES),
    *on(_row("health", "status", UNAVAILABLE, argument=14), (), FACES),
    *on(_row("call", "closed", UNKNOWN, times=1, then=WORKS), (), FACES),
    *on(_row("call", "half, then closed", UNKNOWN, times=1, then=WORKS), (), FACES),
    *on(_row("call", "GOAWAY, served", UNKNOWN, times=1, then=WORKS), (), FACES),
    *on(_row("call", "status", "UNAVAILABLE", argument=14, times=1, then=WORKS), (), FACES),
    *on(_row("call", "GOAWAY", WORKS, argument=2, times=1, then=WORKS), (), FACES),
    *on(_row("shutdown", "stopped", WORKS), (), FACES),
    *on(_row("shutdown", "silent", WORKS), (), FACES),
    *on(_row("end", "silent", WORKS), (), FACES),
]
