"""Plans that OpenTofu made of random configurations and random changes: what it sent to the provider, byte for byte."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.core import coerce, implied_type, proposed_new
from ferrule.terraform.schema.model import Block
from terraform.schema_notation import read_block

ORACLE = Path(__file__).parent / "oracle"
Case = dict[str, Any]


def text_of(name: str) -> str:
    return gzip.decompress((ORACLE / name).read_bytes()).decode()


SCHEMAS = json.loads(text_of("schema.json.gz"))["recording_6"]["providers_schema"]["resource_schemas"]
BLOCKS = {name: read_block(each["block"]) for name, each in SCHEMAS.items()}
PLANS = [json.loads(line, parse_float=Decimal) for line in text_of("plans.jsonl.gz").splitlines()]


def given(body: Any) -> Any:
    """The body of a resource with an unknown value for each reference to another resource."""
    match body:
        case dict():
            return {key: given(each) for key, each in body.items()}
        case list():
            return list(map(given, body))
        case str() if "== " in body and "${" in body:
            return cty.Typed(cty.Unknown(not_null=True), cty.BOOL)
        case str() if "${length(" in body:
            return cty.Typed(cty.Unknown(not_null=True, lower=0), cty.NUMBER)
        case str() if "${" in body:
            return cty.Typed(cty.Unknown(not_null=True), cty.STRING)
    return body


def decoded(case: Case, name: str, block: Block) -> Any:
    return cty.decode(bytes.fromhex(case[f"{name}_msgpack"]), implied_type(block))


@pytest.mark.parametrize("case", [pytest.param(each, id=each["id"]) for each in PLANS])
def test_what_is_sent(case: Case) -> None:
    block = BLOCKS[case["type"]]
    config = decoded(case, "config", block)
    if "given" in case:
        config = coerce(block, given(case["given"]))
        assert cty.encode(config, implied_type(block)).hex() == case["config_msgpack"]
    proposed = proposed_new(block, decoded(case, "prior_state", block), config)
    assert cty.encode(proposed, implied_type(block)).hex() == case["proposed_new_state_msgpack"]


def test_no_plan_is_left_out() -> None:
    assert len(PLANS) == 395
