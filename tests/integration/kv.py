"""The two KV plugins as the tests of this directory use them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ferrule.client import RPCPluginClient
from ferrule.testing import KVStub
from peers import go_kv, kv_config, python_kv

GO = pytest.param(go_kv, id="go", marks=pytest.mark.go)
PYTHON = pytest.param(python_kv, id="python")
both_plugins = pytest.mark.parametrize("plugin", [GO, PYTHON])


def kv_client(command: list[str], **settings: Any) -> RPCPluginClient:
    """A client for a KV plugin, not started."""
    return RPCPluginClient(command, kv_config(**settings))


def kv_stub(client: RPCPluginClient) -> Any:
    """The stub of a started client."""
    return KVStub(client.grpc_channel)


@contextlib.asynccontextmanager
async def started(command: list[str], **settings: Any) -> AsyncIterator[tuple[RPCPluginClient, Any]]:
    """A started client and its stub; shut down and closed in the end."""
    async with kv_client(command, **settings) as client:
        yield client, kv_stub(client)
