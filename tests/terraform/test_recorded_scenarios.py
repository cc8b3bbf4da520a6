"""What our operations send, beside what the real cores have sent for the same configurations."""

from __future__ import annotations

from typing import Any

import pytest

from ferrule.terraform import core, cty
from ferrule.terraform.operations.context import BlockType
from ferrule.terraform.schema.provider_schema import Capabilities

from .replay import Replay
from .replay_bodies import resolved
from .replay_player import ON_PURPOSE
from .scenarios import (
    RECORDINGS,
    Scenario,
    core_scenarios,
    provider_schema,
    random_plans,
    recorded,
    terraform_scenarios,
)


@pytest.fixture(autouse=True)
def temporary_directory() -> None:
    """None: nothing here writes a file, and a directory for each case would take most of the time."""


SCENARIOS = [(f"{name}-{each.id}", each) for name in RECORDINGS for each in recorded(name)]
SCENARIOS += [(f"core-{each.id}", each) for each in core_scenarios()]
SCENARIOS += [(f"core-terraform-{each.id}", each) for each in terraform_scenarios()]


@pytest.mark.parametrize("scenario", [pytest.param(each, id=name) for name, each in SCENARIOS])
def test_scenario(scenario: Scenario) -> None:
    """Each request is the recorded one, and each state too, but for what `ON_PURPOSE` names."""
    replay = Replay(scenario)
    replay.run()
    assert replay.excepted <= ON_PURPOSE.keys()


@pytest.mark.parametrize("case", [pytest.param(each, id=each["id"]) for each in random_plans()])
def test_random_plan(case: dict[str, Any]) -> None:
    """The configuration becomes the recorded value, and with the prior state it becomes the recorded proposal."""
    block = provider_schema("core-6", Capabilities()).resources[case["type"]].block
    of = core.implied_type(block)
    prior, config = (cty.decode(bytes.fromhex(case[f"{name}_msgpack"]), of) for name in ("prior_state", "config"))
    if "given" in case:
        given, _ = resolved(BlockType(case["type"], block), case["given"], config)
        assert cty.encode(core.coerce(block, given), of).hex() == case["config_msgpack"]
    assert cty.encode(core.proposed_new(block, prior, config), of).hex() == case["proposed_new_state_msgpack"]
