"""The async face: resources, and all that can be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ferrule.errors import RPCPluginError
from ferrule.terraform import (
    UNKNOWN,
    Action,
    ApplyError,
    ConfigurationError,
    InvalidResponseError,
    NotFoundError,
    PlanError,
    Provider,
    ProviderError,
    ResourceState,
    StateError,
    UnknownTypeError,
)
from ferrule.terraform.cty import format_path
from terraform.moody import Moody, attached, created, program

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks")]

CREATED = ["ValidateResourceConfig", "PlanResourceChange", "ApplyResourceChange"]


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
        for wrong in (5, b"a", ["a"]):
            with pytest.raises(ConfigurationError, match=f"an id is text, got {type(wrong).__name__}"):
                await thing.import_(wrong)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="the id is no text in Unicode: character 1"):
            await thing.import_("a\ud800")
        with pytest.raises(ConfigurationError, match="an identity is a mapping, got str"):
            await thing.import_(identity="b")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="id: the value is not known yet"):
            await thing.import_(identity={"id": UNKNOWN})


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


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"name": "\udcc3\udcbc"}, "name"),
        ({"name": "a", "tags": {"x": "\udcc3\udcbc"}}, 'tags["x"]'),
        ({"name": "a", "tags": {"\udcc3\udcbc": "x"}}, "tags"),
        ({"name": "\ud800"}, "name"),
    ],
)
async def test_text_that_is_no_unicode_is_the_callers(moody: Moody, config: dict[str, Any], path: str) -> None:
    """Bytes of UTF-8 as surrogates would come back as the text that they are, against the configuration."""
    async with attached(moody) as provider:
        with pytest.raises(ConfigurationError) as caught:
            await provider.resource("moody_thing").plan(config)
    assert [format_path(each.path) for each in caught.value.problems] == [path]
    assert "no Unicode" in caught.value.problems[0].message
    assert "lone surrogate, U+D" in caught.value.problems[0].message


async def test_a_state_with_bytes_that_are_no_text(moody: Moody) -> None:
    async with attached(moody) as provider:
        thing = provider.resource("moody_thing")

        def state(name: str) -> ResourceState:
            return ResourceState.from_json(
                f'{{"type": "moody_thing", "schema_version": 1, "attributes": {{"name": "{name}"}}}}'
            )

        assert (await thing.upgrade(state("\udcc3\udcbc"))).attributes["name"] == "\u00fc"
        with pytest.raises(StateError, match="no text in Unicode, at character 10 of its JSON"):
            await thing.upgrade(state("\ud800"))


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
        functions: Any = provider.functions
        with pytest.raises(TypeError, match="not iterable"):
            iter(functions)
        with pytest.raises(TypeError):
            assert "shout" in functions
        wrong: Any
        for wrong in (5, None, b"moody_thing", ["moody_thing"]):
            for kind in ("resource", "data", "ephemeral", "action", "list_resource"):
                with pytest.raises(UnknownTypeError, match=f"is text, got {type(wrong).__name__}"):
                    getattr(provider, kind)(wrong)
            with pytest.raises(UnknownTypeError, match="the name of a function is text, got "):
                await provider.functions[wrong]("a")
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
        with pytest.raises(StateError, match="expected a ResourceState, got str"):
            await thing.plan({"name": "a"}, prior="x")  # type: ignore[arg-type]
        assert moody.calls() == []
        misfit = ResourceState.from_json(text.replace('"identity": {"id"', '"identity": {"name"'))
        with pytest.raises(StateError, match="the identity of this moody_thing does not fit its schema"):
            await thing.plan({"name": "a"}, prior=misfit)


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
