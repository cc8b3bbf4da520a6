"""What a plugin on ferrule.server prints reaches its host, and stops nothing meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferrule.channel import insecure_channel
from ferrule.server.descriptors import message_class
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import GetRequest, NoiseRequest, PutRequest
from integration.kv import started
from integration.server_process import Launch, deed, launcher, plugin
from waiting import LIMIT, until

pytestmark = pytest.mark.timeout(60)

EARLY = b"printed while registering\nwritten while registering\n"
SIZE = 200_000


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    with launcher(tmp_path) as start:
        yield start


async def test_all_ways_of_printing() -> None:
    stdout, stderr = bytearray(), bytearray()
    async with started(plugin(), sync_stdout=stdout.extend, sync_stderr=stderr.extend) as (client, kv):
        await deed(client.grpc_channel, "print", str(SIZE).encode())
        noise = NoiseRequest(stdout_bytes=SIZE, stderr_bytes=SIZE, synced_stdout="s" * SIZE, synced_stderr="t" * SIZE)
        await kv.Noise(noise)
        await until(lambda: len(stdout) >= 4 * SIZE + len(EARLY) and len(stderr) >= 2 * SIZE)
    assert len(stdout) == 4 * SIZE + len(EARLY)
    # By the loop with print and on descriptor 1, by a thread with print and, in lines, on descriptor 1.
    for piece in (b"o" * 100, b"d" * 100, b"s" * 100, b"x" * 99 + b"\n"):
        assert piece in stdout
    # Descriptor 2 is the log.
    assert set(stderr) == set(b"et")


async def read_stdio(channel: Any, size: int) -> list[tuple[int, bytes]]:
    """The stdio stream's messages, until so many bytes have come."""
    data_class = message_class("plugin.StdioData")
    stream = channel.unary_stream("/plugin.GRPCStdio/StreamStdio", response_deserializer=data_class.FromString)(b"")
    found: list[tuple[int, bytes]] = []
    async with asyncio.timeout(LIMIT):
        while sum(len(data) for _, data in found) < size:
            message = await stream.read()
            found.append((message.channel, message.data))
    stream.cancel()
    return found


async def test_a_flood_before_any_host_listens_stops_no_call(launch: Launch) -> None:
    fields = await asyncio.to_thread(launch().fields)
    async with insecure_channel(f"unix:{fields[3]}") as channel:
        kv = KVStub(channel)
        # The event loop's own thread prints, in one piece, more than any pipe holds.
        await deed(channel, "print", str(SIZE).encode())
        # A thread is held back meanwhile, and nobody else.
        noise = asyncio.ensure_future(kv.Noise(NoiseRequest(synced_stdout="s" * SIZE), timeout=LIMIT))
        await kv.Put(PutRequest(key="k", value=b"v"), timeout=LIMIT)
        assert (await kv.Get(GetRequest(key="k"), timeout=LIMIT)).value == b"v"
        messages = await read_stdio(channel, 4 * SIZE + len(EARLY))
        await noise
    assert max(len(data) for _, data in messages) == 1024
    assert {number for number, _ in messages} == {1, 2}
    stdout = b"".join(data for number, data in messages if number == 1)
    assert len(stdout) == 3 * SIZE + len(EARLY)
    assert b"".join(data for number, data in messages if number == 2) == b"e" * SIZE


async def test_last_words_before_a_shutdown_arrive() -> None:
    stdout = bytearray()
    async with started(plugin(), sync_stdout=stdout.extend) as (client, _):
        await deed(client.grpc_channel, "print", str(SIZE).encode())
        await client.shutdown_plugin()
        assert len(stdout) == 2 * SIZE + len(EARLY)
