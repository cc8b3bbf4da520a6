"""The cost of encoding and decoding Terraform's values, beside the package `msgpack` with a naive conversion in Python.

The naive conversion is what programs do that talk to providers without a library: led by the type, it makes sets of
lists and unknown values of extensions, and checks nothing: no NFC, no numbers beyond 64 bits, no order of sets, no
paths in errors. The values here have none of that, so that both give the same bytes and the same values, which is
checked first.

All sides take turns in one process, and the CPU time of a call is divided by the values in it (text, numbers and
bools). With `--go PROGRAM` a program in Go with go-cty takes part, `build/go/cty` of `make go-peers`. Run it as `python
benches/cty.py`."""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import msgpack

from ferrule.terraform import cty
from ferrule.terraform.cty import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set

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


def sides(value: Any, of: cty.Type) -> dict[str, Callable[[], Any]]:
    """The calls that take turns."""
    # Sets in cty's order, which the naive side does not know.
    value = cty.decode(cty.encode(value, of), of)
    data, notation = cty.encode(value, of), json.loads(of.json)
    text = cty.encode_json(value, of)
    return {
        "encode": lambda: cty.encode(value, of),
        "encode, naive": lambda: msgpack.packb(naive_packable(value, notation)),
        "encode, msgpack alone": lambda: msgpack.packb(value),
        "decode": lambda: cty.decode(data, of),
        "decode, naive": lambda: naive_value(msgpack.unpackb(data, ext_hook=msgpack.ExtType), notation),
        "decode, msgpack alone": lambda: msgpack.unpackb(data),
        "to JSON": lambda: cty.encode_json(value, of),
        "from JSON": lambda: cty.decode_json(text, of),
        "convert": lambda: cty.convert(value, of),
    }


def check(calls: dict[str, Callable[[], Any]]) -> None:
    assert calls["encode"]() == calls["encode, naive"]()
    assert calls["decode"]() == calls["decode, naive"]() == calls["from JSON"]() == calls["convert"]()


def measure(calls: dict[str, Callable[[], Any]], repetitions: int, values: int) -> dict[str, float]:
    """Nanoseconds of CPU time for each value: the median of the repetitions."""
    # Small cases are called often enough for the clock.
    times = max(1, 2000 // values)
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repetitions):
        for name, call in calls.items():
            gc.collect()
            begin = time.process_time_ns()
            for _ in range(times):
                call()
            spent[name].append((time.process_time_ns() - begin) / times / values)
    return {name: statistics.median(each) for name, each in spent.items()}


def go_times(program: str, repetitions: int) -> dict[str, dict[str, float]]:
    """The figures of the program in Go for the same values: nanoseconds of CPU time for each."""
    found: dict[str, dict[str, float]] = {}
    for name, (value, of) in CASES.items():
        asked = {"op": "measure", "type": of.json, "data": cty.encode(value, of).hex(), "repetitions": repetitions}
        answer = json.loads(
            subprocess.run([program], input=json.dumps(asked), capture_output=True, text=True, check=True).stdout
        )
        found[name] = {side: each / count(value) for side, each in answer.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--go", metavar="PROGRAM", help="build/go/cty, of `make go-peers`")
    options = parser.parse_args()
    in_go = go_times(options.go, options.repetitions) if options.go else {}
    print("Nanoseconds of CPU time for each value; in parentheses the naive conversion, msgpack alone, and go-cty.\n")
    print("| Values | bytes | encode | decode | to JSON | from JSON | convert |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, (value, of) in CASES.items():
        calls = sides(value, of)
        check(calls)
        spent = measure(calls, options.repetitions, count(value))
        cells = [f"{len(calls['encode']()):,}"]
        for side in ("encode", "decode"):
            rivals = [spent[f"{side}, naive"], spent[f"{side}, msgpack alone"]]
            rivals += [in_go[name][side]] if in_go else []
            cells.append(f"{spent[side]:.0f} ({', '.join(f'{each:.0f}' for each in rivals)})")
        cells += [f"{spent[side]:.0f}" for side in ("to JSON", "from JSON", "convert")]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
