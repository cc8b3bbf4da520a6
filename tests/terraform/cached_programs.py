"""Programs whose schemas are cached, and what fetches them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from ferrule.terraform.messages import Protocol
from ferrule.terraform.schema import cache as cache_module
from ferrule.terraform.schema.cache import Answers, SchemaCache
from ferrule.terraform.schema.program import program_of
from terraform.schema_oracle import answer

PROTOCOL = Protocol.of(6)


def answers(version: int = 1, **fields: Any) -> Answers:
    return Answers(answer(6, "GetProviderSchema", resource_schemas={"thing": {"version": version}}, **fields), b"")


class Fetcher:
    """Counts its calls."""

    def __init__(self, result: Answers | None = None) -> None:
        self.calls = 0
        self.result = result or answers()

    def __call__(self) -> Answers:
        self.calls += 1
        return self.result

    async def awaited(self) -> Answers:
        await asyncio.sleep(0)
        return self()


def make_program(path: Path, content: bytes = b"one") -> Path:
    path.write_bytes(b"\x7fELF" + content)
    path.chmod(0o755)
    return path


def search(folder: Path, program: Path, fetch: Fetcher, protocol: Protocol = PROTOCOL) -> bool:
    """As another process would: whether the provider was called."""
    cache_module._forget_flights()
    cache = SchemaCache(folder)
    found = cache.schema_blocking(program_of([program]), protocol, fetch)
    cache.flush()
    assert found.schema.resources["thing"].version == 1
    return found.fetched
