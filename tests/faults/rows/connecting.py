"""From the handshake line to a plugin that answers: socket, multiplexing, TLS, HTTP/2, health check."""

from __future__ import annotations

from typing import Any

from faults.row import CONNECTIONS, Row, on

SOON = {"connect_timeout": 0.8}
PLAIN = ("plain", "plain, multiplexed")
SECURE = ("TLS", "TLS, multiplexed")
MULTIPLEXED = ("plain, multiplexed", "TLS, multiplexed")
SILENCE = ("silent", "half, then silent")
DEATHS = {"killed": "SIGKILL", "exits": "status 3", "half, then killed": "SIGKILL"}
ABRUPT = ("closed", "half, then closed")


def _row(step: str, fault: str, outcome: str, **more: Any) -> Row:
    return Row(area="connecting", step=step, fault=fault, outcome=outcome, **{"end": "", **more})


def _of_any(step: str, connections: tuple[str, ...], **more: Any) -> list[Row]:
    """What a step has in common with all others: the process dies, stands still, or says nothing."""
    rows = []
    for fault, says in DEATHS.items():
        row = _row(step, fault, "PluginExitedError connect.exited", says=says, **more)
        rows += on(row, connections if fault == "killed" else connections[:1])
    for fault in ("stopped", *SILENCE):
        says = "SIGSTOP" if fault == "stopped" else ""
        row = _row(step, fault, "ConnectTimeoutError connect.timeout", says=says, settings=SOON, **more)
        rows += on(row, connections if fault == "silent" else connections[:1])
    return rows


ROWS = [
    _row("listen", "nobody", "ConnectTimeoutError connect.timeout", settings=SOON),
    _row("listen", "nobody", "ConnectTimeoutError connect.timeout", settings=SOON, tcp=True, face="blocking"),
    *_of_any("accept", CONNECTIONS),
    *[
        row
        for fault in ("closed", "garbage", "HTTP/1.1")
        for row in (
            _row("accept", fault, "ProtocolError connect.http2", settings=SOON),
            _row("accept", fault, "SecurityError tls.failed", settings=SOON, connection="TLS"),
            *on(_row("accept", fault, "ProtocolError connect.http2", says="multiplexed", settings=SOON), MULTIPLEXED),
        )
    ],
    *_of_any("yamux", MULTIPLEXED),
    *[
        row
        for fault in (*ABRUPT, "garbage")
        for row in on(
            _row("yamux", fault, "ProtocolError connect.http2", says="multiplexed", settings=SOON), MULTIPLEXED
        )
    ],
    *on(_row("yamux", "byte by byte", "works", end="shutdown"), MULTIPLEXED),
    *_of_any("TLS", SECURE),
    *[row for fault in ABRUPT for row in on(_row("TLS", fault, "SecurityError tls.failed"), SECURE)],
    *on(_row("TLS", "garbage", "SecurityError tls.failed", settings=SOON), SECURE),
    *on(_row("TLS", "HTTP/1.1", "SecurityError tls.failed", settings=SOON), SECURE),
    *on(_row("TLS", "byte by byte", "works", end="shutdown"), SECURE),
    *_of_any("preface", CONNECTIONS),
    *on(_row("preface", "closed", "ProtocolError connect.http2"), PLAIN),
    *on(_row("preface", "closed", "SecurityError tls.failed", says="refuses the certificate of its client"), SECURE),
    *on(_row("preface", "half, then closed", "ProtocolError connect.http2"), CONNECTIONS),
    *on(_row("preface", "garbage", "ProtocolError connect.http2", says="rules of HTTP/2", settings=SOON), CONNECTIONS),
    *on(_row("preface", "HTTP/1.1", "ProtocolError connect.http2", settings=SOON), CONNECTIONS),
    *on(_row("preface", "byte by byte", "works", end="shutdown"), CONNECTIONS),
    *_of_any("health", CONNECTIONS),
    *[row for fault in ABRUPT for row in on(_row("health", fault, "ProtocolError connect.http2"), ("plain", "TLS"))],
    *on(_row("health", "garbage", "ProtocolError connect.http2", settings=SOON), ("plain", "TLS")),
    *on(_row("health", "byte by byte", "works", end="shutdown"), CONNECTIONS),
    _row("health", "reset", "TransportError connect.health", argument=8),
    _row("health", "GOAWAY", "ProtocolError connect.http2", argument=2),
    _row("health", "status", "TransportError connect.health", argument=14),
    _row("health", "HTTP status", "TransportError connect.health", argument=503),
    _row("health", "no trailers", "TransportError connect.health"),
    _row("health", "cut message", "TransportError connect.health"),
    _row("health", "wrong prefix", "TransportError connect.health"),
    _row("health", "too large", "TransportError connect.health"),
]
