"""Unmodified providers in pools, of protocol 5 and of protocol 6."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ferrule.errors import RPCPluginError
from ferrule.pool import Lease, PluginPool, PluginSpec
from ferrule.terraform import ApplyError, Provider, ResourceState, provider_spec
from peers import provider_path

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks"), pytest.mark.go]


async def created(lease: Lease, resource: str, config: dict[str, Any]) -> ResourceState:
    async with Provider.over(lease) as provider:
        handle = provider.resource(resource)
        state = await handle.apply(await handle.plan(config))
    assert state is not None
    return state


@pytest.mark.parametrize(
    ("name", "resource", "config"),
    [
        ("time", "time_static", {"rfc3339": "2020-02-12T06:36:13Z"}),
        ("local", "local_file", {"content": "hello"}),
        ("simple", "simple_resource", {"value": "hello"}),
    ],
)
async def test_plan_apply_read_and_destroy(name: str, resource: str, config: dict[str, str], tmp_path: Path) -> None:
    if name == "local":
        config = {**config, "filename": str(tmp_path / "greeting")}
    spec = provider_spec(provider_path(name), {})
    async with PluginPool() as pool:
        state = await pool.run(spec, created, resource, config)
        async with pool.lease(spec) as lease, Provider.over(lease) as provider:
            handle = provider.resource(resource)
            assert await handle.read(state) == state
            await handle.destroy(state)
    assert not (tmp_path / "greeting").exists()


async def received(spec: PluginSpec, resource: str) -> int:
    """Bytes that a process of the pool has answered before its first lease."""
    async with PluginPool() as pool, pool.lease(spec) as lease, Provider.over(lease) as provider:
        assert resource in (await provider.schema()).resources
        return lease.client.traffic.content_received


@pytest.mark.parametrize(
    ("name", "resource", "is_asked"), [("time", "time_static", False), ("local", "local_file", True)]
)
async def test_no_process_answers_its_schema_unless_it_wants_to(name: str, resource: str, is_asked: bool) -> None:
    """A provider without `get_provider_schema_optional` fails before it was asked."""
    spec = provider_spec(provider_path(name), {})
    asked = await received(provider_spec(provider_path(name), {}, schema_cache=False), resource)
    # The schema is from a process that ended, then from the disk.
    for _ in range(2):
        assert (await received(spec, resource) > asked / 2) == is_asked


async def sleeping(provider: Provider, seconds: int) -> asyncio.Task[ResourceState | None]:
    """An apply that the provider is at."""
    sleep = provider.resource("time_sleep")
    task = asyncio.create_task(sleep.apply(await sleep.plan({"create_duration": f"{seconds}s"})))
    # The provider has got the call when it answers later ones.
    for _ in range(3):
        await provider.validate({})
    return task


async def test_a_process_that_is_killed_in_an_apply() -> None:
    async with PluginPool() as pool:
        spec = provider_spec(provider_path("time"), {})
        async with pool.lease(spec) as lease, Provider.over(lease) as provider:
            state = await created(lease, "time_static", {})
            task = await sleeping(provider, 60)
            os.kill(lease.pid, signal.SIGKILL)
            with pytest.raises(ApplyError, match="may have happened") as caught:
                await task
        assert (caught.value.outcome, caught.value.exit_status) == ("unknown", -signal.SIGKILL)
        assert isinstance(caught.value.__cause__, RPCPluginError)
        async with pool.lease(spec) as lease, Provider.over(lease) as provider:
            assert await provider.resource("time_static").read(state) == state


async def test_a_cancelled_apply_stops_nobody_elses() -> None:
    async with PluginPool() as pool:
        spec = provider_spec(provider_path("time"), {})
        impatient = provider_spec(provider_path("time"), {}, stop_timeout=0.1)
        async with pool.lease(spec) as lease, Provider.over(lease) as other:
            async with pool.lease(impatient) as second, Provider.over(second) as provider:
                assert lease.is_shared
                others = await sleeping(other, 1)
                task = await sleeping(provider, 60)
                task.cancel()
                with pytest.raises(asyncio.CancelledError) as caught:
                    await task
                error = ApplyError.of(caught.value)
                assert error is not None
                assert (error.outcome, "works for others too" in str(error.__cause__)) == ("unknown", True)
                assert await others is not None
            assert not lease.is_shared
            task = await sleeping(other, 60)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            error = ApplyError.of(caught.value)
            assert error is not None
            assert (error.outcome, "context canceled" in str(error)) == ("failed", True)
