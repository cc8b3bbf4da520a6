"""ClientConnection.open: addresses, and a reader and a writer that behave as asyncio's do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ferrule._validation import shown
from ferrule.client import ClientConnection
from ferrule.errors import ConfigError, TransportError
from integration.certificates import self_signed
from integration.stream_peers import NETWORKS, echo, serving, swallow
from waiting import LIMIT

MIB = 1 << 20


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


async def answered(address: str) -> bytes:
    async with await ClientConnection.open(address) as connection:
        await connection.send_data(b"ping")
        return await connection.receive_data()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6"))]
)
async def test_opens_ip_addresses(host: str, temporary_directory: Path) -> None:
    async with asyncio.timeout(LIMIT), serving(echo, "tcp", temporary_directory, host=host) as address:
        assert await answered(address) == b"ping"


async def test_opens_a_path_with_and_without_its_prefix(temporary_directory: Path) -> None:
    async with asyncio.timeout(LIMIT), serving(echo, "unix", temporary_directory) as address:
        assert await answered(address) == b"ping"
        assert await answered(address.removeprefix("unix:")) == b"ping"


async def test_tries_every_address_of_a_name(temporary_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asyncio.timeout(LIMIT), serving(echo, "tcp", temporary_directory) as address:
        port = int(address.rpartition(":")[2])

        # As a machine does whose "localhost" is ::1 first, while the peer listens on IPv4 only.
        async def getaddrinfo(host: str, asked: int, **_hints: object) -> list[tuple[object, ...]]:
            assert (host, asked) == ("some.name", port)
            stream = (socket.SOCK_STREAM, 6, "")
            return [(socket.AF_INET6, *stream, ("::1", port, 0, 0)), (socket.AF_INET, *stream, ("127.0.0.1", port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        assert await answered(f"some.name:{port}") == b"ping"


async def test_zone_of_a_link_local_address_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(_host: str, port: int, **_hints: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", port, 0, 1))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    # Nobody listens there; the error names what was dialled.
    with pytest.raises(TransportError, match=r"\[fe80::1%1\]:1"):
        await ClientConnection.open("fe80::1%lo:1")


async def test_opens_localhost(temporary_directory: Path) -> None:
    async with asyncio.timeout(LIMIT), serving(echo, "tcp", temporary_directory) as address:
        assert await answered(address.replace("127.0.0.1", "localhost")) == b"ping"


@pytest.mark.parametrize(
    "address",
    [
        *("", "nonsense", "host:", ":1234", "host:http", "host:-1", "host:65536", "host:\u0661"),
        pytest.param(f"host:{'1' * 5000}", id="long port"),
        *("unix:/\ud800", "ho\ud800st:80", b"unix:/x", Path("/x"), None),
    ],
)
async def test_address_of_no_known_form_is_refused(address: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        await ClientConnection.open(address)
    assert shown(address) in caught.value.message
    assert "HOST:PORT" in caught.value.message


UNREACHABLE: dict[str, Callable[[Path], str]] = {
    "no socket": lambda directory: f"unix:{directory}/missing.sock",
    "path too long": lambda directory: f"unix:{directory}/{'x' * 200}",
    "NUL in path": lambda directory: f"unix:{directory}/a\0b",
    "nobody listens": lambda _directory: "127.0.0.1:1",
    "no such host": lambda _directory: "name.invalid:80",
    "no DNS name": lambda _directory: f"{'x' * 64}.invalid:80",
}


@pytest.mark.parametrize("case", UNREACHABLE)
async def test_peer_out_of_reach_is_a_transport_error(case: str, temporary_directory: Path) -> None:
    async with asyncio.timeout(LIMIT):
        with pytest.raises(TransportError) as caught:
            await ClientConnection.open(UNREACHABLE[case](temporary_directory))
    assert caught.value.code == "connect.failed"


async def test_cancelled_open_lets_go_of_its_socket(temporary_directory: Path) -> None:
    """Before TLS has answered, the connection hangs in the core."""
    asked, gone = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(5)
        asked.set()
        await swallow(reader, writer)
        gone.set()

    async with asyncio.timeout(LIMIT), serving(silent, "unix", temporary_directory) as address:
        opening = asyncio.create_task(ClientConnection.open(address, tls={"ca": self_signed().certificate_pem}))
        await asked.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await gone.wait()


@pytest.mark.parametrize("network", NETWORKS)
async def test_reader_offers_what_asyncios_does(network: str, temporary_directory: Path) -> None:
    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"a line\nexactlyuntil;rest")

    async with asyncio.timeout(LIMIT), serving(speak, network, temporary_directory) as address:
        async with await ClientConnection.open(address) as connection:
            reader = connection.reader
            assert await reader.readline() == b"a line\n"
            assert await reader.readexactly(7) == b"exactly"
            assert await reader.readuntil(b";") == b"until;"
            assert not reader.at_eof()
            assert await reader.read() == b"rest"
            assert reader.at_eof()
            with pytest.raises(asyncio.IncompleteReadError):
                await reader.readexactly(1)


@pytest.mark.parametrize("network", NETWORKS)
async def test_writer_offers_what_asyncios_does(network: str, temporary_directory: Path) -> None:
    async with asyncio.timeout(LIMIT), serving(echo, network, temporary_directory) as address:
        async with await ClientConnection.open(address) as connection:
            writer = connection.writer
            writer.write(b"one ")
            writer.write(bytearray(b"two "))
            writer.write(memoryview(b"three "))
            writer.write(b"")
            writer.writelines([b"four ", b"five"])
            await writer.drain()
            assert writer.can_write_eof()
            writer.write_eof()
            assert await connection.reader.read() == b"one two three four five"
            with pytest.raises(RuntimeError, match="write_eof"):
                writer.write(b"more")
            assert not writer.is_closing()
            writer.close()
            await writer.wait_closed()
            assert writer.is_closing()
            writer.close()


@pytest.mark.parametrize("network", NETWORKS)
async def test_extra_info_has_the_peer_as_asyncio_has_it(network: str, temporary_directory: Path) -> None:
    async with asyncio.timeout(LIMIT), serving(echo, network, temporary_directory) as address:
        async with await ClientConnection.open(address) as connection:
            host, _, port = address.rpartition(":")
            expected = port if network == "unix" else (host, int(port))
            assert connection.writer.get_extra_info("peername") == expected
            assert connection.writer.get_extra_info("compression") is None
            assert connection.writer.get_extra_info("no such thing", "default") == "default"


async def test_half_close_leaves_the_other_direction_open(temporary_directory: Path) -> None:
    async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.read()
        writer.write(b"you said " + request)

    async with asyncio.timeout(LIMIT), serving(answer_at_the_end, "unix", temporary_directory) as address:
        async with await ClientConnection.open(address) as connection:
            await connection.send_data(b"all")
            connection.writer.write_eof()
            assert await connection.reader.read() == b"you said all"


async def test_peers_half_close_leaves_our_direction_open(temporary_directory: Path) -> None:
    received = asyncio.get_running_loop().create_future()

    async def first_speak_then_listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write_eof()
        received.set_result(await reader.read())

    async with asyncio.timeout(LIMIT), serving(first_speak_then_listen, "unix", temporary_directory) as address:
        async with await ClientConnection.open(address) as connection:
            assert await connection.receive_data() == b""
            await connection.send_data(b"still here")
        assert await received == b"still here"


async def test_close_sends_what_is_unsent(temporary_directory: Path) -> None:
    received = asyncio.get_running_loop().create_future()

    async def count(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        received.set_result(len(await reader.read()))

    async with asyncio.timeout(LIMIT), serving(count, "unix", temporary_directory) as address:
        async with await ClientConnection.open(address) as connection:
            connection.writer.write(bytes(8 * MIB))
        assert await received == 8 * MIB


async def test_drain_waits_for_a_peer_that_does_not_read(temporary_directory: Path) -> None:
    may_read = asyncio.Event()

    async def read_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await may_read.wait()
        await swallow(reader, writer)

    async with asyncio.timeout(LIMIT), serving(read_late, "unix", temporary_directory) as address:
        async with await ClientConnection.open(address) as connection:
            sending = asyncio.create_task(connection.send_data(bytes(4 * MIB)))
            done, _ = await asyncio.wait([sending], timeout=0.1)
            assert not done
            assert connection.bytes_sent == 0
            assert connection.writer.transport.get_write_buffer_size() > MIB
            may_read.set()
            await sending
            assert connection.bytes_sent == 4 * MIB


async def test_peer_waits_for_a_reader_that_does_not_read(temporary_directory: Path) -> None:
    """What is under way is bounded by buffers, however much the peer has to say."""
    written, finished = 0, asyncio.Event()

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        for _ in range(256):
            writer.write(bytes(64 * 1024))
            await writer.drain()
            written += 64 * 1024
        finished.set()

    async with asyncio.timeout(LIMIT), serving(pour, "unix", temporary_directory) as address:
        async with await ClientConnection.open(address) as connection:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(finished.wait(), 0.3)
            assert 0 < written < 3 * MIB
            assert len(await connection.reader.read()) == 16 * MIB


async def test_64_mebibytes_come_back_whole(temporary_directory: Path) -> None:
    payload = bytes(range(256)) * (64 * MIB // 256)

    async with asyncio.timeout(LIMIT), serving(echo, "unix", temporary_directory) as address:
        async with await ClientConnection.open(address) as connection:

            async def receive() -> bytes:
                return bytes(await connection.reader.readexactly(len(payload)))

            received, _ = await asyncio.gather(receive(), connection.send_data(payload))
            assert received == payload
            assert connection.bytes_sent == len(payload)
