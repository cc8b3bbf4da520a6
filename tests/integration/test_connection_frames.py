"""Framed messages over a connection: however the bytes are cut, what comes out is whole, or a clear error."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from ferrule.client import ClientConnection
from ferrule.errors import ProtocolError
from integration.stream_peers import echo, serving
from waiting import LIMIT

SEED = 20_261_122
PREFIX_BYTES = 5


def frame(message: bytes, flag: int = 0) -> bytes:
    """gRPC's format in its own words, independent of the code under test."""
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


@contextlib.asynccontextmanager
async def hearing(
    pieces: Iterable[bytes], directory: Path, *, max_frame_bytes: int = 1000, stays: bool = False
) -> AsyncIterator[ClientConnection]:
    """A connection whose peer says these pieces, each by itself, and closes then unless it stays."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if stays:
            await reader.read()

    async with asyncio.timeout(LIMIT), serving(speak, "unix", directory) as address:
        async with await ClientConnection.open(address, max_frame_bytes=max_frame_bytes) as connection:
            yield connection


async def all_frames(connection: ClientConnection) -> list[bytes]:
    frames = []
    while (message := await connection.receive_frame()) is not None:
        frames.append(message)
    return frames


async def test_many_frames_of_one_write_come_in_order(temporary_directory: Path) -> None:
    messages = [b"message %d" % number for number in range(1000)]
    wire = b"".join(map(frame, messages))
    async with hearing([wire], temporary_directory) as connection:
        assert await all_frames(connection) == messages
        assert connection.bytes_received == len(wire)


async def test_frames_that_are_there_are_taken_without_suspending(temporary_directory: Path) -> None:
    async with hearing([frame(b"one") + frame(b"two")], temporary_directory) as connection:
        assert await connection.receive_frame() == b"one"
        coroutine = connection.receive_frame()
        with pytest.raises(StopIteration) as caught:
            coroutine.send(None)
        assert caught.value.value == b"two"


async def test_frames_byte_by_byte_come_out_whole(temporary_directory: Path) -> None:
    messages = [b"", b"a", b"", b"bcd" * 20]
    wire = b"".join(map(frame, messages))
    async with hearing((wire[index : index + 1] for index in range(len(wire))), temporary_directory) as connection:
        assert await all_frames(connection) == messages


async def test_random_messages_cut_at_random_come_out_whole(temporary_directory: Path) -> None:
    source = random.Random(SEED)
    messages = [source.randbytes(source.choice([0, 1, 5, 300, 70_000])) for _ in range(200)]
    wire = b"".join(map(frame, messages))
    cuts = [0, *sorted(source.sample(range(1, len(wire)), 500)), len(wire)]
    pieces = [wire[begin:end] for begin, end in itertools.pairwise(cuts)]
    async with hearing(pieces, temporary_directory, max_frame_bytes=70_000) as connection:
        assert await all_frames(connection) == messages
        assert connection.bytes_received == len(wire)


async def test_echoed_frames_are_counted_to_the_byte(temporary_directory: Path) -> None:
    source = random.Random(SEED)
    messages = [source.randbytes(source.randrange(3000)) for _ in range(200)]
    async with asyncio.timeout(LIMIT), serving(echo, "tcp", temporary_directory) as address:
        async with await ClientConnection.open(address) as connection:
            for message in messages:
                await connection.send_frame(message)
            connection.writer.write_eof()
            assert await all_frames(connection) == messages
            expected = sum(PREFIX_BYTES + len(message) for message in messages)
            assert (connection.bytes_sent, connection.bytes_received) == (expected, expected)
            assert connection.writer.transport.traffic == (expected,) * 4


async def test_large_frame_comes_back_whole(temporary_directory: Path) -> None:
    message = random.Random(SEED).randbytes(16 << 20)
    async with asyncio.timeout(LIMIT), serving(echo, "unix", temporary_directory) as address:
        async with await ClientConnection.open(address) as connection:
            _, received = await asyncio.gather(connection.send_frame(message), connection.receive_frame())
            assert received == message


async def test_frame_of_the_largest_size_passes_and_one_byte_more_does_not(temporary_directory: Path) -> None:
    async with asyncio.timeout(LIMIT), serving(echo, "unix", temporary_directory) as address:
        async with await ClientConnection.open(address, max_frame_bytes=10) as connection:
            await connection.send_frame(bytes(10))
            assert await connection.receive_frame() == bytes(10)
            with pytest.raises(ProtocolError, match="11 bytes cannot be sent: the limit is 10") as caught:
                await connection.send_frame(bytes(11))
            assert caught.value.code == "grpc.message-too-large"
            assert connection.bytes_sent == 15, "nothing of it was sent"


BROKEN = {
    "oversize": (frame(bytes(1001)), "grpc.message-too-large", "1001 bytes cannot be received: the limit is 1000"),
    "huge": (b"\0\xff\xff\xff\xff", "grpc.message-too-large", "4294967295 bytes"),
    "compressed": (frame(b"x", flag=1), "grpc.frame-invalid", "is compressed, which was not agreed"),
    "other flag": (frame(b"x", flag=7), "grpc.frame-invalid", "unknown flag byte"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("before", [[], [b"one", b"two"]], ids=["first", "behind good ones"])
@pytest.mark.parametrize("stays", [True, False], ids=["peer waits", "peer closes"])
async def test_broken_frame_is_an_error_at_once_and_for_good(
    stays: bool, before: list[bytes], case: str, temporary_directory: Path
) -> None:
    broken, code, words = BROKEN[case]
    wire = b"".join(map(frame, before)) + broken
    async with hearing([wire], temporary_directory, stays=stays) as connection:
        for message in before:
            assert await connection.receive_frame() == message
        for _ in range(2):
            with pytest.raises(ProtocolError, match=words) as caught:
                await connection.receive_frame()
            assert caught.value.code == code


@pytest.mark.parametrize("kept", [1, 4, 5, 7])
async def test_end_inside_a_frame_is_an_error(kept: int, temporary_directory: Path) -> None:
    async with hearing([frame(b"whole"), frame(b"cut")[:kept]], temporary_directory) as connection:
        assert await connection.receive_frame() == b"whole"
        with pytest.raises(ProtocolError, match=f"inside a frame: {kept} bytes") as caught:
            await connection.receive_frame()
        assert caught.value.code == "grpc.frame-truncated"


async def test_cancelled_receive_loses_nothing(temporary_directory: Path) -> None:
    async with asyncio.timeout(LIMIT), serving(echo, "unix", temporary_directory) as address:
        async with await ClientConnection.open(address) as connection:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.receive_frame(), 0.01)
            await connection.send_data(frame(b"in two")[:6])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.receive_frame(), 0.01)
            await connection.send_data(frame(b"in two")[6:])
            assert await connection.receive_frame() == b"in two"
