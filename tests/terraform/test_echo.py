"""Random values go through providers that decode them, encode them again, and give them back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from ferrule.sync import Provider, RPCPluginClient
from ferrule.terraform import Action, ResourceState, cty
from ferrule.terraform.messages import Protocol, dynamic_value
from peers import go_peer
from terraform.cty_strategies import ASKED, STATIC_TYPED, TYPED

PROGRAM = Path(__file__).with_name("echo_provider.py")

Echo = Callable[[str, bytes, cty.Type], Any]


def command(provider: str) -> list[str]:
    """One of protocol 5 in Go, and one of protocol 6 in Python."""
    return [go_peer("echo-provider")] if provider == "go" else [sys.executable, str(PROGRAM), "6"]


PROVIDERS = ["python", pytest.param("go", marks=pytest.mark.go)]


@pytest.fixture(scope="module", params=PROVIDERS)
def echo(request: pytest.FixtureRequest) -> Iterator[Echo]:
    """Calls a function of a provider: its name, the encoded argument, and the type of the result."""
    with RPCPluginClient(command(request.param)) as client:
        protocol = Protocol.of(client.protocol_version or 0)
        channel: Any = client.grpc_channel
        call = channel.unary_unary(protocol.path("CallFunction"))

        def echoed(name: str, argument: bytes, of: cty.Type) -> Any:
            data = call(protocol.request("CallFunction", name=name, arguments=[argument]), timeout=20)
            response = protocol.parse_response("CallFunction", data)
            assert not response.HasField("error"), response.error.text
            return dynamic_value(response.result, of)

        yield echoed


def encoded(value: Any, of: cty.Type) -> bytes | None:
    """The bytes of a value; None of one that go-cty refuses as well."""
    try:
        return cty.encode(value, of)
    except cty.CtyError:
        return None


def in_json(value: Any, of: cty.Type) -> str | None:
    """The value in JSON; None of one that JSON has no word for."""
    try:
        return cty.encode_json(value, of)
    except cty.CtyError:
        return None


@given(case=TYPED)
@ASKED
def test_a_provider_gives_back_each_value(echo: Echo, case: tuple[Any, cty.Type]) -> None:
    value, of = case
    data = encoded(value, of)
    if data is None:
        return
    sent = cty.decode(data, of)
    assert cty.encode(echo(of.json, data, of), of) == cty.encode(sent, of)
    if (text := in_json(sent, of)) is not None:
        assert cty.encode_json(echo(f"json:{of.json}", data, of), of) == text
    # With the type beside the value, which is then one without dynamic parts.
    if (beside := encoded(cty.Typed(sent, of), cty.DYNAMIC)) is not None:
        assert cty.encode(echo("echo", beside, cty.DYNAMIC), cty.DYNAMIC) == beside


VALUE = cty.Object({"value": cty.DYNAMIC})


@pytest.fixture(scope="module", params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    with RPCPluginClient(command(request.param)) as client, Provider.over(client, {}) as started:
        yield started


@given(case=STATIC_TYPED)
@settings(ASKED, max_examples=ASKED.max_examples // 3)
def test_each_value_lives_as_a_resource(provider: Provider, case: tuple[Any, cty.Type]) -> None:
    # As it comes from the wire, where floats from 2**63 on are the digits of their shortest text; then as it is in a
    # configuration, where a float stands for the decimal number that Python prints.
    value = cty.convert(cty.decode(cty.encode({"value": cty.Typed(*case)}, VALUE), VALUE), VALUE)
    resource = provider.resource("echo_value")
    plan = resource.plan(value)
    assert (plan.action, plan.after) == (Action.CREATE, cty.untyped(value))
    if (text := in_json(value, VALUE)) is None:
        return  # It is not known, or infinite.
    state = resource.apply(plan)
    assert state is not None
    assert state.json == text
    restored = ResourceState.from_json(state.to_json())
    assert resource.read(restored) == restored
    assert resource.plan(value, prior=restored).action is Action.NO_OP
    assert provider.data("echo_value").read(value) == cty.untyped(value)
    assert provider.functions.echo(value["value"]) == cty.untyped(value["value"])
    resource.destroy(state)
