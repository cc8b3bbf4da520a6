"""Unmodified providers in pools, of protocol 5 and of protocol 6."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ferrule import sync
from ferrule.pool import Lease, OutcomeUnknown, PluginPool, PluginSpec
from ferrule.terraform import ApplyError, Provider, ResourceState, provider_spec
from integration.processes import stop
from peers import provider_path
from waiting import until

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
            assert isinstance(caught.value.__cause__, OutcomeUnknown)
            # By the replacement, within the lease.
            static = provider.resource("time_static")
            assert await static.read(state) == state
            again = await static.apply(await static.plan({}))
            assert again is not None


async def test_a_read_is_made_again_by_the_replacement() -> None:
    spec = provider_spec(provider_path("time"), {})
    async with PluginPool() as pool, pool.lease(spec) as lease, Provider.over(lease) as provider:
        state = await created(lease, "time_static", {})
        stop(lease.pid)
        sent = lease.client.bytes_sent
        reading = asyncio.create_task(provider.resource("time_static").read(state))
        await until(lambda: lease.client.bytes_sent > sent)
        os.kill(lease.pid, signal.SIGKILL)
        assert await reading == state


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


def test_the_blocking_face(tmp_path: Path) -> None:
    path = tmp_path / "greeting"
    spec = provider_spec(provider_path("local"), {})
    with sync.PluginPool() as pool:
        with pool.lease(spec) as lease, sync.Provider.over(lease) as provider:
            assert f"pid {lease.pid}, configured" in repr(provider)
            assert provider.client is None
            file = provider.resource("local_file")
            plan = file.plan({"filename": str(path), "content": "hello"})
        with pool.lease(spec) as lease, sync.Provider.over(lease) as provider:
            file = provider.resource("local_file")
            state = file.apply(plan)
            assert state is not None
            os.kill(lease.pid, signal.SIGKILL)
            # By the replacement, which is configured and asked for its schema as the first was.
            assert file.read(state) == state
            file.destroy(state)
            assert not path.exists()
        with pytest.raises(TypeError, match=r"expected a ferrule\.sync"):
            sync.Provider.over(pool)  # type: ignore[arg-type]


def test_a_process_that_is_killed_in_a_blocking_apply() -> None:
    spec = provider_spec(provider_path("time"), {})
    with sync.PluginPool() as pool, pool.lease(spec) as lease, sync.Provider.over(lease) as provider:
        sleep = provider.resource("time_sleep")
        plan = sleep.plan({"create_duration": "60s"})
        killing = threading.Timer(0.05, os.kill, (lease.pid, signal.SIGKILL))
        killing.start()
        with pytest.raises(ApplyError, match="may have happened") as caught:
            sleep.apply(plan)
        killing.join()
        assert (caught.value.outcome, caught.value.exit_status) == ("unknown", -signal.SIGKILL)
        assert isinstance(caught.value.__cause__, OutcomeUnknown)
        assert provider.resource("time_static").plan({}).action == "create"


def test_ctrl_c_stops_nobody_elses_apply() -> None:
    spec, impatient = (provider_spec(provider_path("time"), {}, stop_timeout=each) for each in (30, 0.1))
    with sync.PluginPool() as pool, pool.lease(spec) as lease, sync.Provider.over(lease) as provider:
        with ThreadPoolExecutor(1) as threads, pool.lease(impatient) as second, sync.Provider.over(second) as other:
            sleep = provider.resource("time_sleep")
            others = threads.submit(sleep.apply, sleep.plan({"create_duration": "1s"}))
            sleep = other.resource("time_sleep")
            interrupting = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
            interrupting.start()
            with pytest.raises(KeyboardInterrupt) as caught:
                sleep.apply(sleep.plan({"create_duration": "60s"}))
            interrupting.join()
            error = ApplyError.of(caught.value)
            assert error is not None
            assert (error.outcome, "works for others too" in str(error.__cause__)) == ("unknown", True)
            assert others.result() is not None
