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
from dataclasses import asdict, dataclass
from pathlib import Path

import channel_plot
import channel_report
import machine
from channel_clients.point import Order, Point, Sample
from channel_report import CLIENTS, Client, Measured, Results

BENCHES = Path(__file__).resolve().parent
RESULTS = BENCHES / "RESULTS.md"
PLOT = BENCHES / "channel.svg"
GO_SOURCES = machine.ROOT / "tests" / "go_plugin"
GO_PROGRAMS = machine.ROOT / "build" / "go"

PACKAGES = ("ferrule", "grpcio", "grpclib", "h2")

KIB, MIB = 2**10, 2**20

_UNARY = [Point("unary", size, in_flight) for size in (16, KIB) for in_flight in (1, 16, 128)]
_LARGE = [Point("unary", MIB, in_flight) for in_flight in (1, 16)]
_STREAM = Point("stream", 16)
_SYNC = [Point("unary", 16, in_flight, sync=True) for in_flight in (1, 16)]
_SYNC += [Point("unary", size, sync=True) for size in (KIB, MIB)]

FULL = (*_UNARY, *_LARGE, _STREAM, *_SYNC, Point("stream", 16, sync=True))
QUICK = (*_UNARY[:3], _LARGE[0], _STREAM, _SYNC[0])

# The curve only matters while a connection opens; what follows is there to show that it works, and stays the same.
P521_POINTS = {*_UNARY[:3], _LARGE[0], _STREAM}
# grpcio cannot connect to such a server at all: the TLS inside it has no signature scheme for the curve.
P521_CLIENTS = {"ferrule", "grpclib"}

# Each in a fresh process, whose peak is then this load's.
MEMORY_POINT = Point("unary", MIB, 128)
MEMORY_CLIENTS = ("ferrule", "grpc.aio", "grpclib")
MEMORY_SECONDS = 2.0

# Beyond the time that was asked for: a client that needs this long to start, connect and drain has hung.
GRACE_SECONDS = 30.0


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


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare gRPC channels on one Go server.")
    parser.add_argument("--quick", action="store_true", help="fewer points, 3 short repetitions: under two minutes")
    parser.add_argument("--repetitions", type=int, help="interleaved rounds over all clients (default: 5)")
    parser.add_argument("--seconds", type=float, help="measured time per point and repetition (default: 1)")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS), help="default: all")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio", help="loop of asyncio clients")
    parser.add_argument("--server", type=Path, help="the Go echo server (default: built from tests/go_plugin)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the ratios as SVG into FILE")
    parser.add_argument("--append-results", action="store_true", help="append to RESULTS.md and redraw channel.svg")
    arguments = parser.parse_args(argv)
    arguments.points = QUICK if arguments.quick else FULL
    arguments.repetitions = arguments.repetitions or (3 if arguments.quick else 5)
    arguments.seconds = arguments.seconds or (0.4 if arguments.quick else 1.0)
    return arguments


def build_server() -> Path:
    """Build the echo server; Go's own cache makes a repeated build cheap."""
    subprocess.run(["make", "-C", str(GO_SOURCES), f"OUT={GO_PROGRAMS}", "echo"], check=True, stdout=sys.stderr)
    return GO_PROGRAMS / "echo"


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


def plan(arguments: argparse.Namespace) -> list[Measured]:
    """Everything that is to be measured, in the order in which it takes turns."""
    wanted = []
    for transport in channel_report.TRANSPORTS:
        for point in arguments.points:
            for name, client in CLIENTS.items():
                fits = client.sync == point.sync
                if transport.curve == "p521":
                    fits = fits and point in P521_POINTS and name in P521_CLIENTS
                if fits and name in arguments.clients:
                    wanted.append(Measured(transport, point, name))
    return wanted


def order_for(point: Point, server: Server, seconds: float) -> Order:
    """A third of the measured time as warm-up: connections, caches and the server's flow control settle in less."""
    return Order(point, server.target, server.certificate, warm_up_s=seconds / 3, measure_s=seconds)


def measure(
    arguments: argparse.Namespace, servers: Mapping[str | None, Server], directory: Path, results: Results
) -> None:
    """Run all repetitions; what fails once is not asked for again."""
    wanted = plan(arguments)
    for repetition in range(arguments.repetitions):
        processes = {name: ClientProcess(CLIENTS[name], arguments.loop, directory) for name in arguments.clients}
        try:
            for each in wanted:
                if each in results.errors:
                    continue
                print(f"repetition {repetition + 1} of {arguments.repetitions}: {each}", file=sys.stderr)
                order = order_for(each.point, servers[each.transport.curve], arguments.seconds)
                try:
                    results.add(each, processes[each.client].measure(order))
                except ClientError as failure:
                    results.fail(each, str(failure))
        finally:
            for process in processes.values():
                process.stop()


def measure_memory(arguments: argparse.Namespace, server: Server, directory: Path, results: Results) -> None:
    """Load each client with many large calls at once, each time in a fresh process."""
    order = order_for(MEMORY_POINT, server, MEMORY_SECONDS)
    for repetition in range(1 if arguments.quick else arguments.repetitions):
        for name in MEMORY_CLIENTS:
            if name not in arguments.clients or name in results.memory_errors:
                continue
            print(f"memory, repetition {repetition + 1}: {name}", file=sys.stderr)
            process = ClientProcess(CLIENTS[name], arguments.loop, directory)
            try:
                peak = process.measure(order).peak_rss_mib
                results.memory.setdefault(name, []).append(peak)
            except ClientError as failure:
                results.memory.pop(name, None)
                results.memory_errors[name] = str(failure)
            finally:
                process.stop()


def run(arguments: argparse.Namespace) -> Results:
    """Start the servers, measure, stop the servers."""
    results = Results()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        servers = {
            transport.curve: stack.enter_context(serve(arguments.server, directory, transport.curve))
            for transport in channel_report.TRANSPORTS
        }
        measure(arguments, servers, directory, results)
        measure_memory(arguments, servers[None], directory, results)
    return results


def render(facts: Mapping[str, str], arguments: argparse.Namespace, results: Results) -> str:
    """The result as a section of Markdown."""
    described = [f"- {name}: {value}" for name, value in facts.items() if name not in ("date", "commit")]
    described.append(f"- {arguments.repetitions} repetitions of {arguments.seconds:g} s per point, {arguments.loop}")
    title = f"## Channel, {facts['date']}, commit {facts['commit']}"
    return "\n\n".join([title, "\n".join(described), channel_report.sections(results)]) + "\n"


def write_json(path: Path, facts: Mapping[str, str], results: Results) -> None:
    """Write the facts and every single sample."""
    series = [
        asdict(measured) | {"samples": [asdict(sample) for sample in samples]}
        for measured, samples in results.samples.items()
    ]
    errors = [asdict(measured) | {"error": error} for measured, error in results.errors.items()]
    document = {"facts": facts, "series": series, "errors": errors, "peak_rss_mib": results.memory}
    path.write_text(json.dumps(document, indent=1) + "\n")


def main(argv: Sequence[str]) -> None:
    """Measure, print the tables, and keep them where asked."""
    arguments = parse_arguments(argv)
    if any(name.startswith("ferrule") for name in arguments.clients):
        # Here and not above: rivals can be measured where Ferrule is not built.
        from hosts.ferrule_host import require_release_build

        require_release_build()
    arguments.server = (arguments.server or build_server()).resolve()
    packages = PACKAGES if arguments.loop == "asyncio" else (*PACKAGES, arguments.loop)
    facts = machine.facts(arguments.server, packages)
    results = run(arguments)
    section = render(facts, arguments, results)
    print(section)
    if arguments.json:
        write_json(arguments.json, facts, results)
    for path in {arguments.plot, PLOT if arguments.append_results else None} - {None}:
        path.write_text(channel_plot.draw(results, f"{facts['date']}, commit {facts['commit']}, {facts['CPU']}"))
    if arguments.append_results:
        with RESULTS.open("a") as file:
            file.write(f"\n{section}")
    if results.errors or results.memory_errors:
        sys.exit("benchmark incomplete: the list of failures is in the output")


if __name__ == "__main__":
    main(sys.argv[1:])
