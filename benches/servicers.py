"""What calls cost a plugin in Python: its servicers against the same ones on a stock server of grpc.aio.

The plugin's server puts an interceptor before the servicers, which ends each call with its method and gives threads
back. Each server is a process of its own and counts its own CPU; the servers take turns. Run it as
`python benches/servicers.py`; README.md beside it says how to read the output.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from ferrule._threaded_servicers import ThreadedServicers
from ferrule.channel import insecure_channel
from reporting.charts import Panel, ratio_chart
from reporting.command import parser_of, run_bench
from reporting.declaration import Bench, Table
from reporting.run import Run

MESSAGES = 10
"""Messages of each stream."""

SERVERS = ("grpc.aio", "ferrule")
METHODS = {
    "async unary": "unary_unary",
    "async upload": "stream_unary",
    "async stream": "unary_stream",
    "threaded unary": "unary_unary",
    "threaded upload": "stream_unary",
    "threaded stream": "unary_stream",
}


GROUP = "CPU of the server per call"

BENCH = Bench(
    name="servicers",
    title="Servicers of a plugin in Python",
    anchor="servicers-of-a-plugin-in-python",
    minutes=1.5,
    tables=(Table(GROUP, ("CPU us",), ("CPU us",), {"ferrule": "grpc.aio"}, case="call", side="server"),),
    charts={"servicers": ratio_chart("Servicers relative to those of a stock server", Panel("CPU", GROUP, "CPU us"))},
    packages=("ferrule", "grpcio", "protobuf"),
)


async def async_unary(request: bytes, _: Any) -> bytes:
    """Answers with the request."""
    return request


async def async_upload(requests: AsyncIterator[bytes], _: Any) -> bytes:
    """Counts the requests."""
    return bytes([len([request async for request in requests])])


async def async_stream(request: bytes, _: Any) -> AsyncIterator[bytes]:
    """Answers with the request, often."""
    for _number in range(MESSAGES):
        yield request


def threaded_unary(request: bytes, _: Any) -> bytes:
    """Answers with the request."""
    return request


def threaded_upload(requests: Iterator[bytes], _: Any) -> bytes:
    """Counts the requests."""
    return bytes([len(list(requests))])


def threaded_stream(request: bytes, _: Any) -> Iterator[bytes]:
    """Answers with the request, often."""
    return (request for _number in range(MESSAGES))


def handler(name: str) -> Any:
    """The handler of a method, by the name of its row."""
    make = getattr(grpc, f"{METHODS[name]}_rpc_method_handler")
    return make(globals()[name.replace(" ", "_")])


async def serve(kind: str, target: str) -> None:
    """Serves until the end of the process; its method `cpu` answers with the CPU seconds so far."""
    threads = ThreadPoolExecutor()
    methods = {name.replace(" ", "_"): handler(name) for name in METHODS}
    methods["cpu"] = grpc.unary_unary_rpc_method_handler(lambda _request, _context: str(time.process_time()).encode())
    interceptors = [ThreadedServicers(threads)] if kind == "ferrule" else []
    handlers = [grpc.method_handlers_generic_handler("bench", methods)]
    server = grpc.aio.server(threads, handlers=handlers, interceptors=interceptors)
    server.add_insecure_port(target)
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


async def call(channel: Any, name: str) -> None:
    """One call of a method."""
    method = getattr(channel, METHODS[name])(f"/bench/{name.replace(' ', '_')}")
    if METHODS[name] == "unary_stream":
        assert len([each async for each in method(b"x" * 64)]) == MESSAGES
    elif METHODS[name] == "stream_unary":
        assert await method(iter([b"x" * 64] * MESSAGES)) == bytes([MESSAGES])
    else:
        assert await method(b"x" * 64) == b"x" * 64


async def measure_calls(target: str, calls: int) -> dict[str, float]:
    """The CPU of the server per call of each method, in microseconds, with one call after the other."""
    found = {}
    async with insecure_channel(target) as channel:
        cpu = channel.unary_unary("/bench/cpu")
        for name in METHODS:
            for _ in range(calls // 10):
                await call(channel, name)
            before = float(await cpu(b""))
            for _ in range(calls):
                await call(channel, name)
            found[name] = (float(await cpu(b"")) - before) / calls * 1e6
    return found


def run_server(kind: str, calls: int) -> dict[str, float]:
    """Starts a server, measures it, and ends it."""
    with tempfile.TemporaryDirectory() as directory:
        target = f"unix:{directory}/server"
        command = [sys.executable, str(Path(__file__).resolve()), "--serve", kind, target]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            try:
                return asyncio.run(measure_calls(target, calls))
            finally:
                server.kill()


def measure(arguments: argparse.Namespace, run: Run) -> None:
    """Run all repetitions over both servers."""
    calls = arguments.calls or (30 if arguments.quick else 1000)
    run.settings = f"{arguments.repetitions} repetitions of {calls} calls of each method"
    for repetition in range(arguments.repetitions):
        for kind in SERVERS:
            print(f"repetition {repetition + 1} of {arguments.repetitions}: {kind}", file=sys.stderr)
            for name, cpu_us in run_server(kind, calls).items():
                run.add(GROUP, name, kind, {"CPU us": cpu_us})


def main() -> None:
    """Read the command line, and serve or measure."""
    parser = parser_of(BENCH, __doc__)
    parser.add_argument("--calls", type=int, help="calls of each method and repetition (default: 1000)")
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(*sys.argv[2:]))
    else:
        run_bench(BENCH, measure, parser)


if __name__ == "__main__":
    main()
