"""A plugin in Python, and a hundred strangers at its TCP socket while its host calls."""

from __future__ import annotations

from faults.row import CONNECTIONS, WORKS, Row

KINDS = (
    "silent",
    "HTTP/1.1",
    "garbage",
    "half a preface",
    "preface, then silent",
    "TLS hello, then silent",
    "half a TLS hello",
    "yamux stream, then silent",
    "gone at once",
    "reset at once",
)
ROWS = [
    Row(
        area="server",
        step="a hundred strangers",
        fault=kind,
        outcome=WORKS,
        then=WORKS,
        job="besieged",
        connection=connection,
        tcp=True,
        limit=30,
    )
    for kind in KINDS
    for connection in CONNECTIONS
]
