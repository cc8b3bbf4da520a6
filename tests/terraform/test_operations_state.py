"""States, imports and moves that recordings of real cores do not have."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.errors import (
    ApplyError,
    ConfigurationError,
    InvalidResponseError,
    NotFoundError,
    StateError,
    UnsupportedError,
)
from ferrule.terraform.operations import resource
from ferrule.terraform.plan import Action
from ferrule.terraform.state import ResourceState

from .operations_peer import (
    NOTHING,
    VALID,
    Peer,
    answer,
    applied,
    context,
    creation,
    disk,
    error,
    existing,
    planned,
)


def test_stored_state_is_upgraded_first() -> None:
    given = context()
    stored = ResourceState.from_json(existing(given).to_json())
    upgraded = answer("UpgradeResourceState", upgraded_state=disk(zone="a", id="7"))
    peer = Peer(upgraded, answer("ReadResource", new_state=disk(zone="a", id="7", size=9)))
    state = peer.run(resource.read(given, stored))
    assert peer.methods == ["UpgradeResourceState", "ReadResource"]
    assert state.attributes["size"] == 9
    peer = Peer(answer("ReadResource", new_state=NOTHING))
    assert peer.run(resource.read(given, state)) is None
    assert peer.methods == ["ReadResource"]


def test_removed_attributes_leave_a_state() -> None:
    text = '{"gone": 1.50, "id": "<7>", "size": 0.10, "zone": "a"}'
    state = ResourceState(type="disk", json=text, schema_version=3)
    peer = Peer(answer("UpgradeResourceState", upgraded_state=disk(zone="a", id="7")))
    peer.run(resource.upgrade(context(), state))
    sent = peer.calls[0].fields["raw_state"]["json"].decode()
    assert sent == '{"id":"\\u003c7\\u003e","size":0.10,"zone":"a"}'
    peer = Peer(answer("UpgradeResourceState", upgraded_state=disk(zone="a", id="7")))
    peer.run(resource.upgrade(context(), ResourceState(type="disk", json=text, schema_version=2)))
    assert peer.calls[0].fields["raw_state"]["json"].decode() == text


def test_state_of_a_newer_schema() -> None:
    with pytest.raises(StateError, match="version 4 of the schema, and the provider has 3"):
        Peer().run(resource.read(context(), ResourceState(type="disk", json="{}", schema_version=4)))


@pytest.mark.parametrize("address", ["example.com/x/cloud", "registry.example/x/cloud", ""])
def test_state_of_this_provider(address: str) -> None:
    peer = Peer(answer("UpgradeResourceState", upgraded_state=disk(zone="a", id="7")))
    peer.run(resource.upgrade(context(), ResourceState(type="disk", json="{}", provider=address)))


def test_state_of_another_provider() -> None:
    with pytest.raises(StateError, match=r"is of the provider example\.com/y/cloud, not of example\.com/x"):
        Peer().run(resource.upgrade(context(), ResourceState(type="disk", json="{}", provider="example.com/y/cloud")))


def test_read_of_unknown_values() -> None:
    given = context()
    with pytest.raises(InvalidResponseError, match="size: the value is still unknown"):
        Peer(answer("ReadResource", new_state=disk(zone="a", size=cty.UNKNOWN))).run(
            resource.read(given, existing(given))
        )


def test_tainted_state_stays_so() -> None:
    given = context()
    with pytest.raises(ApplyError) as caught:
        Peer(applied(disk(zone="a", id="7"), diagnostics=[error("half")])).run(resource.apply(given, creation(given)))
    state = Peer(answer("ReadResource", new_state=disk(zone="a", id="7"))).run(resource.read(given, caught.value.state))
    assert state.tainted
    peer = Peer(VALID, planned())
    plan = peer.run(resource.plan(given, "disk", {"zone": "a"}, state))
    assert (plan.action, plan.reason) == (Action.REPLACE, "the resource is tainted")
    assert peer.calls[1].fields["prior_state"] == NOTHING


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param({}, "either an id or an identity", id="nothing"),
        pytest.param({"id": "7", "identity": {"name": "a"}}, "either an id or an identity", id="both"),
        pytest.param({"id": ""}, "the id is empty", id="empty"),
        pytest.param({"identity": {}}, "name: the attribute is required", id="missing"),
        pytest.param({"identity": {"name": "a", "nam": "b"}}, "nam: the identity has no such", id="unknown"),
        pytest.param({"identity": {"name": ["a"]}}, "name: expected string", id="wrong type"),
    ],
)
def test_import_of_what_is_none(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        Peer().run(resource.import_(context(), "disk", **arguments))


def test_import_of_what_is_not_there() -> None:
    imported = [{"type_name": "disk", "state": {"msgpack": disk(id="7")}}]
    with pytest.raises(NotFoundError, match="does not exist"):
        Peer(answer("ImportResourceState", imported_resources=imported), answer("ReadResource", new_state=NOTHING)).run(
            resource.import_(context(), "disk", "7")
        )
    with pytest.raises(NotFoundError, match="imported nothing"):
        Peer(answer("ImportResourceState")).run(resource.import_(context(), "disk", "7"))


def test_move_needs_the_capability_for_terraform() -> None:
    state = ResourceState(type="old", json='{"id": "7"}', provider="example.com/x/other", private=b"p")
    with pytest.raises(UnsupportedError, match="cannot take over"):
        Peer().run(resource.move(context(), state, "disk"))
    peer = Peer(answer("MoveResourceState", target_state=disk(id="7", zone="a"), target_private=b"q"))
    moved = peer.run(resource.move(context("opentofu"), state, "disk"))
    assert (moved.type, moved.private) == ("disk", b"q")
    assert peer.calls[0].fields["source_provider_address"] == "example.com/x/other"


def test_float_goes_back_as_one() -> None:
    given = context()
    state = Peer(answer("ReadResource", new_state=disk(zone="a", id="7", size=0.1))).run(
        resource.read(given, existing(given))
    )
    assert '"size":0.1,' in state.json
    peer = Peer(VALID, planned(disk(zone="a", id="7", size=0.1)))
    plan = peer.run(resource.plan(given, "disk", {"zone": "a", "size": 0.1}, state))
    assert peer.calls[1].fields["prior_state"] == disk(zone="a", id="7", size=0.1)
    assert peer.calls[1].fields["config"] == disk(zone="a", size=Decimal("0.1"))
    assert plan.action is Action.NO_OP
