"""The servers of the interoperability cases, and channels to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import grpc.aio
import pytest

import peers
from conformance.interop.interop_pb2_grpc import TestServiceStub
from ferrule.channel import insecure_channel
from ferrule.client import RPCPluginClient
from waiting import LIMIT

TESTS = Path(__file__).parents[2]


LIBRARIES: dict[str, Callable[[str], grpc.aio.Channel]] = {
    "ferrule": insecure_channel,
    "grpcio": grpc.aio.insecure_channel,
}
"""Makers of plaintext channels; grpcio's is a control of the cases themselves."""


class Traffic(NamedTuple):
    """Bytes between channel and server, without those that TLS adds."""

    sent: int
    received: int


@dataclass(frozen=True)
class Link:
    """A channel to a peer, and what is known about the way to it."""

    channel: grpc.aio.Channel
    stub: TestServiceStub
    traffic: Callable[[], Traffic]


@dataclass(frozen=True)
class Peer:
    """A server, how it is reached, and whose channel calls it."""

    server: Literal["grpcio", "grpc-go"]
    transport: Literal["unix", "tcp", "automtls"]
    library: Literal["ferrule", "grpcio"] = "ferrule"

    def __str__(self) -> str:
        return f"{self.library}-{self.server}-{self.transport}"

    @property
    def command(self) -> list[str]:
        """The server's program, without the word that says how to serve."""
        if self.server == "grpc-go":
            return [peers.go_peer("interop")]
        return [sys.executable, "-m", "conformance.interop.server"]

    @contextlib.contextmanager
    def serving(self, directory: Path) -> Iterator[str | None]:
        """Runs the server and gives its address; a plugin has none before its host starts it."""
        if self.transport == "automtls":
            yield None
            return
        target = f"unix:{directory / 'interop.sock'}" if self.transport == "unix" else "127.0.0.1:0"
        command = [*self.command, "listen", target]
        environment = {**os.environ, "PYTHONPATH": str(TESTS)}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
            try:
                assert process.stdout is not None
                address = process.stdout.readline().decode().strip()
                assert address, f"{command} ended with status {process.wait(LIMIT)} instead of serving"
                yield address
                # Closes its standard input, for which it ends.
                process.communicate(timeout=LIMIT)
            finally:
                process.kill()

    @contextlib.asynccontextmanager
    async def connected(self, address: str | None, directory: Path, *, counted: bool = False) -> AsyncIterator[Link]:
        """A channel to the server that runs at the address, or to a plugin of its own.

        Args:
            address: What `serving` gave.
            directory: For the socket of a relay.
            counted: Whether the traffic is asked for: a plaintext channel then goes through a relay.
        """
        if address is None:
            async with self._plugin() as link:
                yield link
            return
        async with contextlib.AsyncExitStack() as stack:
            target, traffic = address, _uncounted
            if counted:
                target, traffic = await stack.enter_async_context(_relay(address, directory / "relay.sock"))
            channel = await stack.enter_async_context(LIBRARIES[self.library](target))
            yield Link(channel, TestServiceStub(channel), traffic)

    @contextlib.asynccontextmanager
    async def _plugin(self) -> AsyncIterator[Link]:
        choice = {} if self.library == "ferrule" else {"channel": self.library}
        config = peers.kv_config(env={"PYTHONPATH": str(TESTS)}, **choice)
        async with RPCPluginClient([*self.command, "plugin"], config) as client:
            channel = client.grpc_channel
            assert channel is not None
            assert client.server_cert is not None, "not AutoMTLS"
            yield Link(
                channel,
                TestServiceStub(channel),
                lambda: Traffic(client.traffic.content_sent, client.traffic.content_received),
            )


PEERS = [
    Peer("grpcio", "unix"),
    Peer("grpcio", "automtls"),
    Peer("grpc-go", "unix"),
    Peer("grpc-go", "tcp"),
    Peer("grpc-go", "automtls"),
    Peer("grpcio", "unix", library="grpcio"),
    Peer("grpc-go", "unix", library="grpcio"),
]


def endpoints(condition: Callable[[Peer], bool] = lambda _: True) -> pytest.MarkDecorator:
    """Runs a test against the servers of all peers that fulfil a condition."""
    marks = {"grpc-go": [pytest.mark.go], "grpcio": []}
    chosen = [pytest.param(peer, id=str(peer), marks=marks[peer.server]) for peer in PEERS if condition(peer)]
    return pytest.mark.parametrize("endpoint", chosen, indirect=True, scope="module")


def _uncounted() -> Traffic:
    raise AssertionError("the traffic of this link is not counted")


@contextlib.asynccontextmanager
async def _relay(address: str, path: Path) -> AsyncIterator[tuple[str, Callable[[], Traffic]]]:
    """Passes one connection on to a server on a Unix socket, and counts."""
    counts = {"sent": 0, "received": 0}
    connections: list[asyncio.Task[None]] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        while data := await reader.read(256 * 1024):
            counts[direction] += len(data)
            writer.write(data)
            await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(pump(reader, server_writer, "sent"))
            pumps.create_task(pump(server_reader, writer, "received"))

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.create_task(connect(reader, writer)))

    relay = await asyncio.start_unix_server(connected, path)
    try:
        yield f"unix:{path}", lambda: Traffic(**counts)
        async with asyncio.timeout(LIMIT):
            await asyncio.gather(*connections)
    finally:
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        relay.close()
        path.unlink(missing_ok=True)
