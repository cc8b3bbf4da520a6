"""`with` on an object of asyncio, and `async with` on a blocking one: the error says which one it is."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack
from typing import Any

import pytest

import ferrule
import ferrule.sync
from ferrule import terraform
from ferrule.pool import PluginPool, PluginSpec

SPEC = PluginSpec(["kv"])


async def asyncio_objects() -> list[Any]:
    pool = PluginPool()
    client = ferrule.RPCPluginClient(["kv"])
    return [client, pool, pool.lease(SPEC), terraform.Provider.launch("/nowhere/terraform-provider-x")]


def blocking_objects(pool: ferrule.sync.PluginPool) -> list[Any]:
    client = ferrule.sync.RPCPluginClient(["kv"])
    return [client, pool, pool.lease(SPEC), ferrule.sync.Provider.launch("/nowhere/terraform-provider-x")]


async def test_with_names_async_with_and_the_blocking_twin() -> None:
    for each in await asyncio_objects():
        with pytest.raises(TypeError, match=rf'^{type(each).__name__} is entered by "async with"; ferrule\.sync has'):
            with each:
                pass
        with ExitStack() as stack, pytest.raises(TypeError):
            stack.enter_context(each)
        assert not hasattr(each, "__enter__")
        assert not isinstance(each, AbstractContextManager)
        assert isinstance(each, AbstractAsyncContextManager)


async def test_async_with_names_with() -> None:
    with ferrule.sync.PluginPool() as pool:
        for each in blocking_objects(pool):
            with pytest.raises(TypeError, match=rf'^{type(each).__name__} of ferrule\.sync is entered by "with"'):
                async with each:
                    pass
            assert not hasattr(each, "__aenter__")
            assert not isinstance(each, AbstractAsyncContextManager)
            assert isinstance(each, AbstractContextManager)
