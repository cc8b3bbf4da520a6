"""Applies that recordings of real cores do not have: faults of providers, of callers and of the wire."""

from __future__ import annotations

from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.errors import (
    ApplyError,
    InvalidResponseError,
    PlanError,
    ProviderError,
    StoppedError,
    UnsupportedError,
)
from ferrule.terraform.operations import resource

from .operations_peer import (
    DISK_TYPE,
    LOST,
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
    replacement,
)


def test_apply_of_what_is_not_known() -> None:
    given = context()
    plan = creation(given, {"zone": cty.UNKNOWN}, disk(zone=cty.UNKNOWN, id=cty.UNKNOWN))
    with pytest.raises(PlanError, match="not known yet at zone"):
        Peer().run(resource.apply(given, plan))
    with pytest.raises(PlanError, match="not known yet at zone"):
        Peer().run(resource.apply(given, plan, {"zone": cty.UNKNOWN}))
    assert not plan.used
    peer = Peer(VALID, planned(disk(zone="b", id=cty.UNKNOWN)), applied(disk(zone="b", id="8")))
    assert peer.run(resource.apply(given, plan, {"zone": "b"})).attributes["zone"] == "b"
    assert peer.methods == ["ValidateResourceConfig", "PlanResourceChange", "ApplyResourceChange"]


def test_apply_of_another_configuration() -> None:
    given = context()
    with pytest.raises(PlanError, match="is not the planned one: size"):
        Peer().run(resource.apply(given, creation(given), {"zone": "a", "size": 5}))


def test_apply_refuses_another_plan() -> None:
    given = context()
    plan = creation(given, {"zone": cty.UNKNOWN}, disk(zone=cty.UNKNOWN, id="7"))
    peer = Peer(VALID, planned(disk(zone="b", id="8")))
    with pytest.raises(InvalidResponseError, match="another plan than before: id"):
        peer.run(resource.apply(given, plan, {"zone": "b"}))


def test_write_only_value_may_change_until_the_apply() -> None:
    given = context()
    plan = creation(given, {"zone": "a", "key": "first"})
    assert plan.write_only == (("key",),)
    peer = Peer(VALID, planned(), applied(disk(zone="a", id="7")))
    peer.run(resource.apply(given, plan, {"zone": "a", "key": "second"}))
    assert cty.decode(peer.calls[2].fields["config"], DISK_TYPE)["key"] == "second"
    assert cty.decode(peer.calls[2].fields["planned_state"], DISK_TYPE)["key"] is None


@pytest.mark.parametrize("reply", [LOST, ProviderError("ApplyResourceChange failed with INTERNAL", "x", "", ())])
def test_apply_without_an_answer_may_have_happened(reply: Exception) -> None:
    given = context()
    state = existing(given)
    plan = Peer(VALID, planned(disk(zone="a", id="7", size=2))).run(
        resource.plan(given, "disk", {"zone": "a", "size": 2}, state)
    )
    with pytest.raises(ApplyError, match="may have happened") as caught:
        Peer(reply).run(resource.apply(given, plan))
    assert (caught.value.outcome, caught.value.state) == ("unknown", state)
    assert caught.value.__cause__ is reply


@pytest.mark.parametrize("reply", [StoppedError("stopped before it"), UnsupportedError("no such method")])
def test_apply_that_was_not_made(reply: Exception) -> None:
    given = context()
    with pytest.raises(type(reply)) as caught:
        Peer(reply).run(resource.apply(given, creation(given)))
    assert caught.value is reply


def test_replacement_that_is_stopped_after_the_destruction() -> None:
    given = context()
    with pytest.raises(ApplyError, match="destroyed, and not created again") as caught:
        Peer(applied(NOTHING), StoppedError("stopped")).run(resource.apply(given, replacement(given, existing(given))))
    assert (caught.value.outcome, caught.value.state) == ("failed", None)


def test_failed_creation_is_tainted() -> None:
    given = context()
    with pytest.raises(ApplyError, match="disk: the apply failed: out of space") as caught:
        Peer(applied(disk(zone="a", id="7"), diagnostics=[error("out of space")])).run(
            resource.apply(given, creation(given))
        )
    assert caught.value.outcome == "failed"
    assert caught.value.state.tainted
    assert caught.value.state.attributes["id"] == "7"


def test_failed_update_is_not_tainted() -> None:
    given = context()
    plan = Peer(VALID, planned(disk(zone="a", id="7", size=2))).run(
        resource.plan(given, "disk", {"zone": "a", "size": 2}, existing(given))
    )
    with pytest.raises(ApplyError) as caught:
        Peer(applied(disk(zone="a", id="7", size=1), diagnostics=[error("slow")])).run(resource.apply(given, plan))
    assert not caught.value.state.tainted
    assert caught.value.state.attributes["size"] == 1


@pytest.mark.parametrize(
    ("data", "text", "kept"),
    [
        pytest.param(NOTHING, "there is nothing after the apply", None, id="null"),
        pytest.param(disk(zone="a", id=cty.UNKNOWN), "id: .*still unknown", {"id": None}, id="unknown"),
        pytest.param(disk(zone="b", id="7"), "zone", {"id": "7", "zone": "b"}, id="another value"),
        pytest.param(disk(zone="a", id="7", key="k"), "key: .*write-only", {"id": "7", "key": None}, id="write-only"),
    ],
)
def test_invalid_result(data: bytes, text: str, kept: dict[str, Any] | None) -> None:
    given = context()
    with pytest.raises(ApplyError, match=text) as caught:
        Peer(applied(data)).run(resource.apply(given, creation(given)))
    state = caught.value.state
    assert (state is None) == (kept is None)
    if kept is not None:
        assert state.attributes.items() >= kept.items()
        assert state.tainted


def test_result_of_another_type() -> None:
    given = context()
    with pytest.raises(ApplyError, match="what was done is not known") as caught:
        Peer(applied(b"\x01")).run(resource.apply(given, creation(given)))
    assert caught.value.outcome == "unknown"


def test_replacement_destroys_first() -> None:
    given = context()
    peer = Peer(applied(NOTHING), applied(disk(zone="b", id="8")))
    state = peer.run(resource.apply(given, replacement(given, existing(given))))
    assert state.attributes["id"] == "8"
    assert [each.fields["planned_state"] == NOTHING for each in peer.calls] == [True, False]


def test_replacement_whose_creation_is_lost() -> None:
    given = context()
    with pytest.raises(ApplyError) as caught:
        Peer(applied(NOTHING), LOST).run(resource.apply(given, replacement(given, existing(given))))
    assert (caught.value.outcome, caught.value.state) == ("unknown", None)


def test_replacement_that_plans_something_else_after_the_destruction() -> None:
    given = context()
    plan = replacement(given, existing(given))
    peer = Peer(applied(NOTHING), VALID, planned(disk(zone="b", token="t"), legacy_type_system=True))
    with pytest.raises(ApplyError, match=r"destroyed, and not created again.*another plan") as caught:
        peer.run(resource.apply(given, plan, {"zone": "b"}))
    assert (caught.value.outcome, caught.value.state) == ("failed", None)


def test_replacement_whose_destruction_fails() -> None:
    given = context()
    old = existing(given)
    with pytest.raises(ApplyError) as caught:
        Peer(applied(NOTHING, diagnostics=[error("in use")])).run(resource.apply(given, replacement(given, old)))
    assert caught.value.state == old


def test_replacement_creates_first() -> None:
    given = context(plan_destroy=True)
    old = existing(given)
    peer = Peer(applied(disk(zone="b", id="8")), planned(NOTHING), applied(NOTHING))
    state = peer.run(resource.apply(given, replacement(given, old, create_before_destroy=True)))
    assert state.attributes["id"] == "8"
    assert peer.methods == ["ApplyResourceChange", "PlanResourceChange", "ApplyResourceChange"]


@pytest.mark.parametrize(
    "replies",
    [
        pytest.param([applied(NOTHING, diagnostics=[error("in use")])], id="failed"),
        pytest.param([StoppedError("stopped")], id="stopped"),
        pytest.param([LOST], id="lost"),
    ],
)
def test_replacement_leaves_the_old_object(replies: list[Any]) -> None:
    given = context()
    old = existing(given)
    with pytest.raises(ApplyError) as caught:
        Peer(applied(disk(zone="b", id="8")), *replies).run(
            resource.apply(given, replacement(given, old, create_before_destroy=True))
        )
    assert caught.value.state.attributes["id"] == "8"
    assert caught.value.deposed == old


def test_destruction_without_a_plan() -> None:
    given = context()
    peer = Peer(applied(NOTHING))
    peer.run(resource.destroy(given, existing(given)))
    assert peer.methods == ["ApplyResourceChange"]
    assert peer.calls[0].fields["planned_private"] == b"applied"
    assert peer.calls[0].fields["config"] == NOTHING


def test_destruction_that_plans_something() -> None:
    given = context(plan_destroy=True)
    with pytest.raises(InvalidResponseError, match="something left"):
        Peer(planned(disk(zone="a"))).run(resource.plan_destroy(given, existing(given)))


def test_destroyed_object_that_is_there() -> None:
    given = context()
    with pytest.raises(ApplyError, match="destroyed object is there") as caught:
        Peer(applied(disk(zone="a", id="7"))).run(resource.destroy(given, existing(given)))
    assert caught.value.state.attributes["id"] == "7"


@pytest.mark.parametrize("identity", [b"\x01", cty.encode({"name": cty.UNKNOWN}, cty.Object({"name": cty.STRING}))])
def test_invalid_identity_keeps_the_state(identity: bytes) -> None:
    given = context()
    reply = applied(disk(zone="a", id="7"), new_identity={"identity_data": {"msgpack": identity}})
    with pytest.raises(ApplyError, match="in the identity") as caught:
        Peer(reply).run(resource.apply(given, creation(given)))
    assert (caught.value.outcome, caught.value.state.attributes["id"]) == ("failed", "7")


def test_refusal_after_the_destruction_is_told_once() -> None:
    given = context()
    plan = replacement(given, existing(given))
    peer = Peer(applied(NOTHING), answer("ValidateResourceConfig", diagnostics=[error("no room", "zone")]))
    with pytest.raises(ApplyError) as caught:
        peer.run(resource.apply(given, plan, {"zone": "b"}))
    assert caught.value.message == "disk: it was destroyed, and not created again: zone: no room"


def test_creation_that_fails_leaves_the_old_object() -> None:
    given = context()
    old = existing(given)
    half = applied(disk(zone="b", id="8"), diagnostics=[error("no room")])
    with pytest.raises(ApplyError) as caught:
        Peer(half).run(resource.apply(given, replacement(given, old, create_before_destroy=True)))
    assert (caught.value.state.attributes["id"], caught.value.state.tainted) == ("8", True)
    assert caught.value.deposed == old


@pytest.mark.parametrize(
    ("reply", "outcome"), [(applied(NOTHING, diagnostics=[error("no")]), "failed"), (LOST, "unknown")]
)
def test_creation_that_makes_nothing_leaves_the_old_object(reply: Any, outcome: str) -> None:
    given = context()
    old = existing(given)
    with pytest.raises(ApplyError) as caught:
        Peer(reply).run(resource.apply(given, replacement(given, old, create_before_destroy=True)))
    assert (caught.value.state, caught.value.deposed, caught.value.outcome) == (old, None, outcome)
