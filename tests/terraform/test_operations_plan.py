"""Plans that recordings of real cores do not have: faults of providers and of callers."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.errors import (
    ApplyError,
    ConfigurationError,
    DeferredError,
    InvalidResponseError,
    PlanError,
    ProviderError,
    StateError,
)
from ferrule.terraform.operations import resource
from ferrule.terraform.plan import Action
from ferrule.terraform.state import ResourceState

from .operations_peer import (
    DISK_TYPE,
    NOTHING,
    PLANNED,
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
    warning,
)


def test_creation() -> None:
    given = context()
    plan = creation(given)
    assert plan.action is Action.CREATE
    assert plan.before is None
    assert plan.after is not None
    assert plan.after["id"] is cty.UNKNOWN
    assert plan.unknown == (("id",),)
    peer = Peer(applied(disk(zone="a", id="7")))
    state = peer.run(resource.apply(given, plan))
    assert peer.calls[0].fields["planned_private"] == b"planned"
    assert (state.attributes["id"], state.private, state.schema_version) == ("7", b"applied", 3)
    assert state.provider == "example.com/x/cloud"


def test_plan_is_applied_once() -> None:
    given = context()
    plan = creation(given)
    Peer(applied(disk(zone="a", id="7"))).run(resource.apply(given, plan))
    with pytest.raises(PlanError, match="applied before"):
        Peer().run(resource.apply(given, plan))


def test_plan_of_another_provider() -> None:
    plan = creation(context())
    with pytest.raises(PlanError, match="another provider"):
        Peer().run(resource.apply(context(), plan))
    assert not plan.used
    with pytest.raises(PlanError, match="another provider"):
        Peer().run(resource.apply(context(), pickle.loads(pickle.dumps(plan))))


def test_warnings_are_heard_once() -> None:
    given = context()
    loud = [warning("old"), warning("old")]
    valid = answer("ValidateResourceConfig", diagnostics=loud)
    peer = Peer(valid, planned(diagnostics=loud), applied(PLANNED, diagnostics=loud))
    plan = peer.run(resource.plan(given, "disk", {"zone": "a"}))
    assert [each.summary for each in plan.warnings] == ["old"]
    with pytest.raises(ApplyError):
        peer.run(resource.apply(given, plan))
    assert [each.summary for each in given.__dict__["heard"]] == ["old"]


def test_errors_name_the_place() -> None:
    with pytest.raises(ProviderError, match="disk: ValidateResourceConfig failed: zone: no such zone") as caught:
        Peer(answer("ValidateResourceConfig", diagnostics=[error("no such zone", "zone")])).run(
            resource.plan(context(), "disk", {"zone": "a"})
        )
    assert caught.value.method == "ValidateResourceConfig"


def test_configuration_error_before_any_call() -> None:
    peer = Peer()
    with pytest.raises(ConfigurationError, match=r'the configuration of disk.*"zone" is required'):
        peer.run(resource.plan(context(), "disk", {"size": 1}))
    assert peer.calls == []


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(NOTHING, "an invalid plan", id="null"),
        pytest.param(disk(zone="b", id=cty.UNKNOWN), "zone", id="another value"),
        pytest.param(disk(zone="a", key="k"), "key: .*write-only", id="write-only"),
        pytest.param(cty.encode({"zone": "a"}, cty.Object({"zone": cty.STRING})), "an invalid plan", id="other type"),
    ],
)
def test_invalid_plan(data: bytes, text: str) -> None:
    with pytest.raises(InvalidResponseError, match=text):
        Peer(VALID, planned(data)).run(resource.plan(context(), "disk", {"zone": "a"}))


def test_legacy_plan_may_contradict() -> None:
    peer = Peer(VALID, planned(disk(zone="b"), legacy_type_system=True))
    plan = peer.run(resource.plan(context(), "disk", {"zone": "a"}))
    assert plan.legacy
    assert plan.after["zone"] == "b"


def test_wrong_type_of_a_secret_is_not_shown() -> None:
    types = dict(DISK_TYPE.attributes) | {"token": cty.Object({"x": cty.STRING})}
    data = cty.encode(dict.fromkeys(types) | {"token": {"x": "hush"}, "zone": "a"}, cty.Object(types))
    with pytest.raises(InvalidResponseError) as caught:
        Peer(VALID, planned(data)).run(resource.plan(context(), "disk", {"zone": "a"}))
    assert caught.value.problems[0].path == ("token",)
    assert "hush" not in str(caught.value)


def test_deferred() -> None:
    with pytest.raises(DeferredError, match="ABSENT_PREREQ"):
        Peer(VALID, planned(deferred={"reason": 3})).run(resource.plan(context(), "disk", {"zone": "a"}))


def test_state_of_another_type() -> None:
    with pytest.raises(StateError, match="one of host, not of disk"):
        Peer().run(resource.plan(context(), "disk", {"zone": "a"}, ResourceState(type="host", json="{}")))


def test_replacement_that_names_no_place() -> None:
    given = context()
    state = existing(given)
    nowhere = [{"steps": [{"attribute_name": "zones"}]}]
    with pytest.raises(InvalidResponseError, match=r"disk: .*zones"):
        Peer(VALID, planned(disk(zone="b", id="7"), requires_replace=nowhere)).run(
            resource.plan(given, "disk", {"zone": "b"}, state)
        )


def test_identity_must_be_known_in_an_update() -> None:
    given = context()
    state = existing(given)
    identity = {"identity_data": {"msgpack": cty.encode({"name": cty.UNKNOWN}, cty.Object({"name": cty.STRING}))}}
    with pytest.raises(InvalidResponseError, match="name: the identity is not known"):
        Peer(VALID, planned(disk(zone="a", id="7", size=2), planned_identity=identity)).run(
            resource.plan(given, "disk", {"zone": "a", "size": 2}, state)
        )


@pytest.mark.parametrize("ignored", ["sizes", "tags[", "[0]"])
def test_ignored_changes_that_are_none(ignored: str) -> None:
    with pytest.raises(ConfigurationError, match="ignored changes of disk"):
        Peer().run(resource.plan(context(), "disk", {"zone": "a"}, ignore_changes=[ignored]))


@pytest.mark.parametrize("ignored", [5, [5], [None]])
def test_ignored_changes_of_the_wrong_kind(ignored: Any) -> None:
    with pytest.raises(ConfigurationError, match="ignored changes of disk are none: expected names or paths"):
        Peer().run(resource.plan(context(), "disk", {"zone": "a"}, ignore_changes=ignored))


def test_ignored_key_of_a_map() -> None:
    given = context()
    state = existing(given, tags={"team": "x", "old": "1"})
    peer = Peer(VALID, planned(disk(zone="a", id="7", tags={"team": "x", "new": "1"})))
    config = {"zone": "a", "tags": {"team": "y", "new": "1"}}
    peer.run(resource.plan(given, "disk", config, state, ignore_changes=['tags["team"]']))
    assert cty.decode(peer.calls[1].fields["config"], DISK_TYPE)["tags"] == {"new": "1", "team": "x"}
    assert cty.decode(peer.calls[0].fields["config"], DISK_TYPE)["tags"] == {"new": "1", "team": "y"}
