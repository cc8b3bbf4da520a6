"""Plans and states of OpenTofu and of `ferrule.terraform` in one form."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from ferrule.terraform import cty
from ferrule.terraform.plan import Action, Plan
from ferrule.terraform.state import ResourceState

ACTIONS = {
    ("create",): Action.CREATE,
    ("update",): Action.UPDATE,
    ("delete", "create"): Action.REPLACE,
    ("delete",): Action.DELETE,
    ("no-op",): Action.NO_OP,
}

UNKNOWN = "(known after apply)"


def change_of_tofu(change: Mapping[str, Any]) -> dict[str, Any]:
    """A change as `show -json` has it: what is unknown is named apart from the values."""
    return {
        "action": ACTIONS[tuple(change["actions"])],
        "before": plain(change["before"]),
        "after": plain(joined(change["after"], change["after_unknown"])),
        "replace": sorted(map(tuple, change.get("replace_paths", ()))),
    }


def change_of_plan(plan: Plan) -> dict[str, Any]:
    return {
        "action": plan.action,
        "before": plain(plan.before),
        "after": plain(plan.after),
        "replace": sorted(
            tuple(str(step) if isinstance(step, str) else step for step in p) for p in plan.requires_replace
        ),
    }


def joined(after: Any, unknown: Any) -> Any:
    """Values with the unknown ones among them."""
    if unknown is True:
        return UNKNOWN
    if isinstance(unknown, dict) and (after is not None or unknown):
        known = after or {}
        return {name: joined(known.get(name), unknown.get(name)) for name in known.keys() | unknown.keys()}
    if isinstance(unknown, list) and unknown:
        return [joined(each, mark) for each, mark in zip(after, unknown, strict=True)]
    return after


def plain(value: Any) -> Any:
    """A value without its types, with all numbers as decimals."""
    match cty.untyped(value):
        case cty.Unknown():
            return UNKNOWN
        case bool() as truth:
            return truth
        case int() | float() | Decimal() as number:
            return Decimal(str(number))
        case list() as items:
            return list(map(plain, items))
        case Mapping() as items:
            return {name: plain(each) for name, each in items.items()}
        case other:
            return other


def instance_of_tofu(instance: Mapping[str, Any], chance: Collection[str]) -> dict[str, Any]:
    """An object of a state file."""
    return {
        "attributes": masked(plain(instance["attributes"]), chance),
        "schema_version": instance["schema_version"],
        "private": base64.b64decode(instance.get("private", "")),
        "identity": masked(plain(instance.get("identity")), chance),
    }


def instance_of_state(state: ResourceState, chance: Collection[str]) -> dict[str, Any]:
    return {
        "attributes": masked(plain(state.attributes), chance),
        "schema_version": state.schema_version,
        "private": state.private,
        "identity": masked(plain(state.identity), chance),
    }


def masked(attributes: Any, chance: Collection[str]) -> Any:
    """Attributes with types in place of those values that chance has made."""
    if attributes is None:
        return None
    return {name: type(value) if name in chance else value for name, value in attributes.items()}
