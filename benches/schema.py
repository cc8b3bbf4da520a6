"""The first schema of a large provider, 1,500 resources with 60,000 attributes, beside the bare call for it.

A plugin in a process of its own has the answer ready, so that the call takes no longer than 11 MB take. The sides take
turns, each time in a new process. `PYTHONPATH=tests python benches/schema.py`; README.md beside it says how to read the
output.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import statistics
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

TESTS = Path(__file__).resolve().parent.parent / "tests"
PROTOCOL = Protocol.of(6)
SIDES = ("bare call", "first schema", "full parse", "naive model", "cached schema")
LIMITS = (
    ("first schema / bare call", 1.5),
    ("growth MB", 150),
    ("one resource ms", 5),
    ("cached schema ms", 30),
    ("longest turn ms", 20),
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
        f"{name} ms": 1000 * (end - begin),
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
        f"{name} ms": 1000 * (end - begin),
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


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Medians as Markdown; ratios are medians of those within a repetition."""
    lines = [
        "| side | ms | ratio to the bare call (lowest-highest) | CPU ms | growth MB | longest turn ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, runs in rows.items():
        pairs = zip(runs, rows["bare call"], strict=True)
        ratios = [run[f"{name} ms"] / bare["bare call ms"] for run, bare in pairs]
        shown = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        took, cpu, growth, turn = (
            statistics.median(run[key] for run in runs)
            for key in (f"{name} ms", "CPU ms", "growth MB", "longest turn ms")
        )
        lines.append(f"| {name} | {took:.1f} | {shown} | {cpu:.1f} | {growth:.0f} | {turn:.1f} |")
    return "\n".join(lines)


def verdicts(rows: dict[str, list[dict[str, float]]]) -> str:
    """What of the limits is met."""
    first, cached, bare = rows["first schema"], rows["cached schema"], rows["bare call"]
    found = {
        "first schema / bare call": [
            a["first schema ms"] / b["bare call ms"] for a, b in zip(first, bare, strict=True)
        ],
        "growth MB": [run["growth MB"] for run in first],
        "one resource ms": [run["one resource ms"] for run in (*first, *cached)],
        "cached schema ms": [run["cached schema ms"] for run in cached],
        "longest turn ms": [run["longest turn ms"] for run in (*first, *cached)],
    }
    lines = []
    for name, limit in LIMITS:
        middle = statistics.median(found[name])
        verdict = "met" if middle <= limit else "MISSED"
        lines.append(
            f"- {verdict}: {name} {middle:.2f} ({min(found[name]):.2f}-{max(found[name]):.2f}), at most {limit}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the first schema of a large provider.")
    parser.add_argument("--repetitions", type=int, default=9, help="interleaved rounds (default: 9)")
    parser.add_argument("--side", nargs=3, metavar=("NAME", "ANSWER", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        name, answer, folder = options.side
        print(json.dumps(asyncio.run(run_side(name, answer, Path(folder)))))
        return
    sys.path.insert(0, str(TESTS))
    from terraform.large_schema import large_schema

    rows: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        os.environ |= {"PYTHONPYCACHEPREFIX": f"{directory}/bytecode", "PYTHONDONTWRITEBYTECODE": ""}
        answer = Path(directory, "answer")
        answer.write_bytes(large_schema())
        # The first round writes the bytecode, which an installed package has.
        for repetition in range(-1, options.repetitions):
            for name, runs in rows.items():
                run = measured(name, answer, Path(directory, f"cache-{repetition}"))
                if repetition >= 0:
                    runs.append(run)
    print(f"{table(rows)}\n\n{verdicts(rows)}")


if __name__ == "__main__":
    main()
