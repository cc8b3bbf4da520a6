"""Brokered connections, and the streams that the host keeps open itself."""

from __future__ import annotations

from typing import Any

from faults.row import CONNECTIONS, WORKS, Row, on

SOON = {"connect_timeout": 0.8, "shutdown_timeout": 0.3}
STOPPED = {**SOON, "kill_timeout": 0.3}
RENDEZVOUS = {"call_limit": 8, "shutdown_timeout": 0.3}
"""go-plugin waits five seconds for the other side of a brokered connection."""
MULTIPLEXED = ("plain, multiplexed", "TLS, multiplexed")


def _row(step: str, fault: str, outcome: str, **more: Any) -> Row:
    return Row(area="broker", step=step, fault=fault, outcome=outcome, **{"job": "dial", **more})


ROWS = [
    *on(
        _row("brokered accept", "killed", "ProtocolError broker.closed", says="SIGKILL", end="exited"),
        ("plain", "TLS"),
        ("asyncio", "blocking"),
    ),
    *on(
        _row("brokered accept", "stopped", "ConnectTimeoutError connect.timeout", settings=STOPPED, end="sigkill"),
        ("plain", "TLS"),
    ),
    _row("brokered accept", "closed", "ProtocolError connect.http2"),
    _row("brokered accept", "closed", "SecurityError tls.failed", connection="TLS"),
    *on(_row("brokered accept", "silent", "ConnectTimeoutError connect.timeout", settings=SOON), ("plain", "TLS")),
    *on(_row("brokered TLS", "closed", "SecurityError tls.failed"), ("TLS", "TLS, multiplexed")),
    *on(_row("brokered TLS", "garbage", "SecurityError tls.failed"), ("TLS", "TLS, multiplexed")),
    *on(
        _row("brokered TLS", "killed", "ProtocolError broker.closed", says="SIGKILL", end="exited"),
        ("TLS", "TLS, multiplexed"),
    ),
    *on(_row("brokered preface", "killed", "ProtocolError broker.closed", says="SIGKILL", end="exited"), CONNECTIONS),
    *on(_row("brokered preface", "closed", "ProtocolError connect.http2"), CONNECTIONS),
    *on(_row("brokered preface", "garbage", "ProtocolError connect.http2"), CONNECTIONS),
    *on(_row("brokered preface", "byte by byte", WORKS), CONNECTIONS),
    *on(_row("brokered call", "killed", "UNAVAILABLE", end="exited"), CONNECTIONS, ("asyncio", "blocking")),
    *on(_row("brokered call", "closed", "UNAVAILABLE"), CONNECTIONS),
    *on(_row("brokered call", "byte by byte", WORKS), CONNECTIONS),
    *on(_row("knock", "refused", "ProtocolError broker.refused"), MULTIPLEXED, ("asyncio", "blocking")),
    *on(
        _row("knock", "silent", "ProtocolError broker.timeout", settings=RENDEZVOUS, end="sigterm", limit=20),
        MULTIPLEXED,
    ),
    *on(_row("knock", "killed", "ProtocolError broker.closed", end="exited"), MULTIPLEXED),
    *on(_row("knock", "closed", "ProtocolError broker.timeout", settings=RENDEZVOUS, limit=20), MULTIPLEXED),
    *on(_row("knock", "byte by byte", WORKS), MULTIPLEXED),
    *on(_row("knock", "twice", WORKS), MULTIPLEXED[:1]),
    *[
        row
        for step in ("stdio", "broker")
        for fault in ("reset", "status", "no trailers", "cut message", "wrong prefix", "byte by byte")
        for row in on(
            _row(step, fault, WORKS, job="start", argument=8 if fault in {"reset", "status"} else 0), ("plain",)
        )
    ],
    *[
        row
        for step in ("stdio", "broker")
        for fault, outcome in (("closed", "UNAVAILABLE"), ("garbage", "INTERNAL"))
        for row in on(_row(step, fault, f"{WORKS} or {outcome}", job="start", times=1, then=WORKS), ("plain", "TLS"))
    ],
    *[
        _row(step, "killed", "PluginExitedError connect.exited or UNAVAILABLE", job="after the end", end="exited")
        for step in ("stdio", "broker")
    ],
]
