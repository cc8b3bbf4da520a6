"""The recorded answers of real providers, and their schemas."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from ferrule.terraform.messages import Protocol
from ferrule.terraform.schema import ProviderSchema

ORACLE = Path(__file__).parent / "oracle"
SCHEMA_METHODS = {5: "GetSchema", 6: "GetProviderSchema"}
NAMES = [path.name.removesuffix(".json.gz") for path in sorted((ORACLE / "schemas").iterdir())]


@cache
def recording(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress((ORACLE / "schemas" / f"{name}.json.gz").read_bytes()))
    return found


def answers(name: str) -> tuple[int, bytes, bytes | None]:
    """The protocol, the answer to GetProviderSchema, and the one to GetResourceIdentitySchemas if there is one."""
    raw = recording(name)["raw"]
    identity = raw["GetResourceIdentitySchemas"]
    protocol = raw["protocol"]
    schema = bytes.fromhex(raw[SCHEMA_METHODS[protocol]])
    return protocol, schema, bytes.fromhex(identity) if isinstance(identity, str) else None


def recorded_schema(name: str) -> ProviderSchema:
    protocol, schema, identity = answers(name)
    return ProviderSchema.of(Protocol.of(protocol), schema, identity)
