"""The async face: applies that are cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ferrule.terraform import ApplyError, Provider
from ferrule.terraform.aio import driver
from terraform.moody import Moody, attached, created
from waiting import until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks")]


async def applying(moody: Moody, provider: Provider, mood: str, **config: Any) -> asyncio.Task[Any]:
    """An apply that the provider is at."""
    thing = provider.resource("moody_thing")
    plan = await thing.plan({"name": "a", "mood": mood, **config})
    moody.calls()
    task = asyncio.create_task(thing.apply(plan))
    await until(lambda: moody.has_called("ApplyResourceChange"))
    return task


@pytest.mark.parametrize(("mood", "outcome"), [("stop", "done"), ("stop and fail", "failed")])
async def test_a_cancelled_apply_stops_the_provider_and_waits(
    moody: Moody, mood: str, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with attached(moody) as provider:
        task = await applying(moody, provider, mood)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        error = ApplyError.of(caught.value)
        assert error is not None
        assert (error.outcome, error.state.attributes["id"]) == (outcome, "id of a")
        assert moody.calls() == ["ApplyResourceChange", "StopProvider"]
    assert f"moody_thing was cancelled in its apply; outcome: {outcome}" in caplog.messages


async def test_a_timeout_says_what_became_of_the_apply(moody: Moody) -> None:
    async with attached(moody) as provider:
        thing = provider.resource("moody_thing")
        plan = await thing.plan({"name": "a", "mood": "stop"})

        async def expire(limit: asyncio.Timeout) -> None:
            await until(lambda: moody.has_called("ApplyResourceChange"))
            limit.reschedule(asyncio.get_running_loop().time())

        async def apply() -> None:
            async with asyncio.timeout(None) as limit:
                expiry = asyncio.create_task(expire(limit))
                try:
                    await thing.apply(plan)
                finally:
                    await expiry

        with pytest.raises(TimeoutError) as caught:
            await apply()
        error = ApplyError.of(caught.value)
        assert error is not None
        assert error.outcome == "done"


async def test_a_provider_that_does_not_stop_is_not_waited_for_without_end(moody: Moody) -> None:
    async with attached(moody, stop_timeout=0.05) as provider:
        task = await applying(moody, provider, "deaf")
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        error = ApplyError.of(caught.value)
        assert error is not None
        assert (error.outcome, error.state) == ("unknown", None)
        assert "within 0.05 s" in str(error)


async def test_a_stop_that_comes_too_early_is_repeated(moody: Moody, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "STOP_AGAIN_SECONDS", 0.05)
    async with attached(moody) as provider:
        task = await applying(moody, provider, "stop twice")
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        error = ApplyError.of(caught.value)
        assert error is not None
        assert error.outcome == "done"
        assert moody.calls() == ["ApplyResourceChange", "StopProvider", "StopProvider"]


async def test_a_second_cancellation_does_not_wait(moody: Moody) -> None:
    async with attached(moody) as provider:
        task = await applying(moody, provider, "deaf")
        task.cancel()
        await until(lambda: moody.has_called("StopProvider"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        error = ApplyError.of(caught.value)
        assert error is not None
        assert error.outcome == "unknown"


async def test_a_stopped_replacement_begins_nothing_more(moody: Moody) -> None:
    async with attached(moody) as provider:
        thing = provider.resource("moody_thing")
        old = await created(provider, mood="stop destruction")
        plan = await thing.plan({"name": "b"}, prior=old)
        moody.calls()
        task = asyncio.create_task(thing.apply(plan))
        await until(lambda: moody.has_called("ApplyResourceChange"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        error = ApplyError.of(caught.value)
        assert error is not None
        # The old one is gone, and there is no new one.
        assert (error.outcome, error.state) == ("failed", None)
        assert moody.calls() == ["ApplyResourceChange", "StopProvider"]


async def test_an_apply_that_has_not_begun_is_just_cancelled(moody: Moody) -> None:
    async with attached(moody) as provider:
        thing = provider.resource("moody_thing")
        plan = await thing.plan({"name": "a"})
        moody.calls()
        task = asyncio.create_task(thing.apply(plan))
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert ApplyError.of(caught.value) is None
        assert moody.calls() == []


async def test_a_close_in_the_middle_of_an_apply(moody: Moody) -> None:
    async with attached(moody) as provider:
        task = await applying(moody, provider, "deaf")
        await provider.close()
        with pytest.raises(ApplyError, match="closed") as caught:
            await task
        assert caught.value.outcome == "unknown"


async def test_stop_reaches_what_is_under_way(moody: Moody) -> None:
    async with attached(moody) as provider:
        task = await applying(moody, provider, "stop and fail")
        await provider.stop()
        with pytest.raises(ApplyError, match="Stopped"):
            await task
