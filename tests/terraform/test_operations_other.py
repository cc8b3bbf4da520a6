"""Data sources, functions, ephemeral resources, lists and actions, where recordings do not have them."""

from __future__ import annotations

from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.errors import (
    ConfigurationError,
    FunctionCallError,
    InvalidResponseError,
    ProviderError,
)
from ferrule.terraform.operations import actions, data_source, ephemeral, functions, list_resources, provider

from .operations_peer import (
    NOTHING,
    PROTOCOL,
    Peer,
    answer,
    context,
    disk,
    error,
)


def test_data_source_with_unknown_values_is_not_read() -> None:
    peer = Peer()
    value = peer.run(data_source.read(context(), "lookup", {"zone": cty.UNKNOWN}))
    assert (value["id"], value["size"], peer.calls) == (cty.UNKNOWN, None, [])


@pytest.mark.parametrize("data", [NOTHING, disk(zone="a", id=cty.UNKNOWN)])
def test_invalid_data(data: bytes) -> None:
    with pytest.raises(InvalidResponseError):
        Peer(answer("ValidateDataResourceConfig"), answer("ReadDataSource", state=data)).run(
            data_source.read(context(), "lookup", {"zone": "a"})
        )


def result(value: Any) -> Any:
    return answer("CallFunction", result=cty.encode(value, cty.STRING))


def test_function() -> None:
    peer = Peer(result("1-true"))
    assert peer.run(functions.call(context(), "join", "-", 1, True, None)) == "1-true"
    assert [cty.decode(each, cty.STRING) for each in peer.calls[0].fields["arguments"]] == ["-", "1", "true", None]


def test_function_with_unknown_arguments() -> None:
    peer = Peer(result("x"))
    assert peer.run(functions.call(context(), "join", cty.UNKNOWN, "a")) is cty.UNKNOWN
    assert peer.calls == []
    assert peer.run(functions.call(context(), "join", "-", cty.UNKNOWN)) == "x"


@pytest.mark.parametrize(
    ("arguments", "text", "index"),
    [
        pytest.param((), "1 arguments expected, got 0: separator is missing", None, id="missing"),
        pytest.param((None,), "join: separator: must not be null", 0, id="null"),
        pytest.param(("-", ["a"]), "join: parts: ", 1, id="wrong type"),
    ],
)
def test_wrong_arguments(arguments: tuple[Any, ...], text: str, index: int | None) -> None:
    with pytest.raises(FunctionCallError, match=text) as caught:
        Peer().run(functions.call(context(), "join", *arguments))
    assert caught.value.argument == index


@pytest.mark.parametrize(
    ("refusal", "text", "index"),
    [
        pytest.param({"text": "too long", "function_argument": 2}, "join: parts: too long", 2, id="argument"),
        pytest.param({"text": "broken"}, "join: broken", None, id="call"),
        pytest.param({"text": "odd", "function_argument": 9}, "join: odd", 9, id="no such argument"),
        pytest.param({}, "does not say why", None, id="no text"),
    ],
)
def test_function_that_refuses(refusal: dict[str, Any], text: str, index: int | None) -> None:
    with pytest.raises(FunctionCallError, match=text) as caught:
        Peer(answer("CallFunction", error=refusal)).run(functions.call(context(), "join", "-", "a", "b"))
    assert caught.value.argument == index


def test_function_without_result() -> None:
    with pytest.raises(InvalidResponseError, match="neither a result nor an error"):
        Peer(answer("CallFunction")).run(functions.call(context(), "join", "-"))


def test_ephemeral_resource() -> None:
    given = context()
    secret = disk(zone="a", token="hush")
    peer = Peer(
        answer("ValidateEphemeralResourceConfig"),
        answer("OpenEphemeralResource", result=secret, renew_at={"seconds": 1_800_000_000}, private=b"1"),
        answer("RenewEphemeralResource", private=b"2"),
        answer("CloseEphemeralResource"),
    )
    opened = peer.run(ephemeral.open_(given, "secret", {"zone": "a"}))
    assert opened.value["token"] == "hush"
    assert "hush" not in repr(opened)
    assert opened.renew_at is not None
    assert opened.renew_at.isoformat() == "2027-01-15T08:00:00+00:00"
    renewed = peer.run(ephemeral.renew(given, opened))
    assert (renewed.renew_at, renewed.value) == (None, opened.value)
    peer.run(ephemeral.close(given, renewed))
    assert [each.fields.get("private") for each in peer.calls[2:]] == [b"1", b"2"]


def test_invalid_ephemeral_resource_is_closed() -> None:
    peer = Peer(
        answer("ValidateEphemeralResourceConfig"),
        answer("OpenEphemeralResource", result=NOTHING, private=b"1"),
        answer("CloseEphemeralResource"),
    )
    with pytest.raises(InvalidResponseError, match="null in place"):
        peer.run(ephemeral.open_(context(), "secret", {"zone": "a"}))
    assert peer.methods[-1] == "CloseEphemeralResource"
    with pytest.raises(ConfigurationError, match="zone: the value is not known yet"):
        Peer().run(ephemeral.open_(context(), "secret", {"zone": cty.UNKNOWN}))


def test_list() -> None:
    given = context()
    peer = Peer(answer("ValidateListResourceConfig"))
    call = peer.run(list_resources.start(given, "disk", {"zone": "a"}, include_resource=True, limit=5))
    assert call.method == "ListResource"
    assert call.fields["limit"] == 5
    assert peer.calls[0].fields["limit"] == cty.encode(5, cty.NUMBER)
    identity = {"identity_data": {"msgpack": cty.encode({"name": "a"}, cty.Object({"name": cty.STRING}))}}
    kind = PROTOCOL.message("ListResource.Event")
    event = kind(identity=identity, display_name="A", resource_object={"msgpack": disk(zone="a", id="7")})
    listed = list_resources.listed(given, "disk", event)
    assert (listed.display_name, listed.identity) == ("A", {"name": "a"})
    assert listed.state is not None
    assert listed.state.attributes["id"] == "7"
    with pytest.raises(ProviderError, match="no access"):
        list_resources.listed(given, "disk", kind(diagnostic=[error("no access")]))


def test_action() -> None:
    given = context()
    call = Peer(answer("ValidateActionConfig"), answer("PlanAction")).run(actions.start(given, "wipe", {"zone": "a"}))
    assert call.method == "InvokeAction"
    kind = PROTOCOL.message("InvokeAction.Event")
    event = kind(progress={"message": "half"})
    assert (actions.progress(event), actions.completed(given, "wipe", event)) == ("half", False)
    assert actions.completed(given, "wipe", kind(completed={}))
    with pytest.raises(ProviderError, match="wipe: the action failed: no"):
        actions.completed(given, "wipe", kind(completed={"diagnostics": [error("no")]}))
    with pytest.raises(ConfigurationError, match="zone: the value is not known yet"):
        Peer().run(actions.start(given, "wipe", {"zone": cty.UNKNOWN}))


def test_provider_configuration_errors_have_no_type() -> None:
    with pytest.raises(ProviderError, match="the provider: ConfigureProvider failed: no token"):
        Peer(answer("ValidateProviderConfig"), answer("ConfigureProvider", diagnostics=[error("no token")])).run(
            provider.configure(context(), {})
        )
