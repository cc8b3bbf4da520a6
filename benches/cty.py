"""The cost of encoding and decoding Terraform's values, beside the package `msgpack` with a naive conversion in Python.

The naive conversion is what programs do that talk to providers without a library: led by the type, it makes sets of
lists and unknown values of extensions, and checks nothing: no NFC, no numbers beyond 64 bits, no order of sets, no
paths in errors. The values here have none of that, so that both give the same bytes and the same values, which is
checked first.

All sides take turns in one process, and the CPU time of a call is divided by the values in it (text, numbers and
bools). A program in Go with go-cty takes part. Run it as `python benches/cty.py`."""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack

from ferrule.terraform import cty
from ferrule.terraform.cty import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set
from reporting.charts import Panel, ratio_chart
from reporting.command import parser_of, run_bench
from reporting.declaration import Bench, Table
from reporting.run import Run

RULE = Object({"name": STRING, "from_port": NUMBER, "open": BOOL, "tags": Map(STRING)})
RESOURCE = Object({"id": STRING, "size": NUMBER, "enabled": BOOL, "tags": Map(STRING), "zones": List(STRING)})
STATE = Object({"resources": List(Object({**RESOURCE.attributes, "rules": List(RULE), "comment": STRING}))})


def rule(index: int) -> dict[str, Any]:
    return {"from_port": index, "name": f"rule-{index:05}", "open": index % 2 == 0, "tags": {"env": "y", "team": "x"}}


def resource(index: int) -> dict[str, Any]:
    return {
        "enabled": True,
        "id": f"i-{index:08x}",
        "size": index,
        "tags": {"env": "prod", "name": f"n{index}", "team": "x"},
        "zones": ["a", "b", "c"],
    }


def large_state() -> dict[str, Any]:
    """Two thousand resources with four rules each, about a megabyte."""
    comment = "wörter, " * 8
    extra = [{"comment": comment, "rules": [rule(each) for each in range(4)]} for _ in range(2000)]
    resources = [dict(sorted({**resource(index), **extra[index]}.items())) for index in range(2000)]
    return {"resources": resources}


CASES: dict[str, tuple[Any, cty.Type]] = {
    "one resource": (resource(1), RESOURCE),
    "10,000 texts": ([f"value-{each:05}" for each in range(10_000)], List(STRING)),
    "10,000 numbers": (list(range(10_000)), List(NUMBER)),
    "set of 10,000 texts": ([f"value-{each:05}" for each in range(10_000)], Set(STRING)),
    "10,000 objects": ([rule(each) for each in range(10_000)], List(RULE)),
    "set of 1,000 objects": ([rule(each) for each in range(1000)], Set(RULE)),
    "state of 2,000 resources": (large_state(), STATE),
    "dynamic, 1,000 objects": ({"any": [rule(each) for each in range(1000)]}, Object({"any": DYNAMIC})),
}


QUICK_CASES = ("one resource", "10,000 numbers")

KINDS = ("encode", "decode", "to JSON", "from JSON", "convert")
GROUP = "Values"

BENCH = Bench(
    name="cty",
    title="Values of Terraform providers",
    anchor="values-of-terraform-providers",
    minutes=1.2,
    repetitions=9,
    tables=(
        Table(
            GROUP,
            tuple(f"{kind} ns" for kind in KINDS),
            ("encode ns", "decode ns"),
            {"ferrule": "naive Python", "msgpack alone": "naive Python", "go-cty": "naive Python"},
            case="values",
        ),
    ),
    charts={
        "cty": ratio_chart(
            "Values relative to a naive conversion in Python around msgpack",
            Panel("CPU of encoding", GROUP, "encode ns"),
            Panel("CPU of decoding", GROUP, "decode ns"),
        )
    },
    programs=("cty",),
    packages=("ferrule", "msgpack"),
)

Sides = dict[str, dict[str, Callable[[], Any]]]


def count(value: Any) -> int:
    """Values that have no parts."""
    if isinstance(value, dict):
        return sum(map(count, value.values())) or 1
    return sum(map(count, value)) or 1 if isinstance(value, list) else 1


def naive_packable(value: Any, of: Any) -> Any:
    """The form that msgpack packs, by a type in its JSON notation."""
    if value is None:
        return None
    if value is cty.UNKNOWN:
        return msgpack.ExtType(0, b"\0")
    if of == "dynamic":
        own = json.loads(cty.implied_type(value).json)
        return [json.dumps(own, separators=(",", ":"), sort_keys=True).encode(), naive_packable(value, own)]
    if isinstance(of, str):
        return value
    kind, inner = of
    if kind in ("list", "set"):
        return [naive_packable(each, inner) for each in value]
    if kind == "tuple":
        return [naive_packable(each, one) for each, one in zip(value, inner, strict=True)]
    if kind == "map":
        return {key: naive_packable(value[key], inner) for key in sorted(value)}
    return {name: naive_packable(value[name], inner[name]) for name in sorted(inner)}


def naive_value(raw: Any, of: Any) -> Any:
    """The reverse."""
    if raw is None:
        return None
    if isinstance(raw, msgpack.ExtType):
        return cty.UNKNOWN
    if of == "dynamic":
        return naive_value(raw[1], json.loads(raw[0]))
    if isinstance(of, str):
        return raw
    kind, inner = of
    if kind in ("list", "set"):
        return [naive_value(each, inner) for each in raw]
    if kind == "tuple":
        return [naive_value(each, one) for each, one in zip(raw, inner, strict=True)]
    if kind == "map":
        return {key: naive_value(each, inner) for key, each in raw.items()}
    return {key: naive_value(each, inner[key]) for key, each in raw.items()}


def sides(value: Any, of: cty.Type) -> Sides:
    """The calls that take turns, by side and kind."""
    # Sets in cty's order, which the naive side does not know.
    value = cty.decode(cty.encode(value, of), of)
    data, notation = cty.encode(value, of), json.loads(of.json)
    text = cty.encode_json(value, of)
    return {
        "ferrule": {
            "encode": lambda: cty.encode(value, of),
            "decode": lambda: cty.decode(data, of),
            "to JSON": lambda: cty.encode_json(value, of),
            "from JSON": lambda: cty.decode_json(text, of),
            "convert": lambda: cty.convert(value, of),
        },
        "naive Python": {
            "encode": lambda: msgpack.packb(naive_packable(value, notation)),
            "decode": lambda: naive_value(msgpack.unpackb(data, ext_hook=msgpack.ExtType), notation),
        },
        "msgpack alone": {
            "encode": lambda: msgpack.packb(value),
            "decode": lambda: msgpack.unpackb(data),
        },
    }


def check(calls: Sides) -> None:
    ours, naive = calls["ferrule"], calls["naive Python"]
    assert ours["encode"]() == naive["encode"]()
    assert ours["decode"]() == naive["decode"]() == ours["from JSON"]() == ours["convert"]()


def nanoseconds(call: Callable[[], Any], values: int) -> float:
    """CPU time for each value."""
    # Small cases are called often enough for the clock.
    times = max(1, 2000 // values)
    gc.collect()
    begin = time.process_time_ns()
    for _ in range(times):
        call()
    return (time.process_time_ns() - begin) / times / values


def go_nanoseconds(program: Path, value: Any, of: cty.Type, values: int) -> dict[str, float]:
    """CPU time of the program in Go for each of the same values."""
    asked = {"op": "measure", "type": of.json, "data": cty.encode(value, of).hex(), "repetitions": 1}
    done = subprocess.run([program], input=json.dumps(asked), capture_output=True, text=True, check=True)
    return {kind: each / values for kind, each in json.loads(done.stdout).items()}


def turn(calls: Sides, values: int) -> Iterator[tuple[str, dict[str, float | None]]]:
    """One repetition of a case: each side's nanoseconds by measure."""
    for side, kinds in calls.items():
        yield side, {f"{kind} ns": nanoseconds(kinds[kind], values) if kind in kinds else None for kind in KINDS}


def measure(arguments: argparse.Namespace, run: Run) -> None:
    """Run all repetitions, case by case: a repetition is short, and its sides take turns."""
    run.settings = f"{arguments.repetitions} repetitions; nanoseconds of CPU for each text, number or bool"
    for name in QUICK_CASES if arguments.quick else CASES:
        print(name, file=sys.stderr)
        value, of = CASES[name]
        calls, values = sides(value, of), count(value)
        check(calls)
        for _ in range(arguments.repetitions):
            for side, found in turn(calls, values):
                run.add(GROUP, name, side, found)
            in_go = go_nanoseconds(arguments.programs / "cty", value, of, values)
            run.add(GROUP, name, "go-cty", {f"{kind} ns": in_go.get(kind) for kind in KINDS})


if __name__ == "__main__":
    run_bench(BENCH, measure, parser_of(BENCH, __doc__))
