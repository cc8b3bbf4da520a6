"""What is printed waits for the host without ever stopping the event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator

import pytest

from ferrule.server import stdio
from ferrule.server.stdio import CAPACITY_BYTES, LIMIT_BYTES, PIECE_BYTES, STDERR, STDOUT, Output
from waiting import LIMIT


async def read(pieces: AsyncIterator[tuple[int, bytes]], size: int) -> list[tuple[int, bytes]]:
    """Pieces of so many bytes."""
    found: list[tuple[int, bytes]] = []
    async with asyncio.timeout(LIMIT):
        while sum(len(data) for _, data in found) < size:
            found.append(await anext(pieces))
    return found


async def rest(output: Output) -> list[tuple[int, bytes]]:
    """All pieces until the output ends."""
    async with asyncio.timeout(LIMIT):
        return [piece async for piece in output.pieces()]


async def test_order_is_kept_across_channels_in_pieces_of_a_kilobyte() -> None:
    output = Output()
    output.write(STDOUT, b"a" * 2500)
    output.write(STDERR, b"b")
    output.write(STDERR, b"c")
    output.write(STDOUT, b"d" * 1024)
    output.finish()
    pieces = await rest(output)
    assert [(channel, len(data)) for channel, data in pieces] == [(1, 1024), (1, 1024), (1, 452), (2, 2), (1, 1024)]


async def test_small_writes_are_put_together() -> None:
    output = Output()
    for _ in range(10_000):
        output.write(STDOUT, b"12345")
    output.finish()
    pieces = await rest(output)
    assert b"".join(data for _, data in pieces) == b"12345" * 10_000
    assert max(len(data) for _, data in pieces) <= PIECE_BYTES
    assert len(pieces) < 60


async def test_a_reader_hears_of_what_comes_later_from_any_thread() -> None:
    output = Output()
    pieces = output.pieces()
    reading = asyncio.ensure_future(read(pieces, 10))
    await asyncio.sleep(0)
    output.write(STDOUT, b"12345")
    await asyncio.to_thread(output.write, STDERR, b"12345")
    assert [channel for channel, _ in await reading] == [STDOUT, STDERR]
    await pieces.aclose()  # type: ignore[attr-defined]


async def test_two_readers_share() -> None:
    output = Output()
    one, other = output.pieces(), output.pieces()
    output.write(STDOUT, b"x" * 2048)
    assert [len(data) for _, data in [await anext(one), await anext(other)]] == [1024, 1024]
    output.finish()
    assert [piece async for piece in one] == [piece async for piece in other] == []


async def test_the_loops_own_thread_never_waits() -> None:
    output = Output()
    output.write(STDOUT, b"x" * 3 * CAPACITY_BYTES)
    output.finish()
    assert sum(len(data) for _, data in await rest(output)) == 3 * CAPACITY_BYTES


async def test_other_threads_wait_for_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "PATIENCE_SECONDS", LIMIT)
    output = Output()
    writing = asyncio.create_task(asyncio.to_thread(output.write, STDOUT, b"x" * 10 * CAPACITY_BYTES))
    pieces = output.pieces()
    taken = len(await read(pieces, CAPACITY_BYTES))
    # The writer is at most its capacity ahead, so most of it is still to come.
    assert not writing.done()
    taken += len(await read(pieces, 9 * CAPACITY_BYTES))
    await asyncio.wait_for(writing, LIMIT)
    assert taken == 10 * CAPACITY_BYTES / PIECE_BYTES
    await pieces.aclose()  # type: ignore[attr-defined]


async def test_other_threads_are_released_by_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "PATIENCE_SECONDS", 10 * LIMIT)
    output = Output()
    output.write(STDOUT, b"x" * CAPACITY_BYTES)
    begun = threading.Event()

    def write() -> None:
        begun.set()
        output.write(STDOUT, b"y")

    writing = asyncio.create_task(asyncio.to_thread(write))
    assert await asyncio.to_thread(begun.wait, LIMIT)
    output.finish()
    await asyncio.wait_for(writing, LIMIT)
    assert b"".join(data for _, data in await rest(output)).endswith(b"y")


async def test_patience_ends_once_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    # The loop may be waiting for a lock that the writer holds: it must be let go, and nothing is lost.
    monkeypatch.setattr(stdio, "PATIENCE_SECONDS", 0.01)
    output = Output()
    thread = threading.Thread(target=output.write, args=(STDOUT, b"x" * 10 * CAPACITY_BYTES))
    thread.start()
    thread.join(LIMIT)
    assert not thread.is_alive()
    output.finish()
    assert sum(len(data) for _, data in await rest(output)) == 10 * CAPACITY_BYTES


async def test_host_that_fetches_nothing_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "PATIENCE_SECONDS", 0.2)
    output = Output()
    output.write(STDOUT, b"x" * CAPACITY_BYTES)

    def seconds_of_writing() -> float:
        begun = time.monotonic()
        for _ in range(100):
            output.write(STDOUT, b"y" * 100)
        return time.monotonic() - begun

    assert 0.2 <= await asyncio.to_thread(seconds_of_writing) < 2
    assert await asyncio.to_thread(seconds_of_writing) < 0.2
    # It is there again, and has its time.
    pieces = output.pieces()
    await read(pieces, 1)
    assert await asyncio.to_thread(seconds_of_writing) >= 0.2
    await pieces.aclose()  # type: ignore[attr-defined]


async def test_memory_is_bounded_and_loss_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    output = Output()
    for _ in range(20):
        output.write(STDOUT, b"x" * (1 << 20))
    losses = [record for record in caplog.records if "output is lost" in record.getMessage()]
    assert [record.levelno for record in losses] == [logging.WARNING]
    output.finish()
    assert sum(len(data) for _, data in await rest(output)) == LIMIT_BYTES


def test_printing_after_the_end_of_the_loop_is_harmless() -> None:
    async def begin_to_read() -> tuple[Output, AsyncIterator[tuple[int, bytes]]]:
        output = Output()
        pieces = output.pieces()
        output.write(STDOUT, b"first")
        await anext(pieces)
        return output, pieces

    loop = asyncio.new_event_loop()
    # Held, since a reader that nobody holds is no reader.
    output, _pieces = loop.run_until_complete(begin_to_read())
    loop.close()
    output.write(STDOUT, b"late")
