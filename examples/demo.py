"""The main job on real plugins: start with mutual TLS, call, read the log, stop; with the time of each step.

Run: python examples/demo.py [--kv PATH] [--provider PATH]    (both may be repeated; neither: the Python plugin)
"""

import argparse
import asyncio
import datetime
import logging
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any, NamedTuple

from ferrule.client import RPCPluginClient
from ferrule.errors import ProtocolError, RPCPluginError
from ferrule.reflection import ServerReflection
from ferrule.testing import KV_CONFIG, KVStub, plugin_command
from ferrule.testing.kv_pb2 import EchoRequest

CALLS = 50
CALLS_SECONDS = 3.0  # no further calls after this time: the schema of a large provider takes half a second

SCHEMA_METHOD = {5: "GetSchema", 6: "GetProviderSchema"}

# One call of the plugin, which gives what it answered, in words; and name, command, settings, what makes that call.
Call = Callable[[], Awaitable[str]]
Job = tuple[str, list[str], dict[str, Any], Callable[[RPCPluginClient], Awaitable[Call]]]


class Times(NamedTuple):
    """Seconds of each step."""

    name: str
    start: float
    first_call: float
    calls: list[float]
    stop: float


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
    except ProtocolError:  # a provider from before 2020, without reflection; an empty request is no bytes on the wire
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


async def run(job: Job, log: BufferingHandler) -> Times:
    """Do the main job on one plugin and print what happened."""
    name, command, config, prepare = job
    print(f"{name}: {' '.join(command)}")
    log.buffer.clear()
    client = RPCPluginClient(command=command, config=config)
    try:
        start, _ = await timed(client.start())
        print(f"  started   pid {client.pid}, protocol version {client.protocol_version}, {client.target_endpoint}")
        print(f"  TLS       {tls_text(client)}")
        call = await prepare(client)
        first_call, answer = await timed(call())
        calls: list[float] = []
        while len(calls) < CALLS and sum(calls) < CALLS_SECONDS:
            calls.append((await timed(call()))[0])
        print(f"  calls     {answer}; called {1 + len(calls)} times")
        stop, _ = await timed(client.shutdown_plugin())
    finally:
        await client.close()
    print(f"  log       {len(log.buffer)} lines")
    print(f"  stopped   {client.stop_report}\n")
    return Times(name, start, first_call, calls, stop)


def tls_text(client: RPCPluginClient) -> str:
    certificate = client.certificate_facts
    if certificate is None:
        return "none"
    end = datetime.datetime.fromtimestamp(certificate.not_after, datetime.UTC)
    return f"mutual, plugin certificate pinned: {certificate.key}, {certificate.subject}, valid to {end:%Y-%m-%d}"


def table(rows: list[Times]) -> str:
    """The times as text, in milliseconds."""
    width = max(len(row.name) for row in rows)
    lines = [f"{'milliseconds':<{width}}     start  first call  median call      stop"]
    for row in rows:
        start, first, call, stop = (
            1000 * s for s in (row.start, row.first_call, statistics.median(row.calls), row.stop)
        )
        lines.append(f"{row.name:<{width}} {start:9.1f} {first:11.2f} {call:12.2f} {stop:9.1f}")
    return "\n".join(lines)


def jobs() -> list[Job]:
    parser = argparse.ArgumentParser(description="Do the main job on real plugins.")
    parser.add_argument("--kv", metavar="PATH", action="append", default=[], help="a Go plugin of the KV service")
    parser.add_argument("--provider", metavar="PATH", action="append", default=[], help="a Terraform provider")
    options = parser.parse_args()
    found: list[Job] = [(f"Go plugin {Path(path).name}", [path], KV_CONFIG, prepare_kv) for path in options.kv]
    config = {"env": {"TF_LOG": "DEBUG"}}
    found += [(Path(path).name, [path], config, prepare_provider) for path in options.provider]
    if not found:
        print("No Go plugin was given (--kv, --provider): this runs on Ferrule's embedded Python plugin instead.\n")
        found.append(("Python plugin", plugin_command(), KV_CONFIG, prepare_kv))
    return found


async def main() -> None:
    logger, log = logging.getLogger("ferrule.plugin"), BufferingHandler(capacity=100_000)
    logger.setLevel(logging.DEBUG)
    logger.addHandler(log)
    print(table([await run(job, log) for job in jobs()]))


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except RPCPluginError as error:
        sys.exit(str(error))
