"""The blocking face: what is of its own, beside what `test_provider.py` holds of both."""

from __future__ import annotations

import _thread
import contextlib
import inspect
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from ferrule import terraform
from ferrule.client import RPCPluginClient as AsyncClient
from ferrule.sync import Provider, RPCPluginClient
from ferrule.terraform import Action, ApplyError, LifecycleError, ProviderError, ResourceState
from ferrule.terraform.aio import provider as aio
from ferrule.terraform.sync import driver
from ferrule.terraform.sync import provider as sync
from peers import provider_path
from terraform.moody import Moody
from waiting import LIMIT, wait_until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks")]

HANDLES = ("Action", "DataSource", "EphemeralResource", "Functions", "ListResource", "Provider", "Resource")


@contextlib.contextmanager
def attached(moody: Moody, **options: Any) -> Iterator[Provider]:
    """The provider, configured, with the calls of that forgotten."""
    moody.calls()
    with Provider.reattach(moody.reattach, **{"config": {}, **options}) as provider:
        moody.calls()
        yield provider


def described(cls: type[Any]) -> dict[str, list[str]]:
    """The public methods of a class with their parameters."""
    return {
        name: list(inspect.signature(member).parameters) if callable(member) else []
        for name, member in vars(cls).items()
        if not name.startswith("_")
    }


@pytest.mark.parametrize("name", HANDLES)
def test_both_faces_have_the_same_names(name: str) -> None:
    assert described(getattr(sync, name)) == described(getattr(aio, name))


@pytest.mark.go
def test_a_program_from_launch_to_end() -> None:
    provider = Provider.launch(provider_path("time"), {}, schema_cache=False)
    with provider:
        assert isinstance(provider.client, RPCPluginClient)
        assert provider.is_configured
        static = provider.resource("time_static")
        state = static.apply(static.plan({"rfc3339": "2020-02-12T06:36:13Z"}))
        assert state is not None
        assert (state.attributes["unix"], static.read(state)) == (1581489373, state)
        assert provider.functions.rfc3339_parse("2026-01-01T00:00:00Z")["year"] == 2026
    assert provider.client is None
    with pytest.raises(LifecycleError, match="not started"):
        provider.validate({})


def test_the_life_of_a_resource(moody_of_each_version: Moody) -> None:
    with attached(moody_of_each_version) as provider:
        thing = provider.resource("moody_thing")
        state = thing.apply(thing.plan({"name": "a", "rule": [{"port": 80}]}))
        assert state is not None
        state = thing.read(ResourceState.from_json(state.to_json()))
        assert state is not None
        plan = thing.plan({"name": "b"}, prior=state)
        assert plan.action is Action.REPLACE
        state = thing.apply(plan)
        assert state is not None
        thing.destroy(state)
        assert thing.import_("a") == thing.import_all("a")[0]
        assert provider.data("moody_look").read({"key": "a"})["value"] == "A"
        found = [each.display_name for each in provider.list_resource("moody_thing").list({"prefix": "x"}, limit=2)]
        assert found == ["x-0", "x-1"]
        lines: list[str] = []
        provider.action("moody_act").invoke({"prefix": "x"}, progress=lines.append)
        assert lines == ["at it"]
        assert provider.metadata().resources == ("moody_thing",)
        (warning,) = thing.validate({"name": "a", "mood": "warn"})
        assert str(warning) == "mood: A strange mood"


def test_a_client_stays_the_callers(moody: Moody) -> None:
    with RPCPluginClient(reattach=moody.reattach) as client:
        with Provider.over(client, {}) as provider:
            assert provider.client is client
            with pytest.raises(LifecycleError, match="configured already"):
                provider.configure({})
        assert client.is_started


def test_a_client_of_asyncio_is_refused(moody: Moody) -> None:
    with pytest.raises(TypeError):
        Provider.over(AsyncClient(reattach=moody.reattach))  # type: ignore[arg-type]


def test_an_ephemeral_resource_is_renewed_and_closed(moody_of_each_version: Moody) -> None:
    moody = moody_of_each_version
    with attached(moody) as provider:
        with provider.ephemeral("moody_token").open({"role": "renewed"}) as token:
            assert token.value["token"] == "t0ken"
            wait_until(lambda: token.lost, "the second renewal")
        assert moody.calls()[-1] == "closed renewed"
        with pytest.raises(LifecycleError):
            _ = token.value


def test_the_providers_end_closes_what_is_open(moody: Moody) -> None:
    with attached(moody) as provider:
        token = provider.ephemeral("moody_token").open({"role": "short"}).__enter__()
        provider.close()
        assert moody.calls()[-1] == "closed opened"
        token.close()


def test_any_number_of_threads(moody: Moody) -> None:
    with attached(moody, config=None) as provider:
        found: list[Any] = []
        threads = [threading.Thread(target=lambda: found.append(provider.schema())) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(schema) for schema in found}) == 1
        assert moody.calls() == ["GetProviderSchema", "GetResourceIdentitySchemas"]


def interrupted(moody: Moody, provider: Provider, mood: str, times: int = 1) -> ApplyError:
    """The error behind an apply that Ctrl-C interrupts."""
    thing = provider.resource("moody_thing")
    plan = thing.plan({"name": "a", "mood": mood})
    moody.calls()

    def interrupt() -> None:
        for method in ("ApplyResourceChange", "StopProvider")[:times]:
            wait_until(partial(moody.has_called, method), method)
            _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        thing.apply(plan)
    thread.join()
    error = ApplyError.of(caught.value)
    assert error is not None
    return error


@pytest.mark.parametrize(("mood", "outcome"), [("stop", "done"), ("stop and fail", "failed")])
def test_an_interrupted_apply_stops_the_provider_and_waits(moody: Moody, mood: str, outcome: str) -> None:
    with attached(moody) as provider:
        error = interrupted(moody, provider, mood)
        assert (error.outcome, error.state.attributes["id"]) == (outcome, "id of a")
        assert moody.calls() == ["ApplyResourceChange", "StopProvider"]


def test_a_provider_that_does_not_stop_is_not_waited_for_without_end(moody: Moody) -> None:
    with attached(moody, stop_timeout=0.05) as provider:
        error = interrupted(moody, provider, "deaf")
        assert (error.outcome, "within 0.05 s" in str(error)) == ("unknown", True)


def test_a_stop_that_comes_too_early_is_repeated(moody: Moody, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "STOP_AGAIN_SECONDS", 0.05)
    with attached(moody) as provider:
        assert interrupted(moody, provider, "stop twice").outcome == "done"
        assert moody.calls() == ["ApplyResourceChange", "StopProvider", "StopProvider"]


def test_a_second_interrupt_does_not_wait(moody: Moody) -> None:
    with attached(moody) as provider:
        assert interrupted(moody, provider, "deaf", times=2).outcome == "unknown"


def test_a_close_in_the_middle_of_an_apply(moody: Moody) -> None:
    with attached(moody) as provider:
        thing = provider.resource("moody_thing")
        plan = thing.plan({"name": "a", "mood": "deaf"})
        moody.calls()

        def close() -> None:
            wait_until(lambda: moody.has_called("ApplyResourceChange"), "the apply")
            provider.close()

        thread = threading.Thread(target=close)
        thread.start()
        with pytest.raises(ApplyError) as caught:
            thing.apply(plan)
        thread.join()
        assert caught.value.outcome == "unknown"


def test_a_start_that_fails_leaves_nothing(moody: Moody) -> None:
    provider = Provider.reattach(moody.reattach, {"region": "nowhere"})
    with pytest.raises(ProviderError):
        provider.start()
    assert provider.client is None


def test_the_client_does_without_what_a_provider_needs() -> None:
    program = """
import sys
sys.modules["msgpack"] = None
from ferrule.sync import *
print(RPCPluginClient)
from ferrule.sync import Provider
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=LIMIT)
    assert done.stdout == "<class 'ferrule.sync.plugin_client.RPCPluginClient'>\n"
    assert done.stderr.endswith('needs the package msgpack: pip install "ferrule[terraform]"\n')


def test_each_public_name_is_there() -> None:
    assert set(terraform.__all__) == set(dir(terraform))
    assert [name for name in terraform.__all__ if not hasattr(terraform, name)] == []
    with pytest.raises(AttributeError, match="nothing"):
        _ = terraform.nothing
