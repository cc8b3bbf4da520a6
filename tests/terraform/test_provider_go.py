"""Both faces on unmodified providers, of protocol 5 on both of HashiCorp's SDKs and of protocol 6."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ferrule import sync
from ferrule.errors import RPCPluginError
from ferrule.terraform import Action, ApplyError, ConfigurationError, Provider, ProviderError, ResourceState
from ferrule.terraform.state import ResourceState as State
from peers import provider_path

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks"), pytest.mark.go]


def launched(name: str, **settings: Any) -> Provider:
    return Provider.launch(provider_path(name), {}, schema_cache=False, settings=settings)


async def test_time() -> None:
    async with launched("time") as provider:
        static = provider.resource("time_static")
        plan = await static.plan({"rfc3339": "2020-02-12T06:36:13Z"})
        assert (plan.action, plan.unknown) == (Action.CREATE, ())
        assert plan.action == "create"
        state = await static.apply(plan)
        assert state is not None
        assert (state.attributes["unix"], state.attributes["triggers"]) == (1581489373, None)
        stored = ResourceState.from_json(state.to_json())
        assert await static.read(stored) == state
        plan = await static.plan({"rfc3339": "2021-02-12T06:36:13Z"}, prior=stored)
        assert plan.action is Action.REPLACE
        assert "# forces replacement" in str(plan)
        state = await static.apply(plan)
        assert state is not None
        await static.destroy(state)
        assert (await static.import_("2020-02-12T06:36:13Z")).attributes["year"] == 2020
        with pytest.raises(ProviderError):
            await static.import_("yesterday")
        offset = provider.resource("time_offset")
        with pytest.raises(ConfigurationError, match=r'offset_days: .*"tomorrow"'):
            await offset.plan({"offset_days": "tomorrow"})
        with pytest.raises(ProviderError, match="offset"):
            await offset.plan({})


async def test_local(tmp_path: Path) -> None:
    path = tmp_path / "greeting"
    async with launched("local") as provider:
        file = provider.resource("local_file")
        state = await file.apply(await file.plan({"filename": str(path), "content": "hello"}))
        assert path.read_text() == "hello"
        assert await provider.data("local_file").read({"filename": str(path)}) == {
            "content": "hello",
            "content_base64": "aGVsbG8=",
            "filename": str(path),
            "id": "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
        }
        assert state is not None
        path.unlink()
        assert await file.read(state) is None
        state = await file.apply(await file.plan({"filename": str(path), "content": "hello"}))
        assert state is not None
        await file.destroy(state)
        assert not path.exists()


async def test_simple() -> None:
    async with launched("simple") as provider:
        simple = provider.resource("simple_resource")
        plan = await simple.plan({"value": "hello", "value_wo": "s3cret"})
        assert "s3cret" not in f"{plan}{plan!r}"
        state = await simple.apply(plan)
        assert state is not None
        assert (state.attributes["value"], state.attributes["value_wo"]) == ("hello", None)


async def sleeping(provider: Provider) -> asyncio.Task[State | None]:
    """An apply that the provider is at, for a minute."""
    sleep = provider.resource("time_sleep")
    plan = await sleep.plan({"create_duration": "60s"})
    task = asyncio.create_task(sleep.apply(plan))
    # The provider has got the call when it answers later ones.
    for _ in range(3):
        await provider.validate({})
    return task


@pytest.mark.parametrize("channel", ["native", "grpcio"])
async def test_a_cancelled_apply_is_stopped(channel: str) -> None:
    async with launched("time", channel=channel) as provider:
        task = await sleeping(provider)
        begin = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        error = ApplyError.of(caught.value)
        assert error is not None
        assert (error.outcome, "context canceled" in str(error)) == ("failed", True)
        assert time.monotonic() - begin < 30


async def test_a_provider_that_is_killed_in_an_apply() -> None:
    async with launched("time") as provider:
        task = await sleeping(provider)
        assert provider.client is not None
        assert provider.client.pid is not None
        os.kill(provider.client.pid, signal.SIGKILL)
        with pytest.raises(ApplyError, match="may have happened") as caught:
            await task
        assert (caught.value.outcome, caught.value.exit_status) == ("unknown", -signal.SIGKILL)
        with pytest.raises(RPCPluginError):
            await provider.resource("time_static").plan({})


def test_a_provider_that_is_killed_in_a_blocking_apply() -> None:
    with sync.Provider.launch(provider_path("time"), {}, schema_cache=False) as provider:
        sleep = provider.resource("time_sleep")
        plan = sleep.plan({"create_duration": "60s"})
        assert provider.client is not None
        assert provider.client.pid is not None
        thread = threading.Timer(0.05, os.kill, (provider.client.pid, signal.SIGKILL))
        thread.start()
        with pytest.raises(ApplyError, match="may have happened") as caught:
            sleep.apply(plan)
        thread.join()
        assert (caught.value.outcome, caught.value.exit_status) == ("unknown", -signal.SIGKILL)


FIRST_USE = """\
import asyncio, sys, time
from ferrule.terraform import Provider

async def life():
    async with Provider.launch(sys.argv[1], {}, schema_cache=False) as provider:
        static = provider.resource("time_static")
        await static.destroy(await static.apply(await static.plan({})))

async def main():
    task, found = asyncio.ensure_future(life()), [0.0]
    while not task.done():
        begin = time.thread_time()
        await asyncio.sleep(0.001)
        found.append(time.thread_time() - begin)
    await task
    print(max(found))

asyncio.run(main())
"""


async def test_the_first_use_in_a_process_leaves_the_loop_alone() -> None:
    """Much is loaded by it, protobuf above all."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FIRST_USE, provider_path("time"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert float(output) < 0.02
