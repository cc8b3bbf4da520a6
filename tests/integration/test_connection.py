"""ClientConnection itself, on asyncio's streams, on injected functions and on the Rust transport."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ferrule.client import ClientConnection
from integration.stream_peers import NETWORKS, echo, serving, swallow
from waiting import LIMIT

LOGGER = "ferrule.client.connection"


async def on_asyncio_streams(address: str) -> ClientConnection:
    if address.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
    return ClientConnection(reader, writer, address)


WAYS: dict[str, Callable[[str], Awaitable[ClientConnection]]] = {
    "asyncio": on_asyncio_streams,
    "rust": ClientConnection.open,
}


class Streams:
    """Stands for a reader and a writer that must not be touched beyond being closed."""

    def __init__(self, failure: Exception | None = None, at: str = "wait_closed") -> None:
        self.closes = 0
        self._failures = {at: failure}

    def is_closing(self) -> bool:
        return self.closes > 0

    def close(self) -> None:
        self.closes += 1
        self._fail("close")

    async def wait_closed(self) -> None:
        self._fail("wait_closed")

    def _fail(self, place: str) -> None:
        if failure := self._failures.get(place):
            raise failure


def unconnected(address: str = "peer", **arguments: Any) -> ClientConnection:
    streams = Streams()
    return ClientConnection(streams, streams, address, **arguments)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("way", WAYS)
async def test_data_goes_both_ways_and_is_counted(way: str, network: str, temporary_directory: Path) -> None:
    async with asyncio.timeout(LIMIT), serving(echo, network, temporary_directory) as address:
        async with await WAYS[way](address) as connection:
            await connection.send_data(b"hello")
            assert await connection.receive_data() == b"hello"
            await connection.send_data(b"0123456789")
            assert await connection.receive_data(4) == b"0123"
            assert await connection.receive_data(size=100) == b"456789"
            assert (connection.bytes_sent, connection.bytes_received) == (15, 15)
        assert connection.is_closed


@pytest.mark.parametrize("way", WAYS)
async def test_receives_at_most_16384_bytes_unless_told(way: str, temporary_directory: Path) -> None:
    async with asyncio.timeout(LIMIT), serving(echo, "unix", temporary_directory) as address:
        async with await WAYS[way](address) as connection:
            await connection.send_data(bytes(100_000))
            sizes = []
            while connection.bytes_received < 100_000:
                sizes.append(len(await connection.receive_data()))
            assert max(sizes) == 16384


@pytest.mark.parametrize("way", WAYS)
async def test_end_of_input_is_an_empty_answer(way: str, temporary_directory: Path) -> None:
    async def say_goodbye(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")

    async with asyncio.timeout(LIMIT), serving(say_goodbye, "tcp", temporary_directory) as address:
        async with await WAYS[way](address) as connection:
            assert await connection.receive_data() == b"bye"
            assert await connection.receive_data() == b""
            assert await connection.receive_data() == b""
            assert connection.bytes_received == 3


async def test_counters_start_where_told_and_can_be_added_to() -> None:
    connection = unconnected(bytes_sent=10, bytes_received=20)
    connection.update_metrics(bytes_sent=1)
    connection.update_metrics(bytes_received=2)
    connection.update_metrics(3, 4)
    connection.update_metrics()
    assert (connection.bytes_sent, connection.bytes_received) == (14, 26)
    await connection.close()


async def test_injected_functions_are_used_instead_of_the_streams() -> None:
    sent: list[bytes] = []
    asked: list[int] = []

    async def send(data: bytes) -> None:
        sent.append(data)

    async def receive(size: int) -> bytes:
        asked.append(size)
        return b"injected"

    connection = unconnected(send_func=send, receive_func=receive)
    await connection.send_data(b"out")
    assert await connection.receive_data() == b"injected"
    assert await connection.receive_data(7) == b"injected"
    await connection.send_frame(b"framed")
    assert sent == [b"out", b"\0\0\0\0\x06framed"]
    assert asked == [16384, 7]
    assert (connection.bytes_sent, connection.bytes_received) == (0, 0), "they count for themselves"
    await connection.close()
    with pytest.raises(ConnectionError):
        await connection.send_data(b"late")
    assert len(sent) == 2


def test_defaults_are_the_methods_of_the_known_names() -> None:
    connection = unconnected()
    assert connection.send_func == connection._default_send
    assert connection.receive_func == connection._default_receive
    connection._closed = True  # It was never open: nothing to warn about.


@pytest.mark.parametrize("way", WAYS)
async def test_closed_connection_refuses_and_names_the_peer(way: str, temporary_directory: Path) -> None:
    async with asyncio.timeout(LIMIT), serving(echo, "unix", temporary_directory) as address:
        async with await WAYS[way](address) as connection:
            assert not connection.is_closed
            await connection.close()
            assert connection.is_closed
            await connection.close()
            operations = (
                connection.send_data(b"x"),
                connection.receive_data(),
                connection.send_frame(b"x"),
                connection.receive_frame(),
            )
            for operation in operations:
                with pytest.raises(ConnectionError, match=address.removeprefix("unix:")):
                    await operation


@pytest.mark.parametrize("at", ["close", "wait_closed"])
@pytest.mark.parametrize("failure", [ConnectionResetError("gone"), RuntimeError("gone"), ValueError("gone")])
async def test_close_closes_the_writer_once_and_swallows_its_failure(
    failure: Exception, at: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    streams = Streams(failure, at)
    connection = ClientConnection(streams, streams, "peer")
    await asyncio.gather(connection.close(), connection.close())
    await connection.close()
    assert (streams.closes, connection.is_closed) == (1, True)
    assert repr(failure) in caplog.text


async def test_closed_writer_means_a_closed_connection() -> None:
    streams = Streams()
    connection = ClientConnection(streams, streams, "peer")
    streams.close()
    assert connection.is_closed
    with pytest.raises(ConnectionError):
        await connection.send_data(b"x")
    await connection.close()
    assert streams.closes == 1


async def test_equality_and_hash_are_those_of_the_object() -> None:
    streams = Streams()
    one, other = (ClientConnection(streams, streams, "same") for _ in range(2))
    assert one == one  # noqa: PLR0124
    assert one != other
    assert one != "same"
    assert {one, other, one} == {one, other}
    before = hash(one)
    one.update_metrics(1, 1)
    await one.close()
    assert hash(one) == before
    await other.close()


async def test_repr_says_what_it_is_and_how_it_is() -> None:
    connection = unconnected("10.0.0.1:99", bytes_sent=1, bytes_received=2)
    assert repr(connection) == "<ClientConnection to 10.0.0.1:99: open, 1 bytes sent, 2 received>"
    await connection.close()
    assert "closed" in repr(connection)


async def test_forgotten_connection_warns_and_is_closed(
    temporary_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # The peer's handler returns when it sees the end, and serving() waits for it.
    async with asyncio.timeout(LIMIT), serving(swallow, "unix", temporary_directory) as address:
        connection = await ClientConnection.open(address)
        await connection.send_data(b"x")
        with caplog.at_level(logging.WARNING, LOGGER):
            del connection
            gc.collect()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "was never closed" in caplog.text
    assert "peer.sock" in caplog.text


async def test_closed_connection_is_collected_without_a_word(
    temporary_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(LIMIT), serving(swallow, "unix", temporary_directory) as address:
        connection = await ClientConnection.open(address)
        await connection.close()
        del connection
        gc.collect()
    assert caplog.records == []


def test_failed_constructor_leaves_nothing_to_warn_about(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TypeError):
        ClientConnection()  # type: ignore[call-arg]
    gc.collect()
    assert caplog.records == []


@pytest.mark.parametrize("way", WAYS)
def test_connection_forgotten_after_its_loop_warns_and_does_not_raise(
    way: str, temporary_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = temporary_directory / "peer.sock"
    with socket.socket(socket.AF_UNIX) as peer:
        peer.bind(str(path))
        peer.listen()
        connection: ClientConnection = asyncio.run(WAYS[way](f"unix:{path}"))  # type: ignore[arg-type]
        path.unlink()
        with caplog.at_level(logging.WARNING, LOGGER), contextlib.ExitStack() as stack:
            if way == "asyncio":
                # asyncio's own streams say so themselves.
                stack.enter_context(pytest.warns(ResourceWarning))
            del connection
            gc.collect()
    assert "was never closed" in caplog.text
