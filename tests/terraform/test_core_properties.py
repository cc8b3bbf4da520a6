"""Properties of core's functions, for random schemas and configurations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrule.terraform import cty
from ferrule.terraform.core import (
    coerce,
    compatibility_problems,
    implied_type,
    normalize_legacy,
    plan_problems,
    proposed_new,
    unknown_as_null,
    unknown_paths,
)
from ferrule.terraform.core.correlation import leaves_of_block, uncorrelated
from ferrule.terraform.core.matching import Matching, may_come_from
from ferrule.terraform.core.types import Field
from ferrule.terraform.core.walk import changed
from ferrule.terraform.schema.model import Block
from terraform.cty_strategies import ASKED
from terraform.random_blocks import VALUES, Blocks

SEEDS = st.integers(0, 2**32)


@pytest.fixture(autouse=True)
def temporary_directory() -> None:
    """None: nothing here writes a file, and a directory for each case would take most of the time."""


def known(block: Block, value: Any) -> Any:
    return unknown_as_null(value, implied_type(block))


def filled(made: Blocks, block: Block, value: Any) -> Any:
    """What a provider could store: something for what it may compute, and nothing that is unknown."""

    def change(field: Field, value: Any) -> Any:
        if field.attribute is None or not field.attribute.computed or value is not None or field.schema is not None:
            return value
        return made.random.choice([None, *VALUES[field.type]])

    return coerce_again(block, changed(block, known(block, value), change))


def planned(block: Block, value: Any) -> Any:
    """What a provider could plan: unknown values for what is computed."""

    def change(field: Field, value: Any) -> Any:
        is_open = field.attribute is not None and field.attribute.computed and value is None
        return cty.UNKNOWN if is_open else value

    return changed(block, value, change)


def coerce_again(block: Block, value: Any) -> Any:
    of = implied_type(block)
    return cty.decode(cty.encode(value, of), of)


@given(SEEDS)
@ASKED
def test_a_value_is_its_own_configuration(seed: int) -> None:
    made = Blocks(seed)
    block = made.block()
    value = coerce(block, made.configuration(block))
    assert coerce_again(block, value) == value
    assert coerce(block, value) == value
    assert normalize_legacy(block, value) == value


@given(SEEDS)
@ASKED
def test_a_creation_proposes_the_configuration(seed: int) -> None:
    made = Blocks(seed)
    block = made.block()
    value = coerce(block, made.configuration(block))
    assert proposed_new(block, None, value) == value
    assert plan_problems(block, None, value, value) == []
    assert plan_problems(block, None, value, planned(block, value)) == []


@given(SEEDS)
@ASKED
def test_a_proposal_is_a_plan(seed: int) -> None:
    made = Blocks(seed)
    block = made.block()
    prior = filled(made, block, coerce(block, made.configuration(block)))
    config = coerce(block, made.configuration(block))
    proposed = proposed_new(block, prior, config)
    assert coerce_again(block, proposed) == proposed
    # Two elements of a set may become one.
    assert all("elements are planned" in each.message for each in plan_problems(block, prior, config, proposed))


@given(SEEDS)
@ASKED
def test_what_comes_of_a_plan_may_be_anything_where_it_is_unknown(seed: int) -> None:
    made = Blocks(seed, unknown=0)
    block = made.block()
    value = coerce(block, made.configuration(block))
    plan, result = planned(block, value), filled(made, block, value)
    assert compatibility_problems(block, result, result) == []
    assert compatibility_problems(block, plan, result) == []
    if not unknown_paths(plan, implied_type(block)):
        assert plan == result


def elements(seed: int) -> tuple[Block, list[Any], list[Any]]:
    """Two sets of elements, the first as of a provider's answer."""
    made = Blocks(seed, dynamic=False)
    block = made.block(1, in_set=True)
    before = [coerce(block, made.configuration(block)) for _ in range(5)]
    return (
        block,
        [filled(made, block, each) for each in before],
        [each if made.random.random() < 0.5 else coerce(block, made.configuration(block)) for each in before],
    )


@given(SEEDS)
@ASKED
def test_elements_are_found_as_by_trying_each(seed: int) -> None:
    block, prior, config = elements(seed)
    left = list(prior)
    matching = Matching(block, prior)
    for each in config:
        tried = next((other for other in left if may_come_from(block, other, each)), None)
        if tried is not None:
            left.remove(tried)
        assert matching.taken(each) == tried


@given(SEEDS)
@ASKED
def test_elements_are_correlated_as_by_trying_each(seed: int) -> None:
    block, actual, configured = elements(seed)
    plan = [planned(block, each) for each in configured]

    def compatible(was: Any, now: Any) -> bool:
        return not compatibility_problems(block, was, now)

    lost = sum(not any(compatible(was, now) for now in actual) for was in plan)
    new = sum(not any(compatible(was, now) for was in plan) for now in actual)
    assert uncorrelated(plan, actual, leaves_of_block(block), compatible) == (lost, new)
