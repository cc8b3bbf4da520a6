"""The lines of a printed diff are those that Terraform prints for the same plan: what is marked, how, and how deep."""

from __future__ import annotations

import ast
import gzip
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ferrule.terraform import core, cty
from ferrule.terraform.diff import Kind, Line
from ferrule.terraform.diff.values import equality
from ferrule.terraform.plan import Action, Plan
from ferrule.terraform.schema.provider_schema import Capabilities

from .scenarios import provider_schema, random_plans
from .schema_notation import read_block

RECORDING = Path(__file__).parent / "oracle" / "diffs.jsonl.gz"
with gzip.open(RECORDING, "rt") as lines:
    HEAD, *CASES = [json.loads(line, parse_float=Decimal) for line in lines]

ACTIONS = {"create": Action.CREATE, "update": Action.UPDATE, "delete": Action.DELETE, "delete create": Action.REPLACE}
LABELS = [
    ("key", re.compile(r"('(?:[^'\\]|\\.)*'): ")),
    ("name", re.compile(r"([\w-]+) += ")),
    ("block", re.compile(r"([\w-]+(?: '[^']*')?) \{")),
    ("open", re.compile(r"()[{\[]$")),
]


PYTHON = {"True": "true", "False": "false", "None": "null"}


def plain(text: str) -> str:
    """Without quotes, which Terraform leaves out around the lines of a text."""
    return text.replace("'", '"').strip('"')


def described(line: Line) -> list[Any]:
    """A line as the recording has it: depth, mark, what it is, its name or text, whether it forces a replacement."""
    for kind, pattern in LABELS:
        if found := pattern.match(line.text):
            label = ast.literal_eval(found[1]) if kind == "key" else found[1].replace("'", '"')
            break
    else:
        kind, label = "value", plain(re.sub("True|False|None", lambda word: PYTHON[word[0]], line.text))
    # Terraform writes keys of what is dynamic like names of attributes.
    return [line.depth, line.kind.value, kind.replace("key", "name"), label, bool(line.comment)]


def recorded(case: dict[str, Any]) -> list[list[Any]]:
    found: list[list[Any]] = []
    in_json = False
    for depth, mark, kind, label, forced in case["lines"]:
        in_json = in_json and depth > 1
        if case["id"] == "json" and (depth, kind) == (2, "open"):
            # Terraform puts the brackets within jsonencode() on a line of their own.
            in_json = True
        elif mark != " ":
            text = plain(label) if kind == "value" else label
            found.append([depth - in_json, mark, kind.replace("key", "name"), text, forced])
    return found


def with_unknown(value: Any, unknown: Any) -> Any:
    if unknown is True:
        return cty.UNKNOWN
    if isinstance(unknown, dict) and isinstance(value, dict | None):
        value = value or {}
        return {key: with_unknown(value.get(key), unknown.get(key)) for key in value | unknown}
    if isinstance(unknown, list) and isinstance(value, list):
        return [with_unknown(each, unknown[at] if at < len(unknown) else None) for at, each in enumerate(value)]
    return value


def path_of(steps: list[str | int]) -> cty.Path:
    return tuple(cty.Attribute(step) if isinstance(step, str) else step for step in steps)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_lines_are_those_of_terraform(case: dict[str, Any]) -> None:
    block = read_block(HEAD["schemas"][case["type"]])
    # No configuration is recorded; Terraform shows these of the schema.
    write_only = tuple((cty.Attribute(name),) for name, each in block.attributes.items() if each.write_only)
    plan = Plan(
        type=case["type"],
        action=ACTIONS[" ".join(case["actions"])],
        before=case["before"],
        after=None if case["after"] is None else with_unknown(case["after"], case["after_unknown"]),
        block=block,
        write_only=write_only,
        requires_replace=tuple(map(path_of, case["replace_paths"])),
    )
    assert [described(line) for line in plan.lines() if line.depth and line.kind is not Kind.SAME] == recorded(case)


def test_something_is_marked_exactly_where_something_differs() -> None:
    """In random plans, from the prior state to the proposed one."""
    for case in random_plans():
        block = provider_schema("core-6", Capabilities()).resources[case["type"]].block
        of = core.implied_type(block)
        before, after = (
            cty.untyped(cty.decode(bytes.fromhex(case[f"{name}_msgpack"]), of))
            for name in ("prior_state", "proposed_new_state")
        )
        plan = Plan(type=case["type"], action=Action.UPDATE, before=before, after=after, block=block)
        is_marked = any(line.kind is not Kind.SAME for line in plan.lines() if line.depth)
        # An object in which nothing is set has no lines.
        before = core.empty_value(block) if before is None else before
        assert is_marked == bool(plan.changes) == (equality(before) != equality(after)), case["id"]
        assert json.loads(plan.to_json())["action"] == "update"
