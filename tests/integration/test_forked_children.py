"""Children that a plugin forks end by their own signals, and the plugin goes on."""

from __future__ import annotations

import pytest

from ferrule.testing.kv_pb2 import PutRequest
from integration.kv import started
from integration.server_process import deed, plugin
from waiting import LIMIT

pytestmark = pytest.mark.timeout(60)

# What gRPC does in a child is not what this is about.
WITHOUT_GRPC = {"GRPC_ENABLE_FORK_SUPPORT": "0"}


@pytest.mark.parametrize(("number", "status"), [("SIGTERM", b"-15"), ("SIGINT", b"runs"), ("SIGUSR1", b"-10")])
async def test_signal_for_a_child_is_its_own(number: str, status: bytes) -> None:
    async with started(plugin(), env=WITHOUT_GRPC) as (client, kv):
        for _ in range(5):
            assert await deed(client.grpc_channel, "fork", number.encode()) == status
        # The plugin takes its own as before.
        await deed(client.grpc_channel, "interrupt")
        await kv.Put(PutRequest(key="k"), timeout=LIMIT)
        await client.shutdown_plugin()
        assert client.exit_status == 0


async def test_pool_made_while_registering() -> None:
    async with started(plugin("pool"), env=WITHOUT_GRPC) as (client, kv):
        assert await deed(client.grpc_channel, "square", b"12") == b"144"
        await kv.Put(PutRequest(key="k"), timeout=LIMIT)
        await client.shutdown_plugin()
        assert client.exit_status == 0
