"""Go's KV plugin in blocking pools."""

from __future__ import annotations

from typing import Any

from ferrule.pool import (
    PluginSpec,
)
from ferrule.testing import KV_CONFIG, KVStub
from ferrule.testing.kv_pb2 import GetRequest, PutRequest
from peers import go_peer
from waiting import LIMIT


def kv(**settings: Any) -> PluginSpec:
    return PluginSpec([go_peer("kv")], KV_CONFIG, **{"name": "kv", **settings})


def put(lease: Any, key: str = "a", value: bytes = b"1") -> None:
    lease.stub(KVStub).Put(PutRequest(key=key, value=value), timeout=LIMIT)


def get(lease: Any, key: str = "a") -> bytes:
    value: bytes = lease.stub(KVStub).Get(GetRequest(key=key), timeout=LIMIT).value
    return value


def holds(lease: Any) -> int:
    """Leases of a plugin as the policy counts them, with those that are kept."""
    return len(lease._held.plugin.holds)
