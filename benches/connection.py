"""What `ClientConnection` costs against the streams of asyncio and of uvloop, with the same framing written in Python.

Both clients run in this process on the same loop and talk to one echo server in another process. They take turns,
repetition by repetition, so that a slow second of the machine hits both. Run it as `python benches/connection.py`;
README.md beside it says how to read the output.
"""

import argparse
import asyncio
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ferrule import Certificate
from ferrule.client import ClientConnection
from reporting.charts import Panel, ratio_chart
from reporting.command import parser_of, run_bench
from reporting.declaration import Bench, Table, Target
from reporting.run import Figure, Run

KIB, MIB = 2**10, 2**20

ECHO_READ_BYTES = 256 * KIB
PREFIX = struct.Struct(">BI")


class Certificates(NamedTuple):
    """Two parties that trust exactly each other, as paths of PEM files; each file has certificate and key."""

    server: Path
    client: Path


class Client(Protocol):
    """What is measured of both: frames, and bytes as they come."""

    async def send_frame(self, message: bytes) -> None:
        """Sends one message behind its prefix."""

    async def receive_frame(self) -> bytes | None:
        """Receives one message."""

    async def send_data(self, data: bytes) -> None:
        """Sends bytes."""

    async def receive_data(self, size: int = ...) -> bytes:
        """Receives some bytes."""

    async def close(self) -> None:
        """Closes the connection."""


class Streams:
    """A connection of the loop's own streams, framed as their documentation suggests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send_frame(self, message: bytes) -> None:
        """Sends one message behind its prefix."""
        self._writer.write(PREFIX.pack(0, len(message)) + message)
        await self._writer.drain()

    async def receive_frame(self) -> bytes | None:
        """Receives one message."""
        _, size = PREFIX.unpack(await self._reader.readexactly(PREFIX.size))
        return await self._reader.readexactly(size)

    async def send_data(self, data: bytes) -> None:
        """Sends bytes."""
        self._writer.write(data)
        await self._writer.drain()

    async def receive_data(self, size: int = 64 * KIB) -> bytes:
        """Receives some bytes."""
        return await self._reader.read(size)

    async def close(self) -> None:
        """Closes the connection."""
        self._writer.close()
        await self._writer.wait_closed()


async def open_ferrule(path: Path, certificates: Certificates | None) -> Client:
    """Opens a `ClientConnection`."""
    if certificates is None:
        return await ClientConnection.open(f"unix:{path}")
    own = certificates.client.read_text()
    tls = {"ca": certificates.server.read_text(), "certificate": own, "key": own}
    return await ClientConnection.open(f"unix:{path}", tls={**tls, "server_name": "localhost"})


async def open_streams(path: Path, certificates: Certificates | None) -> Client:
    """Opens the loop's own streams."""
    if certificates is None:
        return Streams(*await asyncio.open_unix_connection(path))
    context = ssl.create_default_context(cafile=str(certificates.server))
    context.load_cert_chain(certificates.client)
    return Streams(*await asyncio.open_unix_connection(path, ssl=context, server_hostname="localhost"))


OPENERS: dict[str, Callable[[Path, Certificates | None], Awaitable[Client]]] = {
    "ferrule": open_ferrule,
    "streams": open_streams,
}


async def ping_pong(client: Client, message: bytes, count: int) -> None:
    """One frame after the other, each awaited."""
    for _ in range(count):
        await client.send_frame(message)
        await client.receive_frame()


async def ping_pong_both_ways(client: Client, message: bytes, count: int) -> None:
    """Large frames, one after the other: the echo begins before the frame has been sent whole."""
    for _ in range(count):
        await asyncio.gather(client.send_frame(message), client.receive_frame())


async def pipeline(client: Client, message: bytes, count: int) -> None:
    """Sends all frames while their echoes are received."""

    async def send() -> None:
        for _ in range(count):
            await client.send_frame(message)

    async def receive() -> None:
        for _ in range(count):
            await client.receive_frame()

    await asyncio.gather(send(), receive())


async def raw(client: Client, message: bytes, count: int) -> None:
    """Bytes without frames: each block is sent, and received in the pieces in which it comes."""
    for _ in range(count):
        await client.send_data(message)
        missing = len(message)
        while missing:
            missing -= len(await client.receive_data(missing))


@dataclass(frozen=True)
class Point:
    """One kind of work, and how often it is done in one turn."""

    name: str
    work: Callable[[Client, bytes, int], Awaitable[None]]
    size: int
    count: int
    tls: bool = False
    one_core: bool = False


POINTS = (
    Point("ping-pong, 64 B", ping_pong, 64, 4000),
    Point("ping-pong, 64 B, both sides on one core", ping_pong, 64, 4000, one_core=True),
    Point("pipelined, 64 B", pipeline, 64, 10_000),
    Point("pipelined, 4 KiB", pipeline, 4 * KIB, 4000),
    Point("ping-pong, 1 MiB", ping_pong_both_ways, MIB, 60),
    Point("raw, 64 KiB", raw, 64 * KIB, 800),
    Point("ping-pong, 64 B, mutual TLS", ping_pong, 64, 2000, tls=True),
    Point("pipelined, 4 KiB, mutual TLS", pipeline, 4 * KIB, 2000, tls=True),
    Point("ping-pong, 1 MiB, mutual TLS", ping_pong_both_ways, MIB, 30, tls=True),
)


class Spent(NamedTuple):
    """What one frame or block cost this process."""

    cpu_us: float
    wall_us: float


async def turn(client: Client, point: Point, message: bytes, scale: float) -> Spent:
    """One turn of one client."""
    count = max(1, round(point.count * scale))
    cpu, wall = time.process_time(), time.perf_counter()
    await point.work(client, message, count)
    return Spent((time.process_time() - cpu) / count * 1e6, (time.perf_counter() - wall) / count * 1e6)


async def check(client: Client, message: bytes) -> None:
    """That the echo is one: a client that is wrong may be fast."""
    _, received = await asyncio.gather(client.send_frame(message), client.receive_frame())
    assert received == message


async def measure_point(
    point: Point, path: Path, certificates: Certificates | None, repetitions: int, scale: float
) -> list[dict[str, Spent]]:
    """The turns of both clients in each repetition, after one of each for warm-up."""
    message = bytes(range(256)) * (point.size // 256) + bytes(point.size % 256)
    clients = {name: await opener(path, certificates) for name, opener in OPENERS.items()}
    for client in clients.values():
        await check(client, message)
        await turn(client, point, message, scale / 4)
    spent = [
        {name: await turn(client, point, message, scale) for name, client in clients.items()}
        for _ in range(repetitions)
    ]
    for client in clients.values():
        await client.close()
    return spent


def echo(connection: socket.socket) -> None:
    """Sends back what comes, to the end."""
    with connection:
        try:
            while data := connection.recv(ECHO_READ_BYTES):
                connection.sendall(data)
        except OSError:
            pass  # The client closed while its echo was under way.


def serve(path: str, certificate: str | None, authority: str | None) -> None:
    """Accepts connections for ever, each on a thread of its own, which waits in the kernel."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        context = None
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_cert_chain(certificate)
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            connection = connection if context is None else context.wrap_socket(connection, server_side=True)
            threading.Thread(target=echo, args=[connection], daemon=True).start()


@contextmanager
def serving(path: Path, certificates: Certificates | None) -> Iterator[int]:
    """Runs the echo server in another process, and gives that process's id."""
    command = [sys.executable, __file__, "--serve", str(path)]
    command += [] if certificates is None else [str(certificates.server), str(certificates.client)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                sys.exit("benchmark stopped: the echo server did not start")
            yield process.pid
        finally:
            process.kill()


@contextmanager
def sharing_a_core(server: int) -> Iterator[None]:
    """Has this thread, and the threads that the server starts, run on one core: no sleeping one has to be woken."""
    cores = os.sched_getaffinity(0)
    for process in (0, server):
        os.sched_setaffinity(process, {min(cores)})
    yield
    for process in (0, server):
        os.sched_setaffinity(process, cores)


def make_certificates(directory: Path) -> Certificates:
    """Two self-signed certificates, each with its key."""
    paths = Certificates(directory / "server.pem", directory / "client.pem")
    for path in paths:
        made = Certificate.generate()
        path.write_text(made.certificate_pem + made.private_key_pem)
    return paths


def run_on(loop: str, work: Any) -> Any:
    """Runs a coroutine on a loop of this kind."""
    if loop == "asyncio":
        return asyncio.run(work)
    import uvloop

    return uvloop.run(work)


GROUPS = {loop: f"Beside streams of {loop}" for loop in ("asyncio", "uvloop")}

MEASURES = ("CPU us", "wall us")


def _target(loop: str, work: str, measure: str, limit: float) -> Target:
    figure = Figure(GROUPS[loop], work, "ferrule", measure)
    return Target(f"{loop}, {work}: {measure.split(maxsplit=1)[0]}", figure, limit, figure._replace(side="streams"))


BENCH = Bench(
    name="connection",
    title="Connections",
    anchor="connections",
    minutes=1.5,
    repetitions=7,
    tables=tuple(Table(group, MEASURES, MEASURES, {"ferrule": "streams"}, case="work") for group in GROUPS.values()),
    targets=(
        _target("asyncio", "ping-pong, 64 B", "CPU us", 0.60),
        _target("asyncio", "ping-pong, 64 B", "wall us", 0.70),
        _target("asyncio", "pipelined, 64 B", "CPU us", 0.35),
        _target("asyncio", "pipelined, 4 KiB", "CPU us", 0.35),
        _target("asyncio", "ping-pong, 1 MiB", "CPU us", 0.70),
        _target("asyncio", "ping-pong, 64 B, mutual TLS", "CPU us", 0.60),
        _target("uvloop", "ping-pong, 64 B", "CPU us", 0.75),
        _target("uvloop", "ping-pong, 64 B", "wall us", 0.85),
    ),
    charts={
        "connection": ratio_chart(
            "ClientConnection relative to the loop's own streams",
            Panel("CPU, asyncio", GROUPS["asyncio"], "CPU us"),
            Panel("Wall time, asyncio", GROUPS["asyncio"], "wall us"),
            Panel("CPU, uvloop", GROUPS["uvloop"], "CPU us"),
            Panel("Wall time, uvloop", GROUPS["uvloop"], "wall us"),
        )
    },
    packages=("ferrule", "uvloop"),
)


def measure(arguments: argparse.Namespace, run: Run) -> None:
    """Every point on every loop."""
    scale = 0.02 if arguments.quick else 1.0
    run.settings = f"{arguments.repetitions} repetitions"
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        protected = make_certificates(directory)
        plain_path, tls_path = directory / "plain.sock", directory / "tls.sock"
        with serving(plain_path, None) as plain_server, serving(tls_path, protected):
            for loop in arguments.loops:
                for point in POINTS:
                    if not any(word in point.name for word in arguments.only):
                        continue
                    print(f"{loop}: {point.name}", file=sys.stderr)
                    path, certificates = (tls_path, protected) if point.tls else (plain_path, None)
                    work = measure_point(point, path, certificates, arguments.repetitions, scale)
                    with sharing_a_core(plain_server) if point.one_core else nullcontext():
                        repetitions = run_on(loop, work)
                    for spent in repetitions:
                        for side, each in spent.items():
                            run.add(GROUPS[loop], point.name, side, {"CPU us": each.cpu_us, "wall us": each.wall_us})


def main(argv: list[str]) -> None:
    """Reads the command line, and serves or measures."""
    if argv[:1] == ["--serve"]:
        path, certificate, authority = [*argv[1:], None, None][:3]
        assert path is not None
        return serve(path, certificate, authority)
    parser = parser_of(BENCH, __doc__)
    parser.add_argument("--loops", nargs="+", choices=tuple(GROUPS), default=list(GROUPS), help="default: both")
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="points whose names have this text")
    return run_bench(BENCH, measure, parser)


if __name__ == "__main__":
    main(sys.argv[1:])
