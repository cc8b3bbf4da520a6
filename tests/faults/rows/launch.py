"""The plugin's process and its handshake line."""

from __future__ import annotations

from typing import Any

from faults.row import CONNECTIONS, Row, on

SOON = {"start_timeout": 3.0}


def _row(step: str, fault: str, outcome: str, **more: Any) -> Row:
    return Row(area="launch", step=step, fault=fault, outcome=outcome, **{"end": "", **more})


ROWS = [
    _row("launch", "killed", "PluginExitedError handshake.exited", says="SIGKILL"),
    _row("launch", "killed", "PluginExitedError handshake.exited", says="SIGKILL", face="blocking"),
    _row("launch", "exits", "PluginExitedError handshake.exited", says="panic: on purpose"),
    _row("launch", "exits", "PluginExitedError handshake.exited", says="panic: on purpose", face="blocking"),
    *on(
        _row("launch", "stopped", "StartTimeoutError handshake.timeout", says="SIGSTOP", settings=SOON),
        (),
        ("asyncio", "uvloop", "blocking"),
    ),
    *on(_row("launch", "silent", "StartTimeoutError handshake.timeout", settings=SOON), (), ("asyncio", "blocking")),
    *on(_row("launch", "closed", "HandshakeError handshake.missing"), (), ("asyncio", "blocking")),
    _row("launch", "garbage", "StartTimeoutError handshake.timeout", settings=SOON),
    _row("handshake line", "killed", "PluginExitedError handshake.exited", says="SIGKILL"),
    _row("handshake line", "exits", "PluginExitedError handshake.exited", says="panic: on purpose"),
    _row("handshake line", "stopped", "StartTimeoutError handshake.timeout", says="SIGSTOP", settings=SOON),
    _row("handshake line", "silent", "StartTimeoutError handshake.timeout", settings=SOON),
    _row("handshake line", "closed", "HandshakeError handshake.missing"),
    _row("handshake line", "half, then silent", "StartTimeoutError handshake.timeout", settings=SOON),
    _row("handshake line", "half, then closed", "ProtocolError handshake.protocol"),
    *on(
        _row("handshake line", "half, then killed", "PluginExitedError handshake.exited", says="1|1|unix"),
        (),
        ("asyncio", "blocking"),
    ),
    *on(_row("handshake line", "byte by byte", "works", end="shutdown"), CONNECTIONS),
    _row("handshake line", "byte by byte", "works", end="shutdown", tcp=True),
    _row("handshake line", "garbage", "StartTimeoutError handshake.timeout", settings=SOON),
    _row("handshake line", "HTTP/1.1", "StartTimeoutError handshake.timeout", says="HTTP/1.1", settings=SOON),
    *on(_row("handshake line", "twice", "works", end="shutdown"), ("plain", "TLS")),
]
