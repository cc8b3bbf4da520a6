"""Tests of a plugin with Ferrule's fixtures: `pytest examples/test_with_ferrule.py`.

pytest finds the fixtures by itself. A test that fails shows what its plugins have logged, and with the option
`--ferrule-leak-check=fail` one that leaves plugins behind fails.
"""

from __future__ import annotations

import os
import signal
import time

import grpc
import pytest

from ferrule.pool import PluginSpec
from ferrule.pytest_plugin.fixtures import ClientFactory
from ferrule.sync import PluginPool
from ferrule.testing import KV_CONFIG, KVStub, kv_pb2, plugin_command

KV = PluginSpec(plugin_command(), KV_CONFIG, name="kv")


def test_a_value_is_kept(ferrule_client: ClientFactory) -> None:
    """A plugin of the test's own, which ends with it."""
    client = ferrule_client(plugin_command(), KV_CONFIG)
    kv = KVStub(client.sync_channel)
    kv.Put(kv_pb2.PutRequest(key="colour", value=b"green"))
    assert kv.Get(kv_pb2.GetRequest(key="colour")).value == b"green"
    with pytest.raises(grpc.RpcError):
        kv.Get(kv_pb2.GetRequest(key="shape"))


def test_a_plugin_that_crashes_is_replaced(ferrule_pool: PluginPool) -> None:
    """With `ferrule_scope = session` in pytest's settings, all tests share the pool's plugins."""
    with ferrule_pool.lease(KV) as lease:
        kv = lease.stub(KVStub)
        kv.Put(kv_pb2.PutRequest(key="colour", value=b"green"))
        os.kill(lease.pid, signal.SIGKILL)
        while lease.client.exit_status is None:
            time.sleep(0.001)
        # Nothing of this call reaches the plugin: the pool makes it with the next one, which knows no value yet.
        kv.Put(kv_pb2.PutRequest(key="shape", value=b"round"))
        with pytest.raises(grpc.RpcError):
            kv.Get(kv_pb2.GetRequest(key="colour"))
