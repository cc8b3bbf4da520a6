"""The KV plugins behind the blocking client, and threads that use it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ferrule.sync import RPCPluginClient
from ferrule.testing import KVStub
from peers import kv_config


def sync_client(command: list[str], **settings: Any) -> RPCPluginClient:
    """A client for a KV plugin, not started."""
    return RPCPluginClient(command, kv_config(**settings))


@contextlib.contextmanager
def sync_started(command: list[str], **settings: Any) -> Iterator[tuple[RPCPluginClient, Any]]:
    """A started client and its stub; shut down and closed in the end."""
    with sync_client(command, **settings) as client:
        yield client, KVStub(client.grpc_channel)


def in_thread(work: Callable[..., Any], *args: Any) -> Future[Any]:
    """Runs work on a thread of its own."""
    threads = ThreadPoolExecutor(1)
    future = threads.submit(work, *args)
    # The thread ends with its work.
    threads.shutdown(wait=False)
    return future
