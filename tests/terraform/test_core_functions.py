"""Every question of the oracle to the functions of OpenTofu's core, and its answer.

A case's id is its test's. What is not as core has it is in `EXCEPTIONS`, with the reason.
"""

from __future__ import annotations

import gzip
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.core import (
    coerce,
    compatibility_problems,
    empty_value,
    implied_type,
    normalize_legacy,
    plan_problems,
    planned_unknown,
    proposed_new,
)
from ferrule.terraform.cty.values import presented, resolved
from ferrule.terraform.errors import ConfigurationError, Problem
from ferrule.terraform.schema.model import Block
from terraform.cty_notation import read_tagged
from terraform.schema_notation import read_block

ORACLE = Path(__file__).parent / "oracle"
Case = dict[str, Any]

A_DICT_IS_ONE_BLOCK = "a dict is one block, as in Terraform's JSON syntax (tfjson); this function takes its values"
A_LIST_OF_ONE = "a list with one block, or none, is taken, as in Terraform's JSON syntax (tfjson)"
ABSENT = "None is absent: an empty value; this function passes it on, to providers that do not take it"
NO_BLOCK = "None among blocks is refused, as in Terraform's JSON syntax (tfjson); this function passes it on"
NULL_REQUIRED = "a required attribute that is null is refused here; core leaves it to the provider's validation"
NO_LABELS = "an empty dict, or None, is no block; Terraform's JSON syntax wants a label where the name of blocks is"
TYPE_OF_EMPTY = (
    "empty blocks of a dynamic type are a tuple, as a configuration gives them (tfjson); this one has a list"
)
SYNTAX = "a dict does not tell a block from an attribute whose value is an object"
EXCEPTIONS = {
    "config-coerce-003": NULL_REQUIRED,
    "config-tfjson-003": NULL_REQUIRED,
    "config-block-coerce-002": A_LIST_OF_ONE,
    "config-block-coerce-005": A_LIST_OF_ONE,
    "config-block-coerce-015": ABSENT,
    "config-block-coerce-027": A_LIST_OF_ONE,
    "config-block-coerce-029": ABSENT,
    "config-block-coerce-032": A_DICT_IS_ONE_BLOCK,
    "config-block-coerce-035": A_DICT_IS_ONE_BLOCK,
    "config-block-coerce-036": NO_BLOCK,
    "config-block-coerce-045": A_DICT_IS_ONE_BLOCK,
    "config-block-coerce-050": NO_BLOCK,
    "config-block-coerce-054": A_DICT_IS_ONE_BLOCK,
    "config-block-coerce-057": ABSENT,
    "config-block-coerce-068": ABSENT,
    "config-block-tfjson-057": NO_LABELS,
    "config-block-tfjson-059": NO_LABELS,
    "config-limits-coerce-000": A_DICT_IS_ONE_BLOCK,
    "config-dynamic-coerce-002": TYPE_OF_EMPTY,
    "config-dynamic-tfjson-002": NO_LABELS,
    "config-hcl-011": SYNTAX,
    "config-hcl-014": SYNTAX,
    "config-hcl-062": SYNTAX,
}
"""Each case fails as it stands; one that passes is an error of this list."""


@pytest.fixture(autouse=True)
def temporary_directory() -> None:
    """None: nothing here writes a file, and a directory for each case would take most of the time."""


def cases(name: str) -> list[Case]:
    return list(map(json.loads, gzip.decompress((ORACLE / name).read_bytes()).decode().splitlines()))


CASES = cases("functions-core.jsonl.gz")


def of_function(*names: str) -> pytest.MarkDecorator:
    def marks(case: Case) -> list[pytest.MarkDecorator]:
        reason = EXCEPTIONS.get(case["id"])
        return [pytest.mark.xfail(reason=reason, strict=True)] if reason else []

    found = [each for each in CASES if each["op"] in names]
    return pytest.mark.parametrize("case", [pytest.param(each, id=each["id"], marks=marks(each)) for each in found])


def value_of(block: Block, notation: Any) -> Any:
    """The value as `decode` gives it."""
    of = implied_type(block)
    return presented(*resolved(read_tagged(notation), of), of)


def check(block: Block, value: Any, expected: Any) -> None:
    """The value is the one of the oracle, in all that is sent."""
    of = implied_type(block)
    assert resolved(value, of) == resolved(read_tagged(expected), of)
    # What is given back is in the form that `decode` gives, so that it may go on to the next function.
    assert cty.decode(cty.encode(value, of), of) == value


def check_refusal(problems: tuple[Problem, ...], answer: Case) -> None:
    """One of the problems is core's, or is nearer to the place than it."""
    # Core leaves the names of blocks before in a path, and says some places in words alone.
    wanted = answer["path"].removeprefix(".one").removeprefix(".two").removeprefix(".")
    assert any(cty.format_path(each.path).startswith(wanted) for each in problems)


@of_function("implied_type")
def test_implied_type(case: Case) -> None:
    assert implied_type(read_block(case["schema"])) == cty.Type.from_notation(case["answer"]["type"])


@of_function("empty")
def test_empty_value(case: Case) -> None:
    block = read_block(case["schema"])
    check(block, empty_value(block), case["answer"]["value"])


@of_function("coerce", "tfjson")
def test_coerce(case: Case) -> None:
    check_configuration(case, json.loads(case["text"], parse_float=Decimal))


@of_function("proposed_new")
def test_proposed_new(case: Case) -> None:
    block = read_block(case["schema"])
    prior, config = value_of(block, case["prior"]), value_of(block, case["config"])
    check(block, proposed_new(block, prior, config), case["answer"]["value"])


@of_function("planned_unknown")
def test_planned_unknown(case: Case) -> None:
    block = read_block(case["schema"])
    config = value_of(block, case["config"])
    check(block, planned_unknown(block, config, core="opentofu"), case["answer"]["value"])
    check(block, planned_unknown(block, config), (case.get("terraform") or case["answer"])["value"])


PLACE = re.compile(r"""(?:\.\w+|\[(?:\d+|"[^"]*")])*""")


def places(problems: list[str]) -> list[list[str]]:
    """The place of each problem, without the difference between attributes and keys, of which core is not sure."""
    found = [PLACE.match(each) for each in problems]
    return sorted([step.strip('"') for step in re.findall(r'\w+|"[^"]*"', each[0])] for each in found if each)


@of_function("plan_valid")
def test_plan_problems(case: Case) -> None:
    block = read_block(case["schema"])
    found = plan_problems(block, *(value_of(block, case[name]) for name in ("prior", "config", "planned")))
    assert sorted(list(map(str, each.path)) for each in found) == places(case["answer"]["problems"])


@of_function("compatible")
def test_compatibility_problems(case: Case) -> None:
    block = read_block(case["schema"])
    found = compatibility_problems(block, *(value_of(block, case[name]) for name in ("planned", "actual")))
    assert sorted(list(map(str, each.path)) for each in found) == places(case["answer"]["problems"])


@of_function("normalize")
def test_normalize_legacy(case: Case) -> None:
    block = read_block(case["schema"])
    check(block, normalize_legacy(block, value_of(block, case["planned"])), case["answer"]["value"])


ANY_STRING = cty.Typed(cty.UNKNOWN, cty.STRING)
ANY_NUMBER = cty.Typed(cty.UNKNOWN, cty.NUMBER)
ANY_LIST = cty.Typed(cty.UNKNOWN, cty.List(cty.STRING))
HCL: dict[str, dict[str, Any]] = {
    'name = "x"\nn {\n key = "a"\n}\nn {\n key = unknown.string\n}': {"n": [{"key": "a"}, {"key": ANY_STRING}]},
    'name = "x"\nn = [{key = "a"}]': {"n": [{"key": "a"}]},
    'name = "x"': {},
    "name = 5": {"name": 5},
    'name = "x"\nn "k" {\n key = "a"\n}': {"n": {"k": {"key": "a"}}},
    'name = "x"\nn = { key = "a" }': {"n": {"key": "a"}},
    'name = "x"\nn = [{ key = "a" }, { key = unknown.string, value = unknown.number }]': {
        "n": [{"key": "a"}, {"key": ANY_STRING, "value": ANY_NUMBER}]
    },
    'name = "x"\nn = { p = { key = "a" } }': {"n": {"p": {"key": "a"}}},
    'name = "x"\nn = unknown.any': {"n": cty.UNKNOWN},
    'name = "x"\nn = unknown.list': {"n": ANY_LIST},
    'name = "x"\nn = null': {"n": None},
    'name = "x"\nn { key = "a" }': {"n": {"key": "a"}},
    'name = "x"\nsize = 0.1': {"size": 0.1},
    'name = "x"\nany = { a = [1, "x"], b = null }': {"any": {"a": [1, "x"], "b": None}},
    'name = "x"\naddresses = ["b", "a", "b", unknown.string]': {"addresses": ["b", "a", "b", ANY_STRING]},
    'name = "x"\ntags = { a = unknown.any, b = 1 }': {"tags": {"a": cty.UNKNOWN, "b": 1}},
    'name = "x"\nports = unknown.list': {"ports": ANY_LIST},
    'name = "x"\nany = unknown.any': {"any": cty.UNKNOWN},
    'name = "x"\nany = unknown.string': {"any": ANY_STRING},
}
"""What a program would give in place of a body in HCL."""
NO_DICT = {
    'name = unknown.string\ndynamic "n" {\n for_each = ["a"]\n content {\n  key = n.value\n }\n}': (
        "dynamic blocks are a matter of the language: a program makes a list itself"
    ),
    'name = "x"\nn "k" {\n key = "a"\n}\nn "k" {\n key = "b"\n}': "a dict has a key once",
}


@of_function("hcl")
def test_coerce_what_hcl_says(case: Case) -> None:
    if case["text"] in NO_DICT:
        assert "errors" in case["answer"]
    else:
        check_configuration(case, {"name": "x", **HCL[case["text"]]})


def check_configuration(case: Case, config: Any) -> None:
    block, answer = read_block(case["schema"]), case["answer"]
    if "value" in answer:
        check(block, coerce(block, config), answer["value"])
        return
    with pytest.raises(ConfigurationError) as caught:
        coerce(block, config)
    if "path" in answer:
        check_refusal(caught.value.problems, answer)


def test_nothing_of_the_oracle_is_left_out() -> None:
    assert len(CASES) == 1473
    assert {each["op"] for each in CASES} == {
        "coerce",
        "compatible",
        "empty",
        "hcl",
        "implied_type",
        "normalize",
        "plan_valid",
        "planned_unknown",
        "proposed_new",
        "tfjson",
    }
    assert EXCEPTIONS.keys() <= {each["id"] for each in CASES}
