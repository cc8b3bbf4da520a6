"""When the bytes of a connection are sent that its loop drives: at once, or with others of the same turn."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple

import pytest

from ferrule.client import ClientConnection
from integration.test_connection_ends import child
from integration.test_connection_frames import frame
from integration.thread_peers import Security, echo, received
from waiting import LIMIT

Run = Callable[[Coroutine[Any, Any, Any]], Any]

MESSAGES = [b"one", b"two", b"three", b"four"]
FRAMES = b"".join(map(frame, MESSAGES))
KIB = 1024
# Joined bytes that do not wait for the end of the turn.
BLOCK_BYTES = 64 * KIB


class Pair(NamedTuple):
    """A connection, and its peer on the same thread. While the peer waits for bytes, the loop stands still."""

    connection: ClientConnection
    peer: socket.socket


async def burst(connection: ClientConnection) -> None:
    """Sends frames without a turn of the loop between them."""
    for message in MESSAGES:
        await connection.send_frame(message)


@contextlib.asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT)
        connection = await ClientConnection.open(f"127.0.0.1:{listener.getsockname()[1]}")
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(LIMIT)
            async with connection:
                yield Pair(connection, peer)


def test_frame_goes_at_once(run: Run) -> None:
    async def main() -> None:
        async with pair() as (connection, peer):
            await connection.send_frame(b"first")
            assert received(peer, 10) == frame(b"first")

    run(main())


def test_answers_go_at_once(run: Run) -> None:
    async def main() -> None:
        async with pair() as (connection, peer):
            for number in range(100):
                message = b"%d" % number
                peer.sendall(frame(message))
                assert await connection.receive_frame() == message
                await connection.send_frame(message)
                assert received(peer, len(frame(message))) == frame(message)

    run(main())


def test_frames_of_one_turn_have_gone_at_its_end(run: Run) -> None:
    async def main() -> None:
        async with pair() as (connection, peer):
            for _ in range(20):
                await burst(connection)
                await asyncio.sleep(0)
                assert received(peer, len(FRAMES)) == FRAMES

    run(main())


def test_blocks_do_not_wait_for_the_end_of_the_turn(run: Run) -> None:
    messages = [os.urandom(4 * KIB) for _ in range(64)]
    expected = b"".join(map(frame, messages))

    async def main() -> None:
        async with pair() as (connection, peer):
            for message in messages:
                await connection.send_frame(message)
            early = received(peer, len(expected) - BLOCK_BYTES)
            await asyncio.sleep(0)
            assert early + received(peer, BLOCK_BYTES) == expected
            assert connection.bytes_sent == len(expected)

    run(main())


@pytest.mark.parametrize("large", [BLOCK_BYTES - 6, BLOCK_BYTES, 3 * BLOCK_BYTES])
def test_frames_behind_a_block_that_went_at_once_have_gone_at_the_end_of_the_turn(large: int, run: Run) -> None:
    messages = [b"head", os.urandom(large), b"tail", b"end"]
    expected = b"".join(map(frame, messages))

    async def main() -> None:
        async with pair() as (connection, peer):
            for _ in range(20):
                for message in messages:
                    await connection.send_frame(message)
                await asyncio.sleep(0)
                assert received(peer, len(expected)) == expected

    run(main())


def test_drain_without_a_buffer_returns_when_all_was_sent(run: Run) -> None:
    async def main() -> None:
        async with pair() as (connection, peer):
            connection.writer.transport.set_write_buffer_limits(0)
            for _ in range(20):
                for message in MESSAGES:
                    connection.writer.write(frame(message))
                await connection.writer.drain()
                assert connection.writer.transport.get_write_buffer_size() == 0
                assert received(peer, len(FRAMES)) == FRAMES

    run(main())


def test_bytes_and_the_writer_share_the_order_of_frames(run: Run) -> None:
    async def main() -> None:
        async with pair() as (connection, peer):
            await connection.send_frame(b"one")
            await connection.send_data(b"bytes")
            connection.writer.write(b"more")
            await connection.send_frame(b"two")
            connection.writer.write_eof()
            assert received(peer, 100) == frame(b"one") + b"bytesmore" + frame(b"two")

    run(main())


def test_frames_of_a_task_have_gone_when_its_waiters_hear_of_its_end(run: Run) -> None:
    """So the last frames of a program are sent, whose loop stops then."""

    async def main() -> None:
        async with pair() as (connection, peer):
            await asyncio.create_task(burst(connection))
            assert received(peer, len(FRAMES)) == FRAMES

    run(main())


@pytest.mark.parametrize("end", ["close", "abort", "forgotten"])
def test_frames_before_the_end_are_sent(end: str, run: Run, security: Security) -> None:
    async def main(address: str) -> None:
        connection = await security.open(address)
        await burst(connection)
        if end == "close":
            await connection.close()
        elif end == "abort":
            connection.writer.transport.abort()
            await connection.close()
        del connection
        gc.collect()

    def read_all(connection: Any) -> None:
        assert received(connection, len(FRAMES)) == FRAMES

    with security.served(read_all) as address:
        run(main(address))


def test_forked_child_leaves_joined_frames_to_its_parent(run: Run) -> None:
    async def main() -> None:
        async with pair() as (connection, peer):
            await burst(connection)
            with child() as fork:
                assert connection._transport is not None
                assert fork(connection._transport._flush_joined) == 0
                assert fork(connection._transport.abandon) == 0
            await asyncio.sleep(0)
            await connection.send_frame(b"last")
            assert received(peer, len(FRAMES) + 9) == FRAMES + frame(b"last")

    run(main())


async def send_for_ever(connection: ClientConnection) -> None:
    while True:
        await burst(connection)
        await asyncio.sleep(0)


def test_peer_that_is_gone_is_told_of_at_the_latest_in_the_next_turns(run: Run) -> None:
    async def main() -> None:
        async with pair() as (connection, peer):
            peer.close()
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(send_for_ever(connection), LIMIT)

    run(main())


def test_bursts_larger_than_all_buffers_come_back_in_order(run: Run, security: Security) -> None:
    async def main(address: str) -> None:
        messages = [number.to_bytes(4, "big") * (number % 1500) for number in range(5000)]

        async def send(connection: ClientConnection) -> None:
            for message in messages:
                await connection.send_frame(message)

        async with asyncio.timeout(LIMIT), await security.open(address) as connection:
            sending = asyncio.create_task(send(connection))
            for message in messages:
                assert await connection.receive_frame() == message
            await sending
            assert connection.bytes_sent == connection.bytes_received

    with security.served(echo) as address:
        run(main(address))
