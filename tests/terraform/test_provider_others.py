"""The async face: data sources, functions, and what else there is; large values."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

import pytest

from ferrule.errors import ConfigError
from ferrule.terraform import (
    UNKNOWN,
    FunctionCallError,
    InvalidResponseError,
    LifecycleError,
    ProviderError,
    ResourceState,
)
from terraform.moody import Moody, attached, created
from waiting import until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks")]


async def test_data_sources(moody_of_each_version: Moody) -> None:
    async with attached(moody_of_each_version) as provider:
        look = provider.data("moody_look")
        assert await look.read({"key": "a"}) == {"key": "a", "value": "A"}
        assert await look.read({"key": UNKNOWN}) == {"key": UNKNOWN, "value": UNKNOWN}
        assert await look.validate({"key": "a"}) == ()
        with pytest.raises(ProviderError, match="key: Nothing there"):
            await look.read({"key": "missing"})
        for key in ("null", "vague"):
            with pytest.raises(InvalidResponseError):
                await look.read({"key": key})


async def test_functions(moody: Moody) -> None:
    async with attached(moody, config=None) as provider:
        assert await provider.functions["shout"](1) == "1"
        assert (await provider.functions.shout.schema()).parameters[0].name == "word"
        with pytest.raises(FunctionCallError, match="silence") as caught:
            await provider.functions.shout("")
        assert caught.value.argument == 0
        with pytest.raises(FunctionCallError):
            await provider.functions.shout()


async def test_an_ephemeral_resource_is_renewed_and_closed(
    moody_of_each_version: Moody, caplog: pytest.LogCaptureFixture
) -> None:
    moody = moody_of_each_version
    async with attached(moody) as provider:
        async with provider.ephemeral("moody_token").open({"role": "renewed"}) as token:
            assert (token.value["token"], token.lost) == ("t0ken", None)
            assert "t0ken" not in repr(token)
            await until(lambda: token.lost)
            assert "No more" in str(token.lost)
            assert token.renew_at is None
        assert moody.calls()[1:] == [
            "OpenEphemeralResource",
            *["RenewEphemeralResource"] * 2,
            "CloseEphemeralResource",
            "closed renewed",
        ]
        with pytest.raises(LifecycleError, match="not open"):
            _ = token.value
        with pytest.raises(LifecycleError, match="opened before"):
            async with token:
                pass
    assert "could not be renewed" in caplog.text
    assert "t0ken" not in caplog.text


async def test_the_providers_end_closes_what_is_open(moody: Moody) -> None:
    async with attached(moody) as provider:
        token = provider.ephemeral("moody_token").open({"role": "short"})
        await token.__aenter__()
        await provider.close()
        assert moody.calls()[-1] == "closed opened"
        await token.close()


async def test_a_cancelled_open_is_closed(moody: Moody) -> None:
    async with attached(moody) as provider:

        async def use() -> None:
            async with provider.ephemeral("moody_token").open({"role": "stop"}):
                pass

        task = asyncio.create_task(use())
        await until(lambda: moody.has_called("OpenEphemeralResource"))
        task.cancel()
        await provider.stop()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert moody.calls()[-1] == "closed opened"


async def test_lists(moody_of_each_version: Moody) -> None:
    async with attached(moody_of_each_version) as provider:
        search = provider.list_resource("moody_thing")
        found = [each async for each in search.list({"prefix": "x"}, limit=3)]
        assert [each.display_name for each in found] == ["x-0", "x-1", "x-2"]
        assert found[0].identity == {"id": "x-0"}
        assert len([each async for each in search.list({})]) == 100
        for wrong in (0, -1, 2**63, "x", 1.5, True):
            with pytest.raises(ConfigError, match=r"setting limit is .*, expected a whole number from 1"):
                await anext(search.list({}, limit=wrong))  # type: ignore[arg-type]
            with pytest.raises(ConfigError, match="setting limit is"):
                await search.validate({}, limit=wrong)  # type: ignore[arg-type]
        with pytest.raises(ProviderError, match="Lost"):
            assert [each async for each in search.list({"prefix": "fail"})] == []


async def test_actions(moody_of_each_version: Moody) -> None:
    async with attached(moody_of_each_version) as provider:
        act = provider.action("moody_act")
        lines: list[str] = []
        await act.invoke({"prefix": "x"}, progress=lines.append)
        assert lines == ["at it"]
        with pytest.raises(ProviderError, match="Broken"):
            await act.invoke({"prefix": "fail"})
        with pytest.raises(InvalidResponseError, match="how the action ended"):
            await act.invoke({"prefix": "endless"})


async def longest_turn(work: Awaitable[Any]) -> float:
    """Processor time of the longest turn of the loop while something goes on, in seconds."""
    task, found = asyncio.ensure_future(work), [0.0]
    while not task.done():
        begin = time.thread_time()
        await asyncio.sleep(0.001)
        found.append(time.thread_time() - begin)
    await task
    return max(found)


async def test_large_values_leave_the_loop_alone(moody: Moody) -> None:
    tags = {f"tag {number}": "x" * 20 for number in range(6_000)}
    async with attached(moody) as provider:

        async def work() -> None:
            state = await created(provider, tags=tags)
            stored = ResourceState.from_json(state.to_json())
            assert await provider.resource("moody_thing").read(stored) == state
            assert state.attributes["tags"] == tags

        # In the loop a step takes 50 ms.
        assert await longest_turn(work()) < 0.02
