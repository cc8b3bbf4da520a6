"""The async face: warnings are told, secrets are not."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ferrule.errors import ConfigError, RPCPluginError
from ferrule.terraform import ConfigurationError, Provider, ResourceState, StateError
from ferrule.terraform.tfstate import StateFile
from terraform.moody import Moody, attached

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks")]


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


@pytest.mark.parametrize("use", ["start", "configure", "list", "ephemeral", "data", "action"])
async def test_refused_configurations_stay_in_no_traceback(moody: Moody, use: str) -> None:
    wrong = {"nothing": "s3cret"}
    async with attached(moody) as provider, attached(moody, config=None) as bare:
        uses: dict[str, Callable[[], Awaitable[Any]]] = {
            "start": Provider.reattach(moody.reattach, wrong).start,
            "configure": lambda: bare.configure(wrong),
            "list": lambda: anext(provider.list_resource("moody_thing").list(wrong)),
            "ephemeral": lambda: provider.ephemeral("moody_token").open(wrong).__aenter__(),
            "data": lambda: provider.data("moody_look").read(wrong),
            "action": lambda: provider.action("moody_act").invoke(wrong),
        }
        with pytest.raises(ConfigurationError) as caught:
            await uses[use]()
    assert [text for text in variables(caught.value) if "s3cret" in text] == []


async def test_refusals_of_a_launch_tell_no_secrets() -> None:
    with pytest.raises(ConfigError) as caught:
        Provider.launch("x", {"password": "s3cret"}, settings={"env": {"TOKEN": 5}})
    assert [text for text in variables(caught.value) if "s3cret" in text] == []
    with pytest.raises(ConfigError) as caught:
        Provider.launch("x", "s3cret")  # type: ignore[arg-type]
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "x", "attributes": {"password": "s3cret"}',
        '{"type": "x", "attributes": {"password": "s3cret"}, "schema_version": "one"}',
        '{"type": "x", "private": "s3cret!"}',
        '{"type": "x", "attributes": {"password": "s3cret"}, "attributes_flat": {}}',
    ],
)
def test_wrong_states_tell_no_secrets(text: str, tmp_path: Path) -> None:
    path = tmp_path / "terraform.tfstate"
    path.write_text(text)
    uses: tuple[Callable[[], object], ...] = (
        lambda: ResourceState.from_json(text),
        lambda: ResourceState.from_json(text.encode()),
        lambda: ResourceState.from_tfstate(path, "x.y"),
        lambda: StateFile(path).get("x.y"),
        lambda: StateFile(path).read("x.y"),
        lambda: StateFile(path).addresses(),
        lambda: StateFile(path).write("x.y", None),
    )
    for use in uses:
        with pytest.raises(StateError) as caught:
            use()
        assert [each for each in variables(caught.value) if "s3cret" in each] == []
