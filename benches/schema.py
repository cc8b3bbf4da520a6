"""The first schema of a large provider, 1,500 resources with 60,000 attributes, beside the bare call for it.

A plugin in a process of its own has the answer ready, so that the call takes no longer than 11 MB take. The sides take
turns, each time in a new process. Run it as `python benches/schema.py`; README.md beside it says how to read the
output.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from ferrule.client import RPCPluginClient
from ferrule.terraform.messages import Protocol
from ferrule.terraform.schema import Answers, Found, SchemaCache, program_of
from reporting.command import parser_of, run_bench
from reporting.declaration import Bench, Table, Target
from reporting.run import Figure, Run

TESTS = Path(__file__).resolve().parent.parent / "tests"
PROTOCOL = Protocol.of(6)
SIDES = ("bare call", "first schema", "full parse", "naive model", "cached schema")

GROUP, CASE = "Schema", "1,500 resources, 60,000 attributes"
FIRST, CACHED = "first schema", "cached schema"


def _figure(side: str, measure: str) -> Figure:
    return Figure(GROUP, CASE, side, measure)


BENCH = Bench(
    name="schema",
    title="Schema of a large Terraform provider",
    anchor="schema-of-a-large-terraform-provider",
    minutes=1,
    repetitions=7,
    tables=(
        Table(
            GROUP,
            ("wall ms", "CPU ms", "growth MB", "one resource ms", "longest turn ms"),
            ("wall ms",),
            {side: "bare call" for side in SIDES if side != "bare call"},
        ),
    ),
    targets=(
        Target("first schema of a provider, wall", _figure(FIRST, "wall ms"), 1.5, _figure("bare call", "wall ms")),
        Target("first schema, growth in MB", _figure(FIRST, "growth MB"), 150),
        Target("first schema, model of one resource, ms", _figure(FIRST, "one resource ms"), 5),
        Target("first schema, longest turn of the loop, ms", _figure(FIRST, "longest turn ms"), 20),
        Target("cached schema, ms", _figure(CACHED, "wall ms"), 30),
        Target("cached schema, longest turn of the loop, ms", _figure(CACHED, "longest turn ms"), 20),
    ),
    packages=("ferrule", "protobuf"),
)


async def call(client: RPCPluginClient, method: str) -> bytes:
    """The serialised answer of the provider."""
    channel: Any = client.grpc_channel
    answer: bytes = await channel.unary_unary(PROTOCOL.path(method))(b"")
    return answer


async def answers(client: RPCPluginClient) -> Answers:
    """Both answers of a provider that are its schema."""
    schema = await call(client, "GetProviderSchema")
    try:
        return Answers(schema, await call(client, "GetResourceIdentitySchemas"))
    except grpc.RpcError:
        return Answers(schema)


class Turns:
    """Looks once in a millisecond how late the event loop is."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def __aenter__(self) -> Turns:
        self._task = asyncio.create_task(self._watch())
        await asyncio.sleep(0.05)
        self.longest = 0.0
        return self

    async def __aexit__(self, *_: object) -> None:
        # A turn that has just ended is seen by the next one.
        await asyncio.sleep(0.002)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _watch(self) -> None:
        while True:
            due = time.perf_counter() + 0.001
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.perf_counter() - due)


def resident_mb() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def naive_model(message: Any) -> dict[str, Any]:
    """All resources as dicts, as programs make them that have the generated code alone."""

    def block(message: Any) -> dict[str, Any]:
        return {
            "attributes": {
                each.name: {
                    "type": json.loads(each.type),
                    "description": each.description,
                    "required": each.required,
                    "optional": each.optional,
                    "computed": each.computed,
                    "sensitive": each.sensitive,
                }
                for each in message.attributes
            },
            "block_types": {
                each.type_name: {"nesting": each.nesting, "block": block(each.block)} for each in message.block_types
            },
        }

    return {name: block(each.block) for name, each in message.resource_schemas.items()}


async def schema_side(client: RPCPluginClient, folder: Path, name: str) -> dict[str, float]:
    """The schema through the cache, and the model of one resource."""
    cache = SchemaCache(folder)
    # Modules that a program loads once.
    warm = await cache.schema(None, PROTOCOL, lambda: asyncio.sleep(0, Answers(b"")))
    assert warm.fetched
    async with Turns() as turns:
        before, cpu = resident_mb(), time.process_time()
        begin = time.perf_counter()
        found: Found = await cache.schema(program_of([sys.executable]), PROTOCOL, lambda: answers(client))
        end = time.perf_counter()
        growth, cpu = resident_mb() - before, time.process_time() - cpu
        assert found.fetched == (name == "first schema")
        last = max(found.schema.resources)
        begin_one = time.perf_counter()
        attributes = found.schema.resources[last].block.attributes
        end_one = time.perf_counter()
    assert attributes
    cache.flush()
    return {
        "wall ms": 1000 * (end - begin),
        "CPU ms": 1000 * cpu,
        "growth MB": growth,
        "one resource ms": 1000 * (end_one - begin_one),
        "longest turn ms": 1000 * turns.longest,
    }


async def bare_side(client: RPCPluginClient, name: str) -> dict[str, float]:
    """The call alone, or with a parse of the whole answer, or with a model of it all."""
    work: dict[str, Callable[[bytes], Any]] = {
        "bare call": lambda data: data,
        "full parse": PROTOCOL.message("GetProviderSchema.Response").FromString,
        "naive model": lambda data: naive_model(PROTOCOL.message("GetProviderSchema.Response").FromString(data)),
    }
    async with Turns() as turns:
        before, cpu = resident_mb(), time.process_time()
        begin = time.perf_counter()
        result = work[name](await call(client, "GetProviderSchema"))
        end = time.perf_counter()
        growth, cpu = resident_mb() - before, time.process_time() - cpu
    assert result
    return {
        "wall ms": 1000 * (end - begin),
        "CPU ms": 1000 * cpu,
        "growth MB": growth,
        "longest turn ms": 1000 * turns.longest,
    }


async def run_side(name: str, answer: str, folder: Path) -> dict[str, float]:
    """One measurement, in this process."""
    command = [sys.executable, str(TESTS / "terraform" / "large_provider.py"), answer]
    async with RPCPluginClient(command) as client:
        if name.endswith("schema"):
            return await schema_side(client, folder, name)
        return await bare_side(client, name)


def measured(name: str, answer: Path, folder: Path) -> dict[str, float]:
    """One measurement, in a new process."""
    command = [sys.executable, __file__, "--side", name, str(answer), str(folder)]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result


def measure(arguments: argparse.Namespace, run: Run) -> None:
    """Run all repetitions, each side in a new process."""
    sys.path.insert(0, str(TESTS))
    from terraform.large_schema import large_schema

    run.settings = f"{arguments.repetitions} repetitions"
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        os.environ |= {"PYTHONPYCACHEPREFIX": f"{directory}/bytecode", "PYTHONDONTWRITEBYTECODE": ""}
        answer = Path(directory, "answer")
        answer.write_bytes(large_schema(50, 2000) if arguments.quick else large_schema())
        # The first round writes the bytecode, which an installed package has.
        for repetition in range(0 if arguments.quick else -1, arguments.repetitions):
            for side in SIDES:
                print(f"repetition {repetition + 1} of {arguments.repetitions}: {side}", file=sys.stderr)
                found = measured(side, answer, Path(directory, f"cache-{repetition}"))
                if repetition >= 0:
                    run.add(GROUP, CASE, side, found)


def main() -> None:
    """Read the command line, and measure one side in this process or all of them."""
    if sys.argv[1:2] == ["--side"]:
        name, answer, folder = sys.argv[2:]
        print(json.dumps(asyncio.run(run_side(name, answer, Path(folder)))))
    else:
        run_bench(BENCH, measure, parser_of(BENCH, __doc__))


if __name__ == "__main__":
    main()
