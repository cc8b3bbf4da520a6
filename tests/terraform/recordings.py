"""What real cores and real providers have said to each other."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ORACLE = Path(__file__).parent / "oracle"
SCHEMAS = sorted(path.name.removesuffix(".json.gz") for path in (ORACLE / "schemas").iterdir())


@dataclass(frozen=True)
class Exchange:
    """One call: fields of both messages in the recording's notation, and their bytes."""

    protocol: int
    method: str
    request: dict[str, Any]
    response: dict[str, Any]
    request_bytes: bytes
    response_bytes: bytes


def scenarios(name: str) -> Iterator[dict[str, Any]]:
    """The runs of one recording, such as `opentofu-6`."""
    with gzip.open(ORACLE / f"recorded-{name}.jsonl.gz", "rt") as lines:
        yield from map(json.loads, lines)


def exchanges(name: str) -> Iterator[Exchange]:
    """Each different call of a recording once."""
    seen = set()
    for scenario in scenarios(name):
        for step in scenario["steps"]:
            for call in step.get("calls", ()):
                key = call["method"], call["request_bytes"], call["response_bytes"]
                if key not in seen:
                    seen.add(key)
                    yield Exchange(
                        scenario["protocol"],
                        call["method"],
                        call["request"],
                        call["response"],
                        bytes.fromhex(call["request_bytes"]),
                        bytes.fromhex(call["response_bytes"]),
                    )


def schema(name: str) -> dict[str, Any]:
    """One document of the folder of schemas: `label`, `source`, `raw`, and what both tools print."""
    document: dict[str, Any] = json.loads(gzip.decompress((ORACLE / "schemas" / f"{name}.json.gz").read_bytes()))
    return document
