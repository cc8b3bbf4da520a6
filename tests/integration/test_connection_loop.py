"""A connection that its loop drives, on loops of both kinds: order, turns, cancellation, floods."""

from __future__ import annotations

import asyncio
import contextlib
import operator
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any
from unittest.mock import Mock

import pytest

from ferrule.client import ClientConnection
from ferrule.errors import ProtocolError
from integration.test_connection_frames import frame
from integration.thread_peers import MIB, Security, echo, received
from waiting import LIMIT, until

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def test_frames_and_the_reader_take_turns_and_nothing_is_lost(run: Run, security: Security) -> None:
    def speak(connection: Any) -> None:
        connection.sendall(frame(b"one") + b"a line\n" + frame(b"two") + b"raw!")
        connection.sendall(frame(b"three"))

    async def main(address: str) -> None:
        async with await security.open(address) as connection:
            assert await connection.receive_frame() == b"one"
            assert await connection.reader.readline() == b"a line\n"
            assert await connection.receive_frame() == b"two"
            assert await connection.receive_data(3) == b"raw"
            assert await connection.reader.readexactly(1) == b"!"
            assert await connection.receive_frame() == b"three"
            assert connection.bytes_received == len(frame(b"one") + frame(b"two") + frame(b"three")) + 3

    with security.served(speak) as address:
        run(main(address))


def test_frames_go_to_and_fro(run: Run, security: Security) -> None:
    async def main(address: str) -> None:
        async with await security.open(address) as connection:
            for size in [0, 1, 64, 5000, 300_000, 3 * MIB, 1] * 3:
                message = os.urandom(size)
                _, answer = await asyncio.gather(connection.send_frame(message), connection.receive_frame())
                assert answer == message
            assert connection.bytes_sent == connection.bytes_received

    with security.served(echo) as address:
        run(main(address))


def test_early_words_of_a_peer_are_received(run: Run, security: Security) -> None:
    async def main(address: str) -> None:
        async with await security.open(address) as connection:
            assert await connection.receive_frame() == b"hello"

    with security.served(lambda connection: connection.sendall(frame(b"hello"))) as address:
        run(main(address))


@pytest.mark.parametrize("receive", ["receive_frame", "receive_data"])
def test_cancelled_receivers_lose_nothing(run: Run, security: Security, receive: str) -> None:
    async def main(address: str) -> None:
        async with await security.open(address) as connection:
            take = getattr(connection, receive)
            waiting = asyncio.create_task(take())
            await asyncio.sleep(0)
            assert waiting.cancel("enough")
            with pytest.raises(asyncio.CancelledError):
                await waiting
            # In the turn in which the answer comes, too.
            waiting = asyncio.create_task(take())
            await connection.send_frame(b"answer")
            await until(lambda: connection.writer.transport.traffic[1] > 0 or waiting.done())
            if not waiting.done():
                waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                assert await waiting in (b"answer", frame(b"answer"))
                return
            assert await take() in (b"answer", frame(b"answer"))

    with security.served(echo) as address:
        run(main(address))


def test_receiver_that_is_cancelled_twice_or_closed_leaves_its_place(run: Run, plaintext: Security) -> None:
    async def main(address: str) -> None:
        async with await plaintext.open(address) as connection:
            twice = asyncio.create_task(connection.receive_frame())
            await asyncio.sleep(0)
            twice.cancel()
            twice.cancel()
            with pytest.raises(asyncio.CancelledError):
                await twice
            closed = connection.receive_frame()
            closed.send(None)
            closed.close()
            thrown = connection.receive_frame()
            thrown.send(None)
            with pytest.raises(KeyError):
                thrown.throw(KeyError("x"))
            await connection.send_frame(b"still")
            assert await connection.receive_frame() == b"still"

    with plaintext.served(echo) as address:
        run(main(address))


def test_second_receiver_is_refused_while_one_waits(run: Run, plaintext: Security) -> None:
    async def main(address: str) -> None:
        async with await plaintext.open(address) as connection:
            first = asyncio.create_task(connection.receive_frame())
            await asyncio.sleep(0)
            for second in (connection.receive_frame(), connection.receive_data(), connection.reader.read(1)):
                with pytest.raises(RuntimeError, match="already waiting"):
                    await second
            await connection.send_frame(b"x")
            assert await first == b"x"

    with plaintext.served(echo) as address:
        run(main(address))


@pytest.mark.parametrize("second", ["receive_frame", "receive_data", "reader.read", "reader.readexactly"])
def test_second_receiver_takes_nothing_from_the_first(run: Run, security: Security, second: str) -> None:
    """Though the bytes are there, and the loop has not told the first yet."""

    async def main(address: str) -> None:
        async with await security.open(address) as connection:
            first = asyncio.create_task(connection.receive_frame())
            await asyncio.sleep(0)
            await connection.send_data(frame(b"one") + frame(b"two"))
            # Waits without a turn of the loop.
            assert select.select([connection.writer.transport.stream.fileno()], [], [], LIMIT)[0]
            with pytest.raises(RuntimeError, match="already waiting"):
                await operator.attrgetter(second)(connection)(*([] if second == "receive_frame" else [1]))
            assert [await first, await connection.receive_frame()] == [b"one", b"two"]

    with security.served(echo) as address:
        run(main(address))


@pytest.mark.parametrize("receive", ["receive_frame", "receive_data"])
def test_loop_that_refuses_to_watch_leaves_no_receiver_behind(
    plaintext: Security, receive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(address: str) -> None:
        async with asyncio.timeout(LIMIT), await plaintext.open(address) as connection:
            connection.writer.transport.pause_reading()
            with monkeypatch.context() as patch:
                # As the system does at its bound for watched descriptors.
                patch.setattr(asyncio.get_running_loop(), "add_reader", Mock(side_effect=OSError(28, "no space")))
                with pytest.raises(OSError, match="no space"):
                    connection.writer.transport.resume_reading()
                with pytest.raises(OSError, match="no space"):
                    await getattr(connection, receive)()
            await connection.send_frame(b"x")
            assert await getattr(connection, receive)() in (b"x", frame(b"x"))

    with plaintext.served(echo) as address:
        asyncio.run(main(address))


def test_a_task_goes_on_with_its_own_context_and_as_itself(run: Run, plaintext: Security) -> None:
    async def main(address: str) -> None:
        async with await plaintext.open(address) as connection:
            me = asyncio.current_task()
            await connection.send_frame(b"x")
            await connection.receive_frame()
            assert asyncio.current_task() is me
            async with asyncio.timeout(LIMIT):
                await asyncio.gather(connection.receive_frame(), connection.send_frame(b"y"))

    with plaintext.served(echo) as address:
        run(main(address))


def test_flood_does_not_starve_the_loop(run: Run, security: Security) -> None:
    messages, size = 1024, 32 * 1024

    def pour(connection: Any) -> None:
        for _ in range(messages):
            connection.sendall(frame(bytes(size)))

    async def main(address: str) -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with await security.open(address) as connection:
            counting = asyncio.create_task(count())
            for _ in range(messages):
                assert len(await connection.receive_frame() or b"") == size
            counting.cancel()
            # No turn reads more than two bounds, one in the loop's call and one in the receiver's.
            assert turns >= messages * size // (1 * MIB)

    with security.served(pour) as address:
        run(main(address))


def test_flood_that_nobody_reads_is_left_in_the_kernel(run: Run, security: Security) -> None:
    def pour(connection: Any) -> None:
        connection.sendall(bytes(16 * MIB))

    async def main(address: str) -> None:
        async with await security.open(address) as connection:
            await until(lambda: not connection.writer.transport.is_watching)
            assert 0 < connection.writer.transport.stream.unread < MIB
            assert len(await connection.reader.readexactly(16 * MIB)) == 16 * MIB

    with security.served(pour) as address:
        run(main(address))


def test_what_came_while_the_loop_was_blocked_comes_out_whole(run: Run, security: Security) -> None:
    done = threading.Event()

    def speak(connection: Any) -> None:
        for number in range(1000):
            connection.sendall(frame(b"%d" % number))
        connection.shutdown(socket.SHUT_WR)
        done.set()
        while connection.recv(100):
            pass

    async def main(address: str) -> None:
        async with await security.open(address) as connection:
            assert done.wait(LIMIT)  # Blocks the loop on purpose.
            for number in range(1000):
                assert await connection.receive_frame() == b"%d" % number
            if security.client is None:
                assert await connection.receive_frame() is None

    with security.served(speak) as address:
        run(main(address))


def test_cancelled_sender_has_sent_everything_once(run: Run, security: Security) -> None:
    may_read = threading.Event()

    def read_late(connection: Any) -> None:
        assert may_read.wait(LIMIT)
        assert received(connection, 8 * MIB + 5 + 4) == frame(bytes(8 * MIB)) + b"more"

    async def main(address: str) -> None:
        async with await security.open(address) as connection:
            sending = asyncio.create_task(connection.send_frame(bytes(8 * MIB)))
            await until(lambda: connection.writer.transport.get_write_buffer_size() > 0)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert connection.bytes_sent == 0
            may_read.set()
            await connection.send_data(b"more")

    with security.served(read_late) as address:
        run(main(address))


def test_large_messages_are_sent_out_of_the_callers_bytes(run: Run, plaintext: Security) -> None:
    may_read = threading.Event()

    def read_late(connection: Any) -> None:
        assert may_read.wait(LIMIT)
        assert len(received(connection, 8 * MIB + 5)) == 8 * MIB + 5

    async def main(address: str) -> None:
        message = bytes(8 * MIB)
        before = sys.getrefcount(message)
        async with await plaintext.open(address) as connection:
            sending = asyncio.create_task(connection.send_frame(message))
            await until(lambda: connection.writer.transport.get_write_buffer_size() > 0)
            assert sys.getrefcount(message) > before
            may_read.set()
            await sending
        del sending
        assert sys.getrefcount(message) == before

    with plaintext.served(read_late) as address:
        run(main(address))


def test_subclasses_and_injected_functions_are_honoured(run: Run, plaintext: Security) -> None:
    class Shouting(ClientConnection):
        async def send_data(self, data: bytes) -> None:
            await super().send_data(data.upper())

        async def receive_data(self, size: int | None = None) -> bytes:
            return (await super().receive_data(size)).replace(b"L", b"l")

    async def main(address: str) -> None:
        async with await Shouting.open(address) as connection:
            await connection.send_frame(b"hello")
            assert await connection.receive_frame() == b"HEllO"
            assert connection.bytes_sent == connection.bytes_received == 10
            sent: list[bytes] = []

            async def send(data: bytes) -> None:
                sent.append(data)

            connection.send_func = send
            await connection.send_frame(b"x")
            assert sent == [frame(b"X")]

    with plaintext.served(echo) as address:
        run(main(address))


def test_function_that_is_injected_late_continues_where_frames_ended(run: Run, plaintext: Security) -> None:
    async def main(address: str) -> None:
        async with await plaintext.open(address) as connection:
            await connection.send_data(frame(b"one") + frame(b"two") + frame(b"three"))
            assert await connection.receive_frame() == b"one"

            async def receive(size: int) -> bytes:
                data: bytes = await connection.reader.read(size)
                return data.replace(b"w", b"W")

            connection.receive_func = receive
            assert await connection.receive_frame() == b"tWo"
            connection.receive_func = None
            assert await connection.receive_frame() == b"three"

    with plaintext.served(echo) as address:
        run(main(address))


def test_broken_frame_behind_good_ones(run: Run, plaintext: Security) -> None:
    async def main(address: str) -> None:
        async with await plaintext.open(address) as connection:
            assert await connection.receive_frame() == b"good"
            for _ in range(2):
                with pytest.raises(ProtocolError, match="unknown flag byte"):
                    await connection.receive_frame()

    with plaintext.served(lambda connection: connection.sendall(frame(b"good") + frame(b"x", flag=9))) as address:
        run(main(address))


def test_lines_that_are_too_long_are_dropped_as_asyncio_does(run: Run, plaintext: Security) -> None:
    def speak(connection: Any) -> None:
        connection.sendall(b"x" * 100_000 + b"\nshort\n" + b"rest")

    async def main(address: str) -> None:
        async with await plaintext.open(address) as connection:
            with pytest.raises(ValueError, match="limit"):
                await connection.reader.readline()
            while (line := await connection.reader.readline()) != b"short\n":
                assert set(line) <= set(b"x\n")
            assert await connection.reader.readline() == b"rest"
            assert await connection.reader.readline() == b""

    with plaintext.served(speak) as address:
        run(main(address))


def test_paused_transport_reads_nothing_until_it_is_resumed(run: Run, plaintext: Security) -> None:
    async def main(address: str) -> None:
        async with await plaintext.open(address) as connection:
            transport = connection.writer.transport
            transport.pause_reading()
            assert not transport.is_reading()
            waiting = asyncio.create_task(connection.receive_frame())
            await connection.send_frame(b"x")
            done, _ = await asyncio.wait([waiting], timeout=0.05)
            assert not done
            transport.resume_reading()
            assert await waiting == b"x"

    with plaintext.served(echo) as address:
        run(main(address))
