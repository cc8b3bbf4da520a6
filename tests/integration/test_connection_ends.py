"""How a connection ends that its loop drives: resets, truncation, half-closes, forks, and forgetting it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import struct
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from ferrule.client import ClientConnection
from ferrule.errors import TransportError
from integration.test_connection_frames import frame
from integration.thread_peers import MIB, Security, echo, received
from waiting import LIMIT

Run = Callable[[Coroutine[Any, Any, Any]], Any]
KIB = 1 << 10


def test_reset_in_the_middle_of_a_frame_is_a_connection_error(run: Run, plaintext: Security) -> None:
    def reset(connection: Any) -> None:
        connection.sendall(frame(b"whole") + frame(b"cut")[:6])
        assert received(connection, 2) == b"go"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def main(address: str) -> None:
        async with await plaintext.open(address) as connection:
            assert await connection.receive_frame() == b"whole"
            waiting = asyncio.create_task(connection.receive_frame())
            await connection.send_data(b"go")
            for _ in range(2):
                with pytest.raises(ConnectionError):
                    await waiting
                waiting = asyncio.create_task(connection.receive_frame())
            await asyncio.wait([waiting])
            assert isinstance(waiting.exception(), ConnectionError)
            assert connection.is_closed
            with pytest.raises(ConnectionError):
                await connection.send_data(b"late")

    with plaintext.served(reset) as address:
        run(main(address))


def test_peer_that_is_gone_fails_the_sender(run: Run, security: Security) -> None:
    def leave(connection: Any) -> None:
        assert received(connection, 5) == b"\0\0\1\x86\xa0"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def main(address: str) -> None:
        async with await security.open(address) as connection:
            with pytest.raises(ConnectionError):  # noqa: PT012 - the kernel takes some before it knows.
                while True:
                    await connection.send_frame(bytes(100_000))
            assert connection.is_closed

    with security.served(leave) as address:
        run(main(address))


def test_tls_that_ends_without_a_word_is_truncated(run: Run, temporary_directory: Path) -> None:
    security = Security(temporary_directory)

    async def main(address: str) -> None:
        async with await security.open(address) as connection:
            assert await connection.receive_frame() == b"last"
            with pytest.raises(ConnectionError, match="close_notify"):
                await connection.receive_frame()

    with security.served(lambda connection: connection.sendall(frame(b"last"))) as address:
        run(main(address))


def test_tls_that_ends_in_order_is_an_end(run: Run, temporary_directory: Path) -> None:
    security = Security(temporary_directory)

    def part(connection: Any) -> None:
        connection.sendall(frame(b"last"))
        connection.unwrap()

    async def main(address: str) -> None:
        async with await security.open(address) as connection:
            assert await connection.receive_frame() == b"last"
            assert await connection.receive_frame() is None

    with security.served(part) as address:
        run(main(address))


def test_half_close_of_ours_leaves_the_other_direction_open(run: Run, plaintext: Security) -> None:
    def answer(connection: Any) -> None:
        request = b""
        while block := connection.recv(MIB):
            request += block
        connection.sendall(b"%d bytes" % len(request))

    async def main(address: str) -> None:
        async with await plaintext.open(address) as connection:
            connection.writer.write(bytes(4 * MIB))
            connection.writer.write_eof()
            assert await connection.receive_data() == b"%d bytes" % (4 * MIB)
            with pytest.raises(RuntimeError, match="write_eof"):
                await connection.send_frame(b"x")

    with plaintext.served(answer) as address:
        run(main(address))


def test_close_sends_what_is_unsent_while_the_peer_writes_before_it_reads(run: Run, security: Security) -> None:
    def write_then_read(connection: Any) -> None:
        connection.sendall(bytes(8 * MIB))
        with contextlib.suppress(ssl.SSLZeroReturnError):
            assert len(received(connection, 8 * MIB)) == 8 * MIB
            assert connection.recv(1) == b""

    async def main(address: str) -> None:
        connection = await security.open(address)
        connection.writer.write(bytes(8 * MIB))
        await connection.close()

    with security.served(write_then_read) as address:
        run(main(address))


@pytest.mark.parametrize("end", ["close", "write_eof"])
def test_end_of_tls_reaches_a_peer_whose_kernel_was_full(run: Run, end: str, temporary_directory: Path) -> None:
    """The kernel has taken all content, and has no room for the record that says so."""
    security, path = Security(temporary_directory), temporary_directory / "peer"
    may_read = threading.Event()

    def read_late(connection: Any) -> None:
        connection.suppress_ragged_eofs = False
        assert may_read.wait(LIMIT)
        while connection.recv(MIB):
            pass
        # Without this side's own record a client that still listens would be told of a broken connection.
        with contextlib.suppress(OSError):
            connection.unwrap()

    async def fill(address: str, limit: int) -> int:
        """Sends pieces until one has to wait, and returns how many did not; at most `limit`, and then the end."""
        may_read.clear()
        connection = await security.open(address)
        count = 0
        while count < limit:
            connection.writer.write(bytes(KIB))
            # What was joined with others goes at the end of the loop's turn.
            await asyncio.sleep(0)
            if connection.writer.transport.get_write_buffer_size() > 0:
                break
            count += 1
        else:
            getattr(connection.writer, end)()
        asyncio.get_running_loop().call_soon(may_read.set)
        await connection.close()
        await connection.writer.wait_closed()
        return count

    with security.served(read_late, path) as address:
        count = run(fill(address, 1 << 20))
    assert count * KIB > 64 * KIB, "the kernel was not full"
    with security.served(read_late, path) as address:
        assert run(fill(address, count)) == count


@pytest.mark.parametrize(("receive", "end"), [("receive_frame", None), ("receive_data", b"")])
def test_local_close_ends_a_receiver_that_waits(run: Run, security: Security, receive: str, end: bytes | None) -> None:
    async def main(address: str) -> None:
        connection = await security.open(address)
        waiting = asyncio.create_task(getattr(connection, receive)())
        await asyncio.sleep(0)
        await connection.close()
        assert await waiting == end

    with security.served(echo) as address:
        run(main(address))


def test_coroutine_that_is_closed_while_it_opens_leaves_no_error_behind(run: Run, temporary_directory: Path) -> None:
    security = Security(temporary_directory)

    async def main(address: str) -> None:
        opening = security.open(address)
        opening.send(None)
        opening.close()
        # What the core says of the first comes before its answer to the second.
        with pytest.raises(TransportError):
            await ClientConnection.open("127.0.0.1:1")
        gc.collect()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        run(main(f"127.0.0.1:{silent.getsockname()[1]}"))


@contextlib.contextmanager
def child() -> Iterator[Callable[[Callable[[], None]], int]]:
    """Runs a function in a forked child; the status is 0 if it returned."""

    def fork(work: Callable[[], None]) -> int:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work()
                status = 0
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    yield fork


def test_forked_child_can_neither_send_nor_receive_nor_disturb(run: Run, security: Security) -> None:
    async def main(address: str) -> None:
        async with await security.open(address) as connection:
            connections = [connection]

            def misuse() -> None:
                for use in (connection.send_frame(b"x"), connection.send_data(b"x"), connection.receive_frame()):
                    with pytest.raises(RuntimeError, match="fork"):
                        use.send(None)
                connection.writer.transport.abort()
                connections.clear()
                gc.collect()

            with child() as fork:
                assert fork(misuse) == 0
            await connection.send_frame(b"parent")
            assert await connection.receive_frame() == b"parent"

    with security.served(echo) as address:
        run(main(address))


def test_forked_child_says_nothing_of_connections_that_are_the_parents(
    run: Run, plaintext: Security, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(address: str) -> None:
        connections = [await plaintext.open(address)]

        def forget() -> None:
            connections.clear()
            gc.collect()
            assert caplog.records == []

        with child() as fork:
            assert fork(forget) == 0
        await connections[0].close()

    with plaintext.served(echo) as address:
        run(main(address))


@pytest.mark.parametrize("ends", [True, False], ids=["loop closed", "loop alive"])
def test_connection_with_a_receiver_is_collected_with_its_loop(ends: bool, plaintext: Security) -> None:
    """Nothing keeps it: neither the loop that waited for its socket, nor the receiver that waited for the loop."""
    with plaintext.served(echo) as address:
        loop = asyncio.new_event_loop()
        connection = loop.run_until_complete(plaintext.open(address))
        forgotten = weakref.ref(connection)
        receiving = connection.receive_frame()
        receiving.send(None)
        if ends:
            loop.close()
        del connection, receiving
        gc.collect()
        assert forgotten() is None
        if not ends:
            loop.close()
