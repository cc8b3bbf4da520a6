"""A crowd of strangers at the socket of a plugin in Python, while its host calls; then they go."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from faults.asyncio_host import attempt, put
from faults.result import Result
from ferrule.client import RPCPluginClient
from waiting import until

STRANGERS = 100
MEMORY_BYTES = 32 << 20
"""What a plugin may keep of a crowd that is gone."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER without time: closing resets."""


def command() -> list[str]:
    """Command of a plugin in Python, on TCP."""
    return [sys.executable, str(Path(__file__).parents[1] / "integration" / "server_program.py"), "tcp"]


def _client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


def _reset(stranger: socket.socket) -> None:
    stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    stranger.close()


def _says(words: bytes) -> Callable[[socket.socket], None]:
    def say(stranger: socket.socket) -> None:
        # Refused before it has said anything.
        with contextlib.suppress(OSError):
            stranger.sendall(words)

    return say


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
CROWDS: dict[str, Callable[[socket.socket], None]] = {
    "silent": _says(b""),
    "HTTP/1.1": _says(b"GET / HTTP/1.1\r\n\r\n"),
    "garbage": _says(random.Random(0).randbytes(4096)),
    "half a preface": _says(PREFACE[:8]),
    "preface, then silent": _says(PREFACE),
    "TLS hello, then silent": _says(_client_hello()),
    "half a TLS hello": _says(_client_hello()[:40]),
    "yamux stream, then silent": _says(struct.pack(">BBHII", 0, 1, 1, 1, 0)),
    "gone at once": lambda stranger: stranger.close(),
    "reset at once": _reset,
}
"""What each stranger does after it has connected."""


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def run(client: RPCPluginClient, kind: str, limit: float) -> Result:
    """The host's calls before, amid and after the crowd."""
    result = Result()
    async with client:
        await put(client, limit)
        pid, address = client.pid or 0, str(client.address)
        descriptors, resident = _descriptors(pid), _resident(pid)
        host, _, port = address.rpartition(":")
        strangers = []
        for _ in range(STRANGERS):
            # A plugin that is full refuses, which is its right.
            with contextlib.suppress(OSError):
                strangers.append(await asyncio.to_thread(socket.create_connection, (host, int(port)), limit))
                CROWDS[kind](strangers[-1])
        result.outcome = await attempt(put(client, limit), result)
        for stranger in strangers:
            stranger.close()
        await until(lambda: _descriptors(pid) <= descriptors)
        result.then = await attempt(put(client, limit), result)
        if (grown := _resident(pid) - resident) > MEMORY_BYTES:
            result.left.append(f"{grown >> 20} MiB of memory of the plugin")
    result.end = client.stop_report.rung if client.stop_report else ""
    return result
