"""The async face: from launch to end, on a provider with moods."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest

from ferrule.client import RPCPluginClient
from ferrule.errors import ConfigError, RPCPluginError
from ferrule.terraform import (
    UNKNOWN,
    Action,
    ApplyError,
    ConfigurationError,
    FunctionCallError,
    InvalidResponseError,
    LifecycleError,
    NotFoundError,
    PlanError,
    Provider,
    ProviderError,
    ProviderNotFoundError,
    ResourceState,
    StateError,
    UnknownTypeError,
)
from ferrule.terraform.cty import format_path
from peers import provider_path
from terraform.moody import Moody, program
from waiting import until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks")]

CONFIGURED = ["GetProviderSchema", "GetResourceIdentitySchemas", "ValidateProviderConfig", "ConfigureProvider"]
CREATED = ["ValidateResourceConfig", "PlanResourceChange", "ApplyResourceChange"]


@contextlib.asynccontextmanager
async def attached(moody: Moody, **options: Any) -> AsyncIterator[Provider]:
    """The provider, configured, with the calls of that forgotten."""
    moody.calls()
    async with Provider.reattach(moody.reattach, **{"config": {}, **options}) as provider:
        moody.calls()
        yield provider


async def created(provider: Provider, **config: Any) -> ResourceState:
    thing = provider.resource("moody_thing")
    state = await thing.apply(await thing.plan({"name": "a", **config}))
    assert state is not None
    return state


# Life.


@pytest.mark.go
async def test_a_program_from_launch_to_end() -> None:
    path = provider_path("time")
    provider = Provider.launch(path, {}, schema_cache=False, settings={"env": {"WORD": "x"}})
    assert repr(provider) == f"<Provider {path!r}: not started>"
    async with provider:
        assert provider.client is not None
        assert repr(provider) == f"<Provider {path!r}: pid {provider.client.pid}, configured>"
        assert (provider.is_configured, provider.address) == (True, "")
        assert (await provider.metadata()).resources == ("time_offset", "time_rotating", "time_sleep", "time_static")
    assert provider.client is None


@pytest.mark.go
async def test_start_and_close_without_a_context_manager() -> None:
    provider = Provider.launch(provider_path("local"), schema_cache=False)
    await provider.start()
    await provider.start()
    await provider.configure({})
    await provider.close()
    await provider.close()
    with pytest.raises(LifecycleError, match="the provider is not started"):
        await provider.validate({})
    await provider.start()
    assert not provider.is_configured
    await provider.close()


@pytest.mark.go
async def test_the_schema_of_a_program_is_kept_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        async with Provider.launch(provider_path("time"), {}) as provider:
            assert "time_static" in (await provider.schema()).resources
            assert provider.client is not None
            received = provider.client.traffic.content_received
        # A thread writes it.
        await until(lambda: len(list(tmp_path.glob("ferrule/schemas/*"))) == 2)
        await until(lambda: not [each for each in threading.enumerate() if each.name.startswith("ferrule schema")])
    # The second process was not asked for its schema, of 15 KB.
    assert received < 5_000


async def test_a_start_that_fails_leaves_nothing_and_may_be_repeated(moody: Moody) -> None:
    provider = Provider.reattach(moody.reattach, {"region": "nowhere"})
    for _ in range(2):
        with pytest.raises(ProviderError, match="region: No such region"):
            await provider.start()
        assert provider.client is None


async def test_a_client_stays_the_callers(moody: Moody) -> None:
    async with RPCPluginClient(reattach=moody.reattach) as client:
        async with Provider.over(client, {}) as provider:
            assert provider.client is client
        assert client.is_started
        with pytest.raises(ConfigError):
            Provider.over(client, {}, core="pulumi")  # type: ignore[arg-type]
    with pytest.raises(LifecycleError, match="the client is not started"):
        async with Provider.over(client):
            pass


async def test_one_that_runs_goes_by_its_address(moody: Moody, monkeypatch: pytest.MonkeyPatch) -> None:
    address = "registry.terraform.io/example/moody"
    monkeypatch.setenv("TF_REATTACH_PROVIDERS", f'{{"{address}": {moody.reattach.to_json()}}}')
    for make in (Provider.reattach, Provider.launch):
        async with make("example/moody", {}) as provider:
            assert provider.address == address
            assert (await created(provider)).provider == address
    async with Provider.reattach(None, {}) as provider:
        assert provider.address == ""
    with pytest.raises(ConfigError, match="example/other"):
        Provider.reattach("example/other")


async def test_a_plugin_that_is_no_provider() -> None:
    from ferrule.testing import KV_CONFIG, plugin_command

    async with RPCPluginClient(plugin_command(), KV_CONFIG) as client:
        with pytest.raises(RPCPluginError, match="speaks version 1, expected 5 or 6"):
            await Provider.over(client).start()


async def test_a_name_of_nothing() -> None:
    with pytest.raises(ProviderNotFoundError):
        await Provider.launch("./terraform-provider-none").start()


async def test_a_provider_is_configured_once(moody: Moody) -> None:
    async with attached(moody) as provider:
        with pytest.raises(LifecycleError, match="is configured already"):
            await provider.configure({})


async def test_a_configuration_that_the_schema_refuses_was_not_given(moody: Moody) -> None:
    async with attached(moody, config=None) as provider:
        with pytest.raises(ConfigurationError, match="regio"):
            await provider.configure({"regio": "here"})
        assert not provider.is_configured
        await provider.configure({"region": "here"})
        assert provider.is_configured


async def test_a_configuration_that_failed_is_not_followed_by_another(moody: Moody) -> None:
    async with attached(moody, config=None) as provider:
        with pytest.raises(ProviderError, match="region: No such region"):
            await provider.configure({"region": "nowhere"})
        with pytest.raises(LifecycleError, match="half configured already"):
            await provider.configure({"region": "here"})
        with pytest.raises(LifecycleError) as caught:
            await provider.resource("moody_thing").plan({"name": "a"})
        assert "launch it again" in str(caught.value)


async def test_what_needs_no_configuration(moody_of_each_version: Moody) -> None:
    async with attached(moody_of_each_version, config=None) as provider:
        assert await provider.functions.shout("a") == "A"
        assert await provider.validate({"region": "here"}) == ()
        assert await provider.resource("moody_thing").validate({"name": UNKNOWN}) == ()
        assert "moody_thing" in (await provider.schema()).resources


async def opened(provider: Provider) -> None:
    async with provider.ephemeral("moody_token").open({"role": "short"}):
        pass


async def listed(provider: Provider) -> None:
    await anext(provider.list_resource("moody_thing").list({}))


@pytest.mark.parametrize(
    ("verb", "use"),
    [
        ("plan", lambda provider, _: provider.resource("moody_thing").plan({"name": "a"})),
        ("read", lambda provider, state: provider.resource("moody_thing").read(state)),
        ("import_", lambda provider, _: provider.resource("moody_thing").import_("a")),
        ("destroy", lambda provider, state: provider.resource("moody_thing").destroy(state)),
        ("data", lambda provider, _: provider.data("moody_look").read({"key": "a"})),
        ("ephemeral", lambda provider, _: opened(provider)),
        ("list", lambda provider, _: listed(provider)),
        ("action", lambda provider, _: provider.action("moody_act").invoke({})),
    ],
)
async def test_what_needs_a_configuration(moody: Moody, verb: str, use: Any) -> None:
    async with attached(moody) as provider:
        state = await created(provider)
    async with attached(moody, config=None) as provider:
        with pytest.raises(LifecycleError, match=r"needs a provider that is configured .*config=\{") as caught:
            await use(provider, state)
        assert moody.calls() == []
        assert verb in str(caught.value)


async def test_the_schema_is_asked_for_once(moody: Moody) -> None:
    async with attached(moody, config=None) as provider:
        schemas = await asyncio.gather(*(provider.schema() for _ in range(5)))
        assert len({id(schema) for schema in schemas}) == 1
        assert moody.calls() == CONFIGURED[:2]


async def test_metadata_is_asked_for_alone(moody: Moody) -> None:
    async with attached(moody, config=None) as provider:
        metadata = await provider.metadata()
        assert (metadata.resources, metadata.functions) == (("moody_thing",), ("shout",))
        # This provider has no such method, and tells by its schema.
        assert moody.calls() == CONFIGURED[:2]


# Resources.


async def test_the_life_of_a_resource(moody_of_each_version: Moody) -> None:
    moody = moody_of_each_version
    async with attached(moody) as provider:
        thing = provider.resource("moody_thing")
        plan = await thing.plan({"name": "a", "rule": [{"port": 80}]})
        assert (plan.action, plan.after is not None and plan.after["id"]) == (Action.CREATE, UNKNOWN)
        state = await thing.apply(plan)
        assert state is not None
        assert state.attributes["id"] == "id of a"
        assert moody.calls() == CREATED
        assert await thing.read(state) == state
        plan = await thing.plan({"name": "a", "tags": {"x": "y"}}, prior=state)
        assert plan.action is Action.UPDATE
        state = await thing.apply(plan)
        assert state is not None
        plan = await thing.plan({"name": "a", "tags": {"x": "y"}}, prior=state)
        assert (plan.action, await thing.apply(plan)) == (Action.NO_OP, state)
        moody.calls()
        plan = await thing.plan({"name": "b"}, prior=state)
        assert plan.action is Action.REPLACE
        state = await thing.apply(plan)
        assert state is not None
        assert state.attributes["id"] == "id of b"
        assert moody.calls() == ["ValidateResourceConfig", *["PlanResourceChange"] * 2, *["ApplyResourceChange"] * 2]
        await thing.destroy(state)
        assert moody.calls() == ["ApplyResourceChange"]


async def test_a_stored_state_is_upgraded_first(moody: Moody) -> None:
    async with attached(moody) as provider:
        thing = provider.resource("moody_thing")
        state = ResourceState.from_json((await created(provider)).to_json())
        moody.calls()
        assert await thing.read(state) == state
        assert moody.calls() == ["UpgradeResourceState", "ReadResource"]
        assert await thing.upgrade(state) == state


async def test_imports(moody_of_each_version: Moody) -> None:
    async with attached(moody_of_each_version) as provider:
        thing = provider.resource("moody_thing")
        assert (await thing.import_("a")).attributes["name"] == "a"
        assert (await thing.import_(identity={"id": "b"})).identity == {"id": "b"}
        assert [state.type for state in await thing.import_all("a")] == ["moody_thing"]
        with pytest.raises(NotFoundError):
            await thing.import_("nothing")
        with pytest.raises(ConfigurationError):
            await thing.import_()


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({}, ""),
        ({"name": ["a"]}, "name"),
        ({"name": "a", "nam": "b"}, ""),
        ({"name": "a", "rule": [{"port": 1, "prot": 2}]}, "rule[0]"),
        ({"name": "a", "tags": {"x": ["y"]}}, 'tags["x"]'),
        ({"name": "a", "rule": [{"port": "http"}]}, "rule[0].port"),
        ({"name": "a", "rule": "x"}, "rule"),
        ({"name": "a", "tags": [{"x": "y"}]}, "tags"),
        ({"name": "a", "rule": [{"port": 1}, {"port": 2}, {"port": 3}]}, "rule"),
    ],
)
async def test_a_configuration_that_the_schema_refuses(moody: Moody, config: dict[str, Any], path: str) -> None:
    async with attached(moody) as provider:
        with pytest.raises(ConfigurationError) as caught:
            await provider.resource("moody_thing").plan(config)
        assert [format_path(problem.path) for problem in caught.value.problems] == [path]
        assert moody.calls() == []


async def test_names_of_nothing(moody: Moody) -> None:
    async with attached(moody) as provider:
        for make in (provider.resource, provider.list_resource):
            with pytest.raises(UnknownTypeError, match=r'"moody_thin".*moody_thing'):
                make("moody_thin")
        with pytest.raises(UnknownTypeError, match="moody_look"):
            provider.data("moody_lok")
        with pytest.raises(UnknownTypeError, match="moody_token"):
            provider.ephemeral("moody_tokens")
        with pytest.raises(UnknownTypeError, match="moody_act"):
            provider.action("moody_actor")
        with pytest.raises(UnknownTypeError, match="shout"):
            await provider.functions.shot("a")
        assert dir(provider.functions) == ["shout"]
        assert moody.calls() == []


async def test_a_type_of_nothing_before_the_schema_is_known(moody: Moody) -> None:
    async with attached(moody, config=None) as provider:
        thing = provider.resource("moody_thin")
        with pytest.raises(UnknownTypeError, match="moody_thing"):
            await thing.validate({})


async def test_plans_are_used_once_and_by_their_own_provider(moody: Moody) -> None:
    async with attached(moody) as provider, attached(moody) as other:
        thing = provider.resource("moody_thing")
        plan = await thing.plan({"name": "a"})
        with pytest.raises(PlanError, match="another provider"):
            await other.resource("moody_thing").apply(plan)
        await thing.apply(plan)
        with pytest.raises(PlanError, match="applied before"):
            await thing.apply(plan)
        with pytest.raises(PlanError, match="expected a Plan, got dict"):
            await thing.apply({"name": "a"})  # type: ignore[arg-type]


async def test_what_is_unknown_must_be_known_to_be_applied(moody: Moody) -> None:
    async with attached(moody) as provider:
        thing = provider.resource("moody_thing")
        plan = await thing.plan({"name": UNKNOWN})
        with pytest.raises(PlanError, match="name"):
            await thing.apply(plan)
        state = await thing.apply(plan, {"name": "b"})
        assert state is not None
        assert state.attributes["id"] == "id of b"


async def test_states_that_cannot_be_used(moody: Moody) -> None:
    async with attached(moody) as provider:
        thing = provider.resource("moody_thing")
        text = (await created(provider)).to_json()
        newer = ResourceState.from_json(text.replace('"schema_version": 1', '"schema_version": 7'))
        other = ResourceState.from_json(text.replace('"type": "moody_thing"', '"type": "other_thing"'))
        moody.calls()
        with pytest.raises(StateError, match="version 7"):
            await thing.read(newer)
        for use in (thing.read, thing.destroy, thing.upgrade):
            with pytest.raises(StateError, match="other_thing"):
                await use(other)
        with pytest.raises(StateError, match="expected a ResourceState, got dict"):
            await thing.read({})  # type: ignore[arg-type]
        with pytest.raises(StateError, match="other_thing"):
            await thing.plan({"name": "a"}, prior=other)
        assert moody.calls() == []


@pytest.mark.parametrize(
    ("mood", "error", "text"),
    [
        ("refuse", ProviderError, "mood: Refused"),
        ("misplan", InvalidResponseError, "invalid plan"),
        ("contradict", InvalidResponseError, "name"),
    ],
)
async def test_plans_that_fail(moody: Moody, mood: str, error: type[Exception], text: str) -> None:
    async with attached(moody) as provider:
        with pytest.raises(error, match=text):
            await provider.resource("moody_thing").plan({"name": "a", "mood": mood})


@pytest.mark.parametrize(
    ("mood", "text", "outcome", "is_stored"),
    [
        ("fail", "name: No room", "failed", False),
        ("half", "Only half of it", "failed", True),
        ("unknown", "id: .*unknown", "failed", True),
        ("change", "name", "failed", True),
        ("wrong", "invalid state", "unknown", False),
    ],
)
async def test_applies_that_fail(moody: Moody, mood: str, text: str, outcome: str, is_stored: bool) -> None:
    async with attached(moody) as provider:
        thing = provider.resource("moody_thing")
        with pytest.raises(ApplyError, match=text) as caught:
            await thing.apply(await thing.plan({"name": "a", "mood": mood}))
        assert (caught.value.outcome, caught.value.state is not None) == (outcome, is_stored)


async def test_a_provider_that_crashes_in_an_apply(tmp_path: Path) -> None:
    async with Provider.launch(program(tmp_path), {}) as provider:
        thing = provider.resource("moody_thing")
        plan = await thing.plan({"name": "a", "mood": "crash"})
        with pytest.raises(ApplyError, match="may have happened") as caught:
            await thing.apply(plan)
        error = caught.value
        assert (error.outcome, error.state, error.exit_status) == ("unknown", None, 3)
        assert "the last words" in error.stderr_tail
        assert str(error).count("the last words") == 1
        with pytest.raises(RPCPluginError):
            await thing.plan({"name": "a"})


# Cancellation.


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


# Data sources, functions, and what else there is.


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


# Warnings and secrets.


async def test_a_warning_is_logged_once_and_kept(moody: Moody, caplog: pytest.LogCaptureFixture) -> None:
    async with attached(moody) as provider:
        thing = provider.resource("moody_thing")
        (warning,) = await thing.validate({"name": "a", "mood": "warn"})
        assert str(warning) == "mood: A strange mood"
        plan = await thing.plan({"name": "a", "mood": "warn"})
        assert plan.warnings == (warning,)
        await thing.apply(plan)
        await provider.data("moody_look").read({"key": "loud"})
    records = [record.getMessage() for record in caplog.records if record.name == "ferrule.terraform"]
    assert records == ["provider: mood: A strange mood", "provider: Loud"]
    assert all(record.levelno == logging.WARNING for record in caplog.records if record.name == "ferrule.terraform")


def variables(error: BaseException | None) -> list[str]:
    """The variables of the package's own frames in a traceback and its causes, as reporters of errors keep them."""
    texts = []
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            if "python/ferrule" in trace.tb_frame.f_code.co_filename:
                texts.append(repr(trace.tb_frame.f_locals))
            trace = trace.tb_next
        error = error.__cause__ or error.__context__
    return texts


@pytest.mark.parametrize("mood", ["refuse", "misplan", "contradict", "fail", "half", "wrong", "unknown"])
async def test_errors_tell_no_secrets(moody: Moody, mood: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with attached(moody, config={"password": "s3cret"}) as provider:
        assert "s3cret" not in repr(provider)
        thing = provider.resource("moody_thing")
        with pytest.raises(RPCPluginError) as caught:
            await thing.apply(await thing.plan({"name": "a", "mood": mood, "secret": "s3cret"}))
        assert "s3cret" not in str(caught.value)
        assert [text for text in variables(caught.value) if "s3cret" in text] == []
    assert "s3cret" not in caplog.text


async def test_refusals_of_a_launch_tell_no_secrets() -> None:
    with pytest.raises(ConfigError) as caught:
        Provider.launch("x", {"password": "s3cret"}, settings={"env": {"TOKEN": 5}})
    assert [text for text in variables(caught.value) if "s3cret" in text] == []
    with pytest.raises(ConfigError) as caught:
        Provider.launch("x", "s3cret")  # type: ignore[arg-type]
    assert "s3cret" not in str(caught.value)


# Large values.


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
