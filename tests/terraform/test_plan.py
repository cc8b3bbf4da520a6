"""Plans as JSON, pickled, used once; and who sees their secrets."""

from __future__ import annotations

import json
import pickle
from decimal import Decimal
from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.cty import UNKNOWN
from ferrule.terraform.cty import Attribute as Step
from ferrule.terraform.diagnostics import Diagnostic, Severity
from ferrule.terraform.errors import PlanError
from ferrule.terraform.plan import Action, Plan
from ferrule.terraform.schema.model import Attribute, Block, NestedBlock, NestedType, Nesting
from terraform.plans import NOTHING, planned, rule


def secretive(**more: Any) -> Plan:
    before = {
        "password": "hunter1",
        "disks": [{"key": "hunter2", "size": 1}],
        "labels": {"pin": "hunter3"},
        "value": cty.Typed(["hunter4"], cty.List(cty.STRING)),
    }
    after = {
        "password": "hunter5",
        "disks": [{"key": "hunter6", "size": 1}, {"key": "hunter7", "size": 2}],
        "labels": {"pin": "hunter8"},
        "value": UNKNOWN,
    }
    paths = ((Step("labels"), "pin"), (Step("value"),), (Step("id"),))
    return planned(before, after, private=b"hunter9", sensitive=paths, **more)


def test_nothing_shows_sensitive_values_unless_asked() -> None:
    plan = secretive(unknown=((Step("value"),),), write_only=((Step("secret"),),))
    for text in (repr(plan), str(plan), plan.to_json(), repr(plan.changes)):
        assert "hunter" not in text
    asked = plan.to_json(sensitive=True)
    assert [f"hunter{digit}" in asked for digit in range(1, 10)] == [True] * 8 + [False]
    (password,) = (each for each in plan.changes if each.path == (Step("password"),))
    assert (password.before, password.after) == ("hunter1", "hunter5")


@pytest.mark.parametrize("nesting", Nesting)
def test_secrets_inside_are_hidden_whatever_they_are_in(nesting: Nesting) -> None:
    members = {"key": Attribute("key", cty.STRING, sensitive=True), "size": Attribute("size", cty.NUMBER)}
    block = Block(
        {"disks": Attribute("disks", None, NestedType(members, nesting))} if nesting is not Nesting.GROUP else {},
        {"rules": NestedBlock("rules", Block(members), nesting)},
    )

    def state(key: str, size: int) -> dict[str, Any]:
        inner = {"key": key, "size": size}
        several: Any = {"k": inner} if nesting is Nesting.MAP else [inner]
        value = inner if nesting in {Nesting.SINGLE, Nesting.GROUP} else several
        return {name: value for name in ("disks", "rules") if name in {**block.attributes, **block.block_types}}

    before, after = state("hunter1", 71), state("hunter2", 72)
    for sides in ((before, after), (None, after), (before, None)):
        action = Action.UPDATE if None not in sides else Action.CREATE if sides[0] is None else Action.DELETE
        plan = Plan(type="server", action=action, before=sides[0], after=sides[1], block=block)
        for text in (repr(plan), str(plan), plan.to_json(), repr(plan.changes)):
            assert "hunter" not in text
        assert "72" in str(plan) or "71" in str(plan)


def test_an_unchanged_block_is_counted_once() -> None:
    lines = str(planned({"id": "a", "single": rule(1)}, {"id": "b", "single": rule(1)})).split("\n")
    assert lines[1:] == ["  ~ id = 'a' -> 'b'", "    # 1 unchanged block hidden"]


def test_json() -> None:
    warning = Diagnostic(Severity.WARNING, "Old", "Do not use it.", (Step("id"),))
    plan = planned(
        {"value": Decimal("0.1")},
        {"value": 2**70, "id": UNKNOWN, "names": ["é\n"], "password": "x"},
        unknown=((Step("id"),),),
        requires_replace=((Step("list"), 0, Step("port")), (Step("labels"), "k")),
        warnings=(warning,),
        identity={"id": 1},
    )
    read = json.loads(plan.to_json(), parse_float=Decimal)
    assert read["before"] == NOTHING | {"value": Decimal("0.1")}
    assert read["after"] == NOTHING | {"value": 2**70, "names": ["é\n"], "password": "(sensitive value)"}
    assert read["unknown"] == [["id"]]
    assert read["requires_replace"] == [["list", 0, "port"], ["labels", "k"]]
    assert read["warnings"] == ["id: Old: Do not use it."]
    assert (read["action"], read["type"], read["identity"]) == ("update", "server", {"id": 1})


def test_plan_is_used_once() -> None:
    plan = secretive()
    plan.use()
    assert plan.used
    with pytest.raises(PlanError, match="was applied before"):
        plan.use()


def test_pickled_plan_is_to_be_looked_at() -> None:
    plan = secretive(inputs=lambda: None)
    # What other modules keep with a block may be anything.
    plan.block.memo["function"] = lambda: None
    copy = pickle.loads(pickle.dumps(plan))
    assert (copy, str(copy), copy.changes) == (plan, str(plan), plan.changes)
    assert (copy.inputs, copy.used) == (None, False)
    plan.use()
    assert pickle.loads(pickle.dumps(plan)).used
