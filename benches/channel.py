"""Compare Ferrule's channel with grpcio's and grpclib's: CPU per call, latency and throughput against one Go server.

Every client is a process of its own and loads the same grpc-go server over a Unix socket. Before each measurement the
next client takes its turn (A B C, A B C, ... point by point, repetition by repetition), so that a slow second of the
machine hits all of them. Run it as `python benches/channel.py`; README.md beside it says how to read the output.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from channel_clients.point import Order, Point, Sample
from channel_report import BENCH, CLIENTS, MEMORY, MEMORY_CASE, PLAINTEXT, TRANSPORTS, Client, Transport, measures
from reporting.command import parser_of, run_bench
from reporting.run import Run

BENCHES = Path(__file__).resolve().parent

KIB, MIB = 2**10, 2**20

_UNARY = [Point("unary", size, in_flight) for size in (16, KIB) for in_flight in (1, 16, 128)]
_LARGE = [Point("unary", MIB, in_flight) for in_flight in (1, 16)]
_STREAM = Point("stream", 16)
_SYNC = [Point("unary", 16, in_flight, sync=True) for in_flight in (1, 16)]
_SYNC += [Point("unary", size, sync=True) for size in (KIB, MIB)]

POINTS = (*_UNARY, *_LARGE, _STREAM, *_SYNC, Point("stream", 16, sync=True))

# What targets are about, and one of each kind.
QUICK_POINTS = (_UNARY[0], _UNARY[1], _LARGE[0], _STREAM, _SYNC[0])

# The curve only matters while a connection opens; what follows is there to show that it works, and stays the same.
P521_POINTS = {_UNARY[0], _LARGE[0]}
# grpcio cannot connect to such a server at all: the TLS inside it has no signature scheme for the curve.
P521_CLIENTS = {"ferrule", "grpclib"}

# Each in a fresh process, whose peak is then this load's.
MEMORY_POINT = Point("unary", MIB, 128)
MEMORY_CLIENTS = ("ferrule", "grpc.aio", "grpclib")
MEMORY_SECONDS = 2.0

# Beyond the time that was asked for: a client that needs this long to start, connect and drain has hung.
GRACE_SECONDS = 30.0


@dataclass(frozen=True)
class Turn:
    """A client that loads a server of one transport with one point."""

    transport: Transport
    point: Point
    client: str

    @property
    def case(self) -> str:
        """The point in words, by which its figures are found."""
        return f"{self.point}, blocking" if self.point.sync else str(self.point)


@dataclass(frozen=True)
class Server:
    """A running echo server: where it listens, and the certificate to trust, None for plaintext."""

    target: str
    certificate: str | None


class ClientError(Exception):
    """A client reported an error, crashed or hung."""


class ClientProcess:
    """One client in a process of its own, idle until it is given an order."""

    def __init__(self, client: Client, loop: str, directory: Path) -> None:
        self._command = [sys.executable, "-m", f"channel_clients.{client.module}"]
        self._command += [] if client.sync else ["--loop", loop]
        self._errors = directory / f"{client.module}.stderr"
        self._process: subprocess.Popen[bytes] | None = None

    def measure(self, order: Order) -> Sample:
        """Have one order carried out, in the process of the last one if that still runs.

        Raises:
            ClientError: The client failed; its process is gone.
        """
        process = self._process or self._start()
        limit = order.warm_up_s + order.measure_s + GRACE_SECONDS
        watchdog = threading.Timer(limit, process.kill)
        watchdog.start()
        try:
            answer = converse(process, order.to_line())
        finally:
            watchdog.cancel()
        fields = json.loads(answer or "{}")
        if "error" in fields or not fields:
            status = self.stop()
            last_line = (self._errors.read_text(errors="replace").strip().splitlines() or ["nothing"])[-1]
            ended = f"no answer after {limit:.0f} s" if status == -signal.SIGKILL else f"exit status {status}"
            error = fields.get("error", ended)
            raise ClientError(f"{error}; last on standard error: {last_line}")
        return Sample(**fields)

    def _start(self) -> subprocess.Popen[bytes]:
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                self._command,
                cwd=BENCHES,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
            )
        return self._process

    def stop(self) -> int | None:
        """End the process, if there is one, and return its status; idle or hung, it has nothing to save."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        with process:
            return process.wait()


def converse(process: subprocess.Popen[bytes], line: str) -> bytes:
    """Write a line to a process and read one; empty when it has ended. Its pipes have to be unbuffered."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(line.encode())
    except BrokenPipeError:
        return b""
    return process.stdout.readline()


@contextmanager
def serve(program: Path, directory: Path, curve: str | None) -> Iterator[Server]:
    """Run an echo server in plaintext, or under TLS with a certificate on a curve."""
    path = directory / f"{curve or 'plaintext'}.sock"
    command = [str(program), "-unix", str(path), *(["-self-signed", curve] if curve else [])]
    # Leaving the block closes its standard input, at which it ends.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        line = converse(process, "")
        if not line:
            sys.exit(f"benchmark stopped: the server {program} ended with status {process.wait()}")
        ready = json.loads(line)
        yield Server(ready["targets"][0], ready.get("certificate"))


def plan(points: Sequence[Point], clients: Sequence[str]) -> Iterator[Turn]:
    """Everything that is to be measured, in the order in which it takes turns."""
    for transport in TRANSPORTS:
        for point in points:
            for name, client in CLIENTS.items():
                fits = client.sync == point.sync and name in clients
                if transport.curve == "p521":
                    fits = fits and point in P521_POINTS and name in P521_CLIENTS
                if fits:
                    yield Turn(transport, point, name)


def order_for(point: Point, server: Server, seconds: float) -> Order:
    """A third of the measured time as warm-up: connections, caches and the server's flow control settle in less."""
    return Order(point, server.target, server.certificate, warm_up_s=seconds / 3, measure_s=seconds)


def measure_calls(
    arguments: argparse.Namespace, servers: Mapping[str | None, Server], directory: Path, run: Run
) -> None:
    """Run all repetitions; what fails once is not asked for again."""
    for repetition in range(arguments.repetitions):
        processes = {name: ClientProcess(CLIENTS[name], arguments.loop, directory) for name in arguments.clients}
        try:
            for turn in plan(QUICK_POINTS if arguments.quick else POINTS, arguments.clients):
                group, case, client = turn.transport.title, turn.case, turn.client
                if run.failed(group, case, client):
                    continue
                turn_of = f"repetition {repetition + 1} of {arguments.repetitions}"
                print(f"{turn_of}: {group}, {case}: {client}", file=sys.stderr)
                order = order_for(turn.point, servers[turn.transport.curve], arguments.seconds)
                try:
                    run.add(group, case, client, measures(processes[client].measure(order)))
                except ClientError as failure:
                    run.fail(group, case, client, str(failure))
        finally:
            for process in processes.values():
                process.stop()


def measure_memory(arguments: argparse.Namespace, server: Server, directory: Path, run: Run) -> None:
    """Load each client with many large calls at once, each time in a fresh process."""
    order = order_for(MEMORY_POINT, server, 0.1 if arguments.quick else MEMORY_SECONDS)
    for repetition in range(arguments.repetitions):
        for name in MEMORY_CLIENTS:
            if name not in arguments.clients or run.failed(MEMORY, MEMORY_CASE, name):
                continue
            print(f"memory, repetition {repetition + 1} of {arguments.repetitions}: {name}", file=sys.stderr)
            process = ClientProcess(CLIENTS[name], arguments.loop, directory)
            try:
                run.add(MEMORY, MEMORY_CASE, name, {"peak MiB": process.measure(order).peak_rss_mib})
            except ClientError as failure:
                run.fail(MEMORY, MEMORY_CASE, name, str(failure))
            finally:
                process.stop()


def measure(arguments: argparse.Namespace, run: Run) -> None:
    """Start the servers, measure, stop the servers."""
    arguments.seconds = arguments.seconds or (0.05 if arguments.quick else 0.6)
    run.settings = f"{arguments.repetitions} repetitions of {arguments.seconds:g} s per point, {arguments.loop}"
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        program = arguments.programs / "echo"
        servers = {each.curve: stack.enter_context(serve(program, directory, each.curve)) for each in TRANSPORTS}
        measure_calls(arguments, servers, directory, run)
        measure_memory(arguments, servers[PLAINTEXT.curve], directory, run)


def main() -> None:
    """Read the command line, and measure."""
    parser = parser_of(BENCH, __doc__)
    parser.add_argument("--seconds", type=float, help="measured time per point and repetition (default: 0.6)")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS), help="default: all")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio", help="loop of asyncio clients")
    run_bench(BENCH, measure, parser)


if __name__ == "__main__":
    main()
