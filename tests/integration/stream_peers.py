"""Peers for connections: asyncio's own servers, with handlers that must end and must not fail."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from waiting import LIMIT

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

NETWORKS = ("unix", "tcp")


@contextlib.asynccontextmanager
async def serving(
    handler: Handler,
    network: str,
    directory: Path,
    *,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    refuses: bool = False,
) -> AsyncIterator[str]:
    """Serves while the body runs; gives the address, and afterwards waits for the handlers and raises their errors.

    At least one connection is waited for, unless the peer is one that refuses them all.
    """
    handlers: list[asyncio.Task[None]] = []
    called = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.create_task(handle(reader, writer)))
        called.set()

    path = directory / "peer.sock"
    if network == "unix":
        server: asyncio.Server = await asyncio.start_unix_server(connected, path, ssl=tls)
        address = f"unix:{path}"
    else:
        server = await asyncio.start_server(connected, host, 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        yield address
        async with asyncio.timeout(LIMIT):
            if not refuses:
                await called.wait()
            await asyncio.gather(*handlers)
    finally:
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        server.close()
        path.unlink(missing_ok=True)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back what comes, to the end."""
    while data := await reader.read(256 * 1024):
        writer.write(data)
        await writer.drain()


async def swallow(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Reads to the end and says nothing."""
    while await reader.read(256 * 1024):
        pass
