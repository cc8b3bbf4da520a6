"""Blocks of `async with` whose coroutine is closed: without a loop nothing can be awaited, in a generator it can."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ferrule import _core
from ferrule.client import RPCPluginClient
from ferrule.pool import Lease, PluginPool, PluginSpec
from ferrule.server import RPCPluginServer
from ferrule.terraform import Provider
from ferrule.testing import KV_CONFIG
from integration.kv import kv_client
from peers import go_peer, kv_config, python_kv
from waiting import wait_until

pytestmark = pytest.mark.timeout(60)

Block = Callable[[Callable[[], None]], Coroutine[Any, Any, None]]


def close_outside_of_its_loop(block: Block) -> None:
    """Runs a block until it stops its loop, closes the loop, and then the block's coroutine."""
    loop = asyncio.new_event_loop()
    # Of tasks that the loop was closed with.
    loop.set_exception_handler(lambda _loop, _context: None)
    coroutine = block(loop.stop)
    task = loop.create_task(coroutine)
    loop.run_forever()
    loop.close()
    with contextlib.suppress(ValueError):
        coroutine.close()
    del task, coroutine
    gc.collect()


async def client_block(stop: Callable[[], None]) -> None:
    async with kv_client(python_kv()):
        stop()
        await asyncio.Event().wait()


async def failing_block(stop: Callable[[], None]) -> None:
    async with kv_client(python_kv()):
        try:
            stop()
            await asyncio.Event().wait()
        finally:
            raise ValueError("another end")


async def pool_block(stop: Callable[[], None]) -> None:
    async with PluginPool(metrics_socket=True) as pool, pool.lease(PluginSpec(python_kv(), kv_config())):
        stop()
        await asyncio.Event().wait()


async def provider_block(stop: Callable[[], None]) -> None:
    async with Provider.launch(go_peer("terraform-provider-simple"), {}, schema_cache=False):
        stop()
        await asyncio.Event().wait()


async def server_block(stop: Callable[[], None]) -> None:
    async with RPCPluginServer(lambda _server, _broker: None, KV_CONFIG, test=True):
        stop()
        await asyncio.Event().wait()


async def starting_server_block(stop: Callable[[], None]) -> None:
    async def register(_server: object, _broker: object) -> None:
        stop()
        await asyncio.Event().wait()

    async with RPCPluginServer(register, KV_CONFIG, test=True):
        pass


@pytest.mark.filterwarnings("ignore:.* was never closed:ResourceWarning")
@pytest.mark.parametrize(
    "block",
    [
        client_block,
        failing_block,
        pool_block,
        pytest.param(provider_block, marks=pytest.mark.go),
        server_block,
        starting_server_block,
    ],
)
def test_block_without_its_loop_leaves_nothing(
    block: Block, temporary_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(temporary_directory))
    (temporary_directory / "ferrule").mkdir(mode=0o700)
    close_outside_of_its_loop(block)
    wait_until(lambda: _core.live_plugins() == 0, "the plugin's end")
    wait_until(lambda: not list(temporary_directory.glob("ferrule-*")), "the end of its sockets")
    (temporary_directory / "ferrule").rmdir()


async def test_generator_that_its_loop_closes_stops_its_plugin() -> None:
    clients: list[RPCPluginClient] = []

    async def started() -> AsyncIterator[RPCPluginClient]:
        async with kv_client(python_kv()) as client:
            clients.append(client)
            yield client

    generator = started()
    assert isinstance(generator, AsyncGenerator)
    await anext(generator)
    await generator.aclose()
    report = clients[0].stop_report
    assert report is not None
    assert report.rung == "shutdown"
    assert not clients[0].is_started


async def test_generator_that_its_loop_closes_closes_its_pool() -> None:
    spec = PluginSpec(python_kv(), kv_config())
    pools: list[PluginPool] = []

    async def leased() -> AsyncIterator[Lease]:
        async with PluginPool() as pool, pool.lease(spec) as lease:
            pools.append(pool)
            yield lease

    generator = leased()
    assert isinstance(generator, AsyncGenerator)
    await anext(generator)
    await generator.aclose()
    assert repr(pools[0]) == "<PluginPool 'pool': the pool is closed>"
    assert _core.live_plugins() == 0
