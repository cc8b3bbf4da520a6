"""The main job on real plugins: start with mutual TLS, call, read the log, stop; with the time of each step.

Run: python examples/demo.py [--kv PATH] [--provider PATH]    (both may be repeated)

`make demo` builds a Go plugin and real Terraform providers and passes them here. Without any, the job runs on the small
Python plugin that comes with Ferrule.
"""

import argparse
import asyncio
import datetime
import logging
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferrule.client import RPCPluginClient
from ferrule.errors import ProtocolError, RPCPluginError
from ferrule.reflection import ServerReflection
from ferrule.testing import KV_CONFIG, KVStub, plugin_command
from ferrule.testing.kv_pb2 import EchoRequest

CALLS = 50
CALLS_SECONDS = 3.0
"""No further calls after this time: the schema of a large provider takes a second."""

SCHEMA_METHOD = {5: "GetSchema", 6: "GetProviderSchema"}

Call = Callable[[], Awaitable[str]]
"""One call of the plugin; gives what it answered, in words."""


@dataclass(frozen=True)
class Job:
    """One plugin and how to use it."""

    name: str
    command: list[str]
    config: dict[str, Any]
    prepare: Callable[[RPCPluginClient], Awaitable[Call]]


@dataclass(frozen=True)
class Times:
    """Seconds of each step."""

    start: float
    first_call: float
    calls: list[float]
    stop: float


class LogCounter(logging.Handler):
    """Counts what a plugin logs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += 1


async def prepare_kv(client: RPCPluginClient) -> Call:
    kv = KVStub(client.grpc_channel)

    async def call() -> str:
        response = await kv.Echo(EchoRequest(payload=bytes(64)))
        return f"kv.KV/Echo answered {len(response.payload)} bytes"

    return call


async def prepare_provider(client: RPCPluginClient) -> Call:
    version = int(client.protocol_version or 0)
    service, method = f"tfplugin{version}.Provider", SCHEMA_METHOD[version]
    channel: Any = client.grpc_channel
    reflection = ServerReflection(channel)
    try:
        rpc = getattr(await reflection.stub(service), method)
        request: Any = (await reflection.message_type(f"tfplugin{version}.GetProviderSchema.Request"))()
    except ProtocolError:
        # A provider from before 2020, without reflection; an empty request is no bytes on the wire.
        rpc, request = channel.unary_unary(f"/{service}/{method}"), b""

    async def call() -> str:
        response = await rpc(request)
        if isinstance(response, bytes):
            return f"{method} answered {len(response):,} bytes (this provider has no reflection to read them with)"
        return f"{method} answered {len(response.resource_schemas)} resource types, {response.ByteSize():,} bytes"

    return call


async def timed(awaitable: Awaitable[Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = await awaitable
    return time.perf_counter() - began, result


async def run(job: Job, log: LogCounter) -> Times:
    """Do the main job on one plugin and print what happened."""
    print(f"{job.name}: {' '.join(job.command)}")
    log.lines = 0
    client = RPCPluginClient(command=job.command, config=job.config)
    try:
        start, _ = await timed(client.start())
        print(f"  started   pid {client.pid}, protocol version {client.protocol_version}, {client.target_endpoint}")
        print(f"  TLS       {tls_text(client)}")
        call = await job.prepare(client)
        first_call, answer = await timed(call())
        print(f"  call      {answer}")
        calls: list[float] = []
        while len(calls) < CALLS and sum(calls) < CALLS_SECONDS:
            calls.append((await timed(call()))[0])
        stop, _ = await timed(client.shutdown_plugin())
    finally:
        await client.close()
    print(f"  log       {log.lines} lines")
    print(f"  stopped   by {client.stop_report.rung}, exit status {client.stop_report.exit_status}\n")
    return Times(start, first_call, calls, stop)


def tls_text(client: RPCPluginClient) -> str:
    certificate = client.certificate_facts
    if certificate is None:
        return "none"
    end = datetime.datetime.fromtimestamp(certificate.not_after, datetime.UTC)
    return f"mutual, plugin certificate pinned: {certificate.key}, {certificate.subject}, valid to {end:%Y-%m-%d}"


def table(results: dict[str, Times]) -> str:
    """The times as text, in milliseconds."""
    width = max(len(name) for name in results)
    lines = [f"{'milliseconds':<{width}}  {'start':>9}  {'first call':>10}  {'call, median':>16}  {'stop':>7}"]
    for name, times in results.items():
        median = f"{1000 * statistics.median(times.calls):.2f} of {len(times.calls):>2}"
        lines.append(
            f"{name:<{width}}  {1000 * times.start:>9.1f}  {1000 * times.first_call:>10.2f}  {median:>16}  "
            f"{1000 * times.stop:>7.1f}"
        )
    return "\n".join(lines)


def jobs() -> list[Job]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kv", metavar="PATH", action="append", default=[], help="a Go plugin of the KV service")
    parser.add_argument("--provider", metavar="PATH", action="append", default=[], help="a Terraform provider")
    options = parser.parse_args()
    found = [Job(f"Go plugin {Path(path).name}", [path], KV_CONFIG, prepare_kv) for path in options.kv]
    environment = {"env": {"TF_LOG": "DEBUG"}}
    found += [Job(Path(path).name, [path], environment, prepare_provider) for path in options.provider]
    if not found:
        print("No Go plugin was given (--kv, --provider): this runs on Ferrule's embedded Python plugin instead.\n")
        found.append(Job("Python plugin", plugin_command(), KV_CONFIG, prepare_kv))
    return found


async def main() -> None:
    log = LogCounter()
    logger = logging.getLogger("ferrule.plugin")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(log)
    print(table({job.name: await run(job, log) for job in jobs()}))


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except RPCPluginError as error:
        sys.exit(str(error))
