"""Whole runs of OpenTofu and Terraform: what they asked a provider for, and which of its answers they refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.core import (
    compatibility_problems,
    implied_type,
    plan_problems,
    proposed_new,
    replacement_paths,
    write_only_problems,
)
from ferrule.terraform.errors import InvalidResponseError
from ferrule.terraform.schema.model import Block
from terraform.recordings import scenarios
from terraform.schema_oracle import recorded_schema

RECORDINGS = pytest.mark.parametrize("recording", ["opentofu-5", "opentofu-6", "terraform-6"])


@pytest.fixture(autouse=True)
def temporary_directory() -> None:
    """None: nothing here writes a file, and a directory for each case would take most of the time."""


@dataclass(frozen=True)
class Exchange:
    """One call of a run."""

    place: str
    block: Block
    request: dict[str, Any]
    response: dict[str, Any]
    step: dict[str, Any]

    def value(self, message: dict[str, Any], name: str) -> Any:
        sent, of = message.get(name) or {}, implied_type(self.block)
        if "json" in sent:
            return cty.decode_json(sent["json"], of)
        return cty.decode(bytes.fromhex(sent["msgpack"]), of) if "msgpack" in sent else None

    def is_refused(self, *summaries: str) -> bool:
        return any(each["summary"] in summaries for each in self.step["problems"])


def exchanges(recording: str, method: str) -> Iterator[Exchange]:
    resources = recorded_schema(f"recording-{recording[-1]}").resources
    for scenario in scenarios(recording):
        for index, step in enumerate(scenario["steps"]):
            for call in step.get("calls", ()):
                if call["method"] == method:
                    block = resources[call["request"]["type_name"]].block
                    place = f"{scenario['id']}, step {index}"
                    yield Exchange(place, block, call["request"], call["response"] or {}, step)


def planned(recording: str) -> Iterator[tuple[Exchange, Any, Any, Any]]:
    """Plans of creations and changes: prior state, configuration, and what is planned."""
    for each in exchanges(recording, "PlanResourceChange"):
        prior, config = (each.value(each.request, name) for name in ("prior_state", "config"))
        if config is not None and "planned_state" in each.response:
            yield each, prior, config, each.value(each.response, "planned_state")


@RECORDINGS
def test_what_is_proposed(recording: str) -> None:
    count = 0
    for each, prior, config, _ in planned(recording):
        proposed = proposed_new(each.block, prior, config)
        expected = each.request["proposed_new_state"]["msgpack"]
        assert cty.encode(proposed, implied_type(each.block)).hex() == expected, each.place
        count += 1
    assert count > 70


def replaced(each: Exchange, prior: Any, plan: Any) -> tuple[cty.Path, ...]:
    paths = [path_of(path["steps"]) for path in each.response.get("requires_replace") or ()]
    return replacement_paths(each.block, prior, plan, paths)


def path_of(steps: list[dict[str, Any]]) -> cty.Path:
    return tuple(
        cty.Attribute(step["attribute_name"]) if "attribute_name" in step else next(iter(step.values()))
        for step in steps
    )


@RECORDINGS
def test_which_plans_are_refused(recording: str) -> None:
    for each, prior, config, plan in planned(recording):
        if each.response.get("legacy_type_system"):
            continue
        found = plan_problems(each.block, prior, config, plan) + write_only_problems(each.block, plan)
        try:
            replaced(each, prior, plan)
        except InvalidResponseError as error:
            found += error.problems
        is_refused = each.is_refused("Provider produced invalid plan", "Invalid provider response")
        assert bool(found) == is_refused, each.place


@RECORDINGS
def test_which_results_are_refused(recording: str) -> None:
    for each in exchanges(recording, "ApplyResourceChange"):
        plan, result = each.value(each.request, "planned_state"), each.value(each.response, "new_state")
        # What a provider answers beside an error is taken as it is.
        is_checked = plan is not None and not any(
            diagnostic["severity"] == "ERROR" for diagnostic in each.response.get("diagnostics") or ()
        )
        if is_checked and not each.response.get("legacy_type_system"):
            found = compatibility_problems(each.block, plan, result)
            assert bool(found) == each.is_refused("Provider produced inconsistent result after apply"), each.place


@RECORDINGS
def test_which_changes_replace(recording: str) -> None:
    for (each, prior, _, plan), (following, following_prior, *_) in pairwise(planned(recording)):
        is_forced = any("-replace" in word for word in each.step["command"])
        if prior is not None and not is_forced and not each.is_refused("Provider produced invalid plan"):
            # A replacement is planned once more, as a creation.
            is_replacement = following_prior is None and following.place == each.place
            assert bool(replaced(each, prior, plan)) == is_replacement, each.place
