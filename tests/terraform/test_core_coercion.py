"""What is said of a configuration that the schema refuses: all of it, where, and nothing that is secret."""

from __future__ import annotations

import contextlib
import pickle
from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.core import coerce, identity_type
from ferrule.terraform.cty import BOOL, NUMBER, STRING
from ferrule.terraform.errors import ConfigurationError, InvalidResponseError
from ferrule.terraform.schema.model import (
    Attribute,
    Block,
    IdentityAttribute,
    IdentitySchema,
    NestedBlock,
    NestedType,
    Nesting,
)


def attributes(*found: Attribute) -> dict[str, Attribute]:
    return {each.name: each for each in found}


RULE = Block(
    attributes(
        Attribute("port", NUMBER, required=True),
        Attribute("protocol", STRING, optional=True),
        Attribute("open", BOOL, optional=True),
    )
)
OWNER = NestedType(
    attributes(
        Attribute("name", STRING, required=True),
        Attribute("age", NUMBER, optional=True),
        Attribute("pin", NUMBER, optional=True, sensitive=True),
    ),
    Nesting.LIST,
)
SERVER = Block(
    attributes(
        Attribute("name", STRING, required=True),
        Attribute("size", NUMBER, optional=True),
        Attribute("ports", cty.List(NUMBER), optional=True),
        Attribute("tags", cty.Map(BOOL), optional=True),
        Attribute("pin", NUMBER, optional=True, sensitive=True),
        Attribute("keys", cty.Map(NUMBER), optional=True, write_only=True),
        Attribute("owners", None, OWNER, optional=True),
    ),
    {
        "rule": NestedBlock("rule", RULE, Nesting.LIST, max_items=2),
        "allow": NestedBlock("allow", RULE, Nesting.SET),
        "zone": NestedBlock("zone", RULE, Nesting.MAP),
        "disk": NestedBlock("disk", RULE, Nesting.SINGLE),
    },
)


def refused(config: Any, block: Block = SERVER) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        coerce(block, config)
    assert [str(each) for each in pickle.loads(pickle.dumps(caught.value)).problems] == [
        str(each) for each in caught.value.problems
    ]
    return sorted(str(each) for each in caught.value.problems)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    assert refused(
        {
            "nam": "web",
            "size": "large",
            "ports": [80, "http", {}],
            "tags": {"a": True, "b": "maybe", "c": "True"},
            "rule": [{"port": "x"}, {}, {"protocl": 1, "port": 3}],
            "zone": {"k": {"port": 1, "open": "no"}, "l": 5},
            "disk": [{"port": 1}, {"port": 2}],
        }
    ) == [
        "disk: at most 1 block is possible, got 2",
        'ports[1]: expected number, got "http"',
        "ports[2]: expected number, got an object of 0 (this is an attribute, not a block)",
        "rule: at most 2 blocks are possible, got 3",
        'rule[0].port: expected number, got "x"',
        'rule[1]: the attribute "port" is required',
        'rule[2]: unexpected attribute "protocl" (did you mean protocol?)',
        'size: expected number, got "large"',
        'tags["b"]: expected bool, got "maybe"',
        'tags["c"]: expected bool, got "True" (write "true")',
        'the attribute "name" is required',
        'unexpected attribute "nam" (did you mean name?)',
        'zone["k"].open: expected bool, got "no"',
        'zone["l"]: expected an object, got a number',
    ]


def test_a_block_is_told_from_an_attribute() -> None:
    assert refused({"name": "web", "size": {"value": 1}, "rule": "open", "zone": [{"port": 1}]}) == [
        "rule: expected blocks: a list of objects, got text",
        "size: expected number, got an object of 1 (this is an attribute, not a block)",
        "zone: expected blocks: an object of objects by key, got a list",
    ]


@pytest.mark.parametrize("config", [[], "web", 5, {1: "web"}])
def test_what_is_no_configuration_is_refused(config: Any) -> None:
    assert refused(config)


def test_attributes_of_nested_attributes_are_required_too() -> None:
    assert refused({"name": "web", "owners": [{"age": 1}, {"name": None}, {"name": "a", "age": "old"}]}) == [
        # Values of an attribute with a secret inside are not shown.
        "owners: not a value of type list of object; the one given is not shown, for it may be secret",
    ]
    assert refused({"name": "web", "owners": [{"name": None}]}) == ['owners[0]: the attribute "name" is required']


@pytest.mark.parametrize(
    "config",
    [
        {"pin": "hunter2"},
        {"pin": {"hunter2": 1}},
        {"keys": {"a": "hunter2"}},
        {"keys": "hunter2"},
        {"owners": [{"name": "a", "pin": "hunter2"}]},
        {"rule": "hunter2"},
        {"rule": ["hunter2"]},
        {"disk": "hunter2"},
        {"zone": "hunter2"},
    ],
)
def test_nothing_secret_is_said(config: dict[str, Any]) -> None:
    (problem,) = refused({"name": "web", **config})
    assert "hunter2" not in problem
    assert problem.startswith(next(iter(config)))


def test_blocks_are_given_as_in_json() -> None:
    one = {"port": 80, "protocol": None, "open": None}
    for disk in ({"port": 80}, [{"port": "80"}]):
        assert coerce(SERVER, {"name": "web", "disk": disk})["disk"] == one
    for rule in ({"port": 80}, [{"port": 80}], ({"port": 80},)):
        assert coerce(SERVER, {"name": "web", "rule": rule})["rule"] == [one]
    absents: list[Any] = [None, []]
    for zone in ({"k": {"port": 80}}, {"k": [{"port": 80}], "l": [], "m": None}):
        assert coerce(SERVER, {"name": "web", "zone": zone})["zone"] == {"k": one}
    assert refused({"name": "web", "zone": {"k": [{"port": 80}, {"port": 80}]}}) == [
        'zone["k"]: at most 1 block is possible, got 2'
    ]
    for absent in absents:
        value = coerce(SERVER, {"name": "web", "disk": absent, "rule": absent, "zone": absent, "allow": absent})
        assert (value["disk"], value["rule"], value["zone"], value["allow"]) == (None, [], {}, [])
    assert coerce(SERVER, {"name": "web", "allow": [{"port": 2}, {"port": "1"}, {"port": 2}]})["allow"] == [
        {**one, "port": 1},
        {**one, "port": 2},
    ]


def test_blocks_over_an_unknown_collection_are_unknown() -> None:
    for blocks in (cty.UNKNOWN, [{"port": 1}, cty.UNKNOWN]):
        assert coerce(SERVER, {"name": "web", "rule": blocks})["rule"] is cty.UNKNOWN
    assert coerce(SERVER, {"name": "web", "zone": {"k": cty.UNKNOWN}})["zone"] is cty.UNKNOWN


def test_no_object_and_one_that_is_not_known() -> None:
    assert coerce(SERVER, None) is None
    assert coerce(SERVER, cty.UNKNOWN) is cty.UNKNOWN


def test_a_broken_schema_is_the_provider_s_fault() -> None:
    with pytest.raises(InvalidResponseError, match="the attribute has no type"):
        coerce(Block(attributes(Attribute("a"))), {})
    both = Block(attributes(Attribute("a", STRING)), {"a": NestedBlock("a", Block(), Nesting.LIST)})
    with pytest.raises(InvalidResponseError, match="of an attribute and of a block"):
        coerce(both, {})


def test_a_schema_of_too_many_levels_is_the_provider_s_fault() -> None:
    deep: cty.Type = STRING
    with contextlib.suppress(cty.CtyError):
        while True:
            deep = cty.List(deep)
    inner = attributes(Attribute("a", deep, optional=True))
    nested = Attribute("n", nested_type=NestedType(inner, Nesting.LIST), optional=True)
    for block in (
        Block(inner),
        Block(attributes(nested)),
        Block({}, {"b": NestedBlock("b", Block(inner), Nesting.MAP)}),
    ):
        with pytest.raises(InvalidResponseError, match="more than 100 levels"):
            coerce(block, {})
    with pytest.raises(InvalidResponseError, match="more than 100 levels"):
        identity_type(IdentitySchema(0, {"a": IdentityAttribute("a", deep)}))


def test_a_configuration_without_an_end_is_refused() -> None:
    block = Block(attributes(Attribute("any", cty.DYNAMIC, optional=True)))
    config: dict[str, Any] = {}
    config["any"] = config
    assert "levels" in refused(config, block)[0]
