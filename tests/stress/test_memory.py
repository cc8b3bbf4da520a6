"""What calls and streams hold in memory: large calls in flight, and messages that nobody reads.

FERRULE_REPETITIONS says how often memory is compared with grpcio's (default 3).
"""

from __future__ import annotations

import asyncio
import os
import statistics
import struct
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from ferrule.channel import insecure_channel
from peers import ROOT
from stress.attacks import MESSAGE_LIMIT
from stress.memory import MIB, growth_below
from waiting import LIMIT, until

REPETITIONS = int(os.environ.get("FERRULE_REPETITIONS", "3"))
STREAMS = 16
HELD_BYTES = 5 * MIB
"""What a stream that nobody reads may hold: its window, and what counts as little."""


async def peak_of(library: str, target: str) -> int:
    """Peak of resident memory, in bytes, of a process that makes 128 calls of 1 MiB at once."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stress.memory_program", library, target),
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), LIMIT)
    assert process.returncode == 0
    return int(output) * 1024


@pytest.mark.go
async def test_large_calls_in_flight_take_less_than_with_grpcio(echo: str) -> None:
    peaks: dict[str, list[int]] = {"ferrule": [], "grpcio": []}
    # How many requests are under way when the answers come differs from run to run.
    for _ in range(REPETITIONS):
        for library, measured in peaks.items():
            measured.append(await peak_of(library, echo) // MIB)
    print(peaks)  # noqa: T201
    # Where the machine is busy, answers wait for their reader: what the library itself needs is the least of its peaks.
    assert min(peaks["ferrule"]) < statistics.median(peaks["grpcio"]), peaks


@pytest.mark.go
async def test_streams_that_nobody_reads_stall_neither_each_other_nor_calls(echo: str) -> None:
    count, size = 1024, 16 << 10
    async with insecure_channel(echo) as channel:

        def received() -> int:
            return int(channel.stats()["wire_bytes_received"])

        unary = channel.unary_unary("/bench.Echo/Unary")
        with growth_below(STREAMS * 2 * HELD_BYTES):
            begin = channel.unary_stream("/bench.Echo/Stream")
            streams: list[Any] = [begin(struct.pack(">II", count, size)) for _ in range(STREAMS)]
            # Each of them fills its window.
            await until(lambda: received() > STREAMS * 4 * MIB, LIMIT)
            for _ in range(100):
                assert await asyncio.wait_for(unary(b"meanwhile"), LIMIT) == b"meanwhile"
            assert received() < STREAMS * HELD_BYTES * 1.1
            async with asyncio.timeout(LIMIT):
                assert [len(message) async for message in streams[-1]] == [size] * count
        assert not any(stream.done() for stream in streams[:-1])
        for stream in streams[:-1]:
            stream.cancel()
        assert await asyncio.wait_for(unary(b"afterwards"), LIMIT) == b"afterwards"


@pytest.mark.parametrize(
    "messages",
    ["messages_of_0_bytes", "messages_of_1_byte", "messages_of_16_kib", "messages_of_4_mib_zipped"],
)
async def test_messages_that_nobody_reads_are_bounded(messages: str, attacks: Path) -> None:
    """However small they are, and however small they were before they were decompressed."""
    async with insecure_channel(f"unix:{attacks}/{messages}") as channel:
        with growth_below(64 * MIB):
            stream = channel.unary_stream("/hostile/Method")(b"x", timeout=1)
            assert await stream.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("messages", "size"),
    [("messages_of_0_bytes", 0), ("messages_of_16_kib", (16 << 10) - 5), ("messages_of_4_mib_zipped", MESSAGE_LIMIT)],
)
async def test_stream_that_was_left_alone_goes_on_when_it_is_read(messages: str, size: int, attacks: Path) -> None:
    async with insecure_channel(f"unix:{attacks}/{messages}") as channel:
        stream: Any = channel.unary_stream("/hostile/Method")(b"x")
        # It fills its window, and stops.
        await until(lambda: channel.stats()["wire_bytes_received"] > 3.9 * MIB, LIMIT)
        async with asyncio.timeout(LIMIT):
            for _ in range(min(20_000, 64 * MIB // max(size, 1))):
                assert len(await stream.read()) == size
        stream.cancel()


async def test_messages_beyond_the_window_end_the_connection(attacks: Path) -> None:
    async with insecure_channel(f"unix:{attacks}/messages_beyond_the_window") as channel:
        with growth_below(64 * MIB):
            stream = channel.unary_stream("/hostile/Method")(b"x", timeout=LIMIT)
            assert await stream.code() is grpc.StatusCode.INTERNAL
