"""What is ignored, replaced, hidden, and not known: as recorded from OpenTofu, and where recordings have nothing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.core import (
    coerce,
    compatibility,
    compatibility_problems,
    identity_type,
    ignore_changes,
    implied_type,
    matching,
    plan_problems,
    proposed_new,
    replacement_paths,
    sensitive_paths,
    unknown_as_null,
    unknown_paths,
    without_write_only,
    write_only_problems,
)
from ferrule.terraform.cty import DYNAMIC, NUMBER, STRING, UNKNOWN, List, Map, Object, Set, Typed
from ferrule.terraform.cty import Attribute as Name
from ferrule.terraform.errors import InvalidResponseError
from ferrule.terraform.schema.model import (
    Attribute,
    Block,
    IdentityAttribute,
    IdentitySchema,
    NestedBlock,
    NestedType,
    Nesting,
)
from ferrule.terraform.schema.provider_schema import Capabilities
from terraform.scenarios import ORACLE, provider_schema


@pytest.fixture(autouse=True)
def temporary_directory() -> None:
    """None: nothing here writes a file."""


def scenario(name: str) -> list[dict[str, Any]]:
    """The steps of a scenario."""
    with gzip.open(ORACLE / "core-scenarios.jsonl.gz", "rt") as lines:
        found = next(line for line in lines if json.loads(line)["name"] == name)
    steps: list[dict[str, Any]] = json.loads(found, parse_float=Decimal)["steps"]
    return steps


def plan_of(step: dict[str, Any]) -> tuple[Block, dict[str, Any], dict[str, Any]]:
    """The schema, the request and the response of the first plan."""
    call = next(each for each in step["calls"] if each["rpc"] == "PlanResourceChange")
    block = provider_schema("core-6", Capabilities()).resources[call["request"]["type_name"]].block
    values: list[dict[str, Any]] = [
        {
            name: cty.decode(bytes.fromhex(each["msgpack"]), implied_type(block)) if "msgpack" in each else each
            for name, each in message.items()
            if isinstance(each, dict)
        }
        | {name: each for name, each in message.items() if not isinstance(each, dict)}
        for message in (call["request"], call["response"])
    ]
    return block, values[0], values[1]


IGNORED: dict[str, Any] = {
    "ignore_changes": [(Name("label"),), (Name("disk"),)],
    "ignore_changes_all": "all",
    "ignore_changes_all_computed": "all",
    "ignore_changes_path": [(Name("o_map"), "a"), (Name("o_list"),)],
}


@pytest.mark.parametrize("name", IGNORED)
def test_what_is_planned_with_ignored_changes(name: str) -> None:
    step = scenario(name)[1]
    block, request, _ = plan_of(step)
    ((_, body),) = next(iter(step["config"]["resource"].values())).items()
    config = coerce(block, {key: each for key, each in body.items() if key != "lifecycle"})
    assert config != request["config"]
    ignored = ignore_changes(block, request["prior_state"], config, IGNORED[name])
    assert ignored == request["config"]
    assert cty.encode(ignored, implied_type(block)) == cty.encode(request["config"], implied_type(block))


TAGGED = Block(
    {
        "tags": Attribute("tags", Map(STRING), optional=True),
        "any": Attribute("any", DYNAMIC, optional=True),
    },
    {"rule": NestedBlock("rule", Block({"any": Attribute("any", DYNAMIC, optional=True)}), Nesting.LIST)},
)


@pytest.mark.parametrize(
    ("before", "given", "path", "expected"),
    [
        ({"tags": {"a": "1"}}, {"tags": {"a": "2", "b": "3"}}, (Name("tags"), "a"), {"tags": {"a": "1", "b": "3"}}),
        ({"tags": {"a": "1"}}, {"tags": None}, (Name("tags"), "a"), {"tags": {"a": "1"}}),
        ({"tags": {"a": "1"}}, {"tags": {"a": "2", "b": "3"}}, (Name("tags"), "b"), {"tags": {"a": "2"}}),
        ({"tags": None}, {"tags": {"b": "3"}}, (Name("tags"), "b"), {"tags": {}}),
        ({"tags": {"a": "1"}}, {"tags": UNKNOWN}, (Name("tags"), "a"), {"tags": UNKNOWN}),
        ({"tags": {"a": "1"}}, {"tags": UNKNOWN}, (Name("tags"),), {"tags": {"a": "1"}}),
        ({"any": {"x": 1}}, {"any": {"x": "2", "y": 3}}, (Name("any"), Name("x")), {"any": {"x": 1, "y": 3}}),
        ({"any": 1}, {"any": {"x": "2"}}, (Name("any"), Name("x")), {"any": {"x": "2"}}),
        ({"rule": [{"any": 1}]}, {"rule": [{"any": "x"}]}, (Name("rule"), 0, Name("any")), {"rule": [{"any": 1}]}),
        ({"rule": []}, {"rule": [{"any": "x"}]}, (Name("rule"), 0, Name("any")), {"rule": [{"any": "x"}]}),
        ({"rule": []}, {"rule": [{"any": "x"}]}, (Name("rule"),), {"rule": []}),
        ({}, {"any": "x"}, (Name("nothing"),), {"any": "x"}),
    ],
)
def test_what_is_ignored(before: Any, given: Any, path: cty.Path, expected: Any) -> None:
    values = [coerce(TAGGED, each) for each in (before, given, expected)]
    assert ignore_changes(TAGGED, values[0], values[1], [path]) == values[2]


def test_what_is_ignored_inside_of_nothing_stays_nothing() -> None:
    """As OpenTofu's `processIgnoreChanges`, which goes through the places of the configuration."""
    block = Block({}, {"main": NestedBlock("main", TAGGED, Nesting.SINGLE)})
    before, given = coerce(block, {"main": {"any": 1, "tags": {"a": "1"}}}), coerce(block, {})
    for path in ((Name("main"), Name("any")), (Name("main"), Name("tags"), "a")):
        assert ignore_changes(block, before, given, [path]) == given


def test_nothing_is_ignored_in_a_creation() -> None:
    config = coerce(TAGGED, {"any": "x"})
    assert ignore_changes(TAGGED, None, config, "all") is config


@pytest.mark.parametrize("name", ["replace", "replace_in_block", "replace_unknown", "replace_unchanged_path"])
def test_what_replaces(name: str) -> None:
    step = scenario(name)[1]
    block, request, response = plan_of(step)
    paths = [
        tuple(Name(each) if isinstance(each, str) else each for each in path) for path in response["requires_replace"]
    ]
    found = replacement_paths(block, request["prior_state"], response["planned_state"], paths)
    (change,) = step["plan"]
    assert list(map(list, found)) == change.get("replace_paths", [])
    assert bool(found) == (change["actions"] == ["delete", "create"])


SECRETS = Block(
    {
        "password": Attribute("password", STRING, optional=True, sensitive=True),
        "token": Attribute("token", STRING, optional=True, write_only=True),
        "any": Attribute("any", DYNAMIC, optional=True),
        "login": Attribute(
            "login",
            None,
            NestedType({"pin": Attribute("pin", NUMBER, optional=True, sensitive=True)}, Nesting.MAP),
            optional=True,
        ),
    },
    {
        "list": NestedBlock("list", Block({"key": Attribute("key", STRING, write_only=True)}), Nesting.LIST),
        "set": NestedBlock("set", Block({"key": Attribute("key", STRING, sensitive=True)}), Nesting.SET),
    },
)


def test_a_write_only_attribute_may_replace() -> None:
    state = coerce(SECRETS, {"list": [{}]})
    paths = [(Name("token"),), (Name("list"), 0, Name("key")), (Name("password"),), (Name("token"),)]
    assert list(replacement_paths(SECRETS, state, state, paths)) == paths[:2]
    assert replacement_paths(SECRETS, None, state, paths) == ()


def test_a_replacement_of_what_is_not_there_is_refused() -> None:
    before, after = (coerce(SECRETS, {"list": [{}] * count}) for count in (1, 2))
    # In one of the two states is enough: the element has come.
    assert replacement_paths(SECRETS, before, after, [(Name("list"), 1)]) == ((Name("list"), 1),)
    with pytest.raises(InvalidResponseError) as caught:
        replacement_paths(SECRETS, before, after, [(Name("list"), 2), (Name("no"),), (Name("list"), "a")])
    assert [each.path for each in caught.value.problems] == [(Name("list"), 2), (Name("no"),), (Name("list"), "a")]


def test_what_is_write_only_is_neither_stored_nor_given_back() -> None:
    given = coerce(SECRETS, {"token": "t", "password": "p", "list": [{"key": "k"}, {"key": None}]})
    stored = coerce(SECRETS, {"password": "p", "list": [{}, {}]})
    assert without_write_only(SECRETS, given) == stored
    assert [each.path for each in write_only_problems(SECRETS, given)] == [
        (Name("list"), 0, Name("key")),
        (Name("token"),),
    ]
    assert write_only_problems(SECRETS, stored) == []
    assert without_write_only(SECRETS, None) is None


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ({"password": "hunter2"}, {"password": "hunter3"}, "password"),
        ({"password": "hunter2"}, {}, "password"),
        ({"login": {"k": {"pin": 77123}}}, {"login": {"k": {"pin": 77124}}}, 'login["k"].pin'),
        ({"list": [{"key": "hunter2"}]}, {"list": [{"key": "hunter3"}]}, "list[0].key"),
        ({"any": 1}, {"any": 2}, "any"),
    ],
)
def test_checks_say_nothing_secret(before: Any, after: Any, place: str) -> None:
    config, other = coerce(SECRETS, before), coerce(SECRETS, after)
    for found in (
        plan_problems(SECRETS, None, config, other),
        plan_problems(SECRETS, config, config, other),
        compatibility_problems(SECRETS, config, other),
    ):
        for problem in found:
            assert cty.format_path(problem.path) == place
            assert not any(secret in str(problem) for secret in ("hunter", "7712"))
    assert compatibility_problems(SECRETS, config, other)


def test_checks_say_no_elements_of_sets() -> None:
    config, other = (coerce(SECRETS, {"set": [{"key": key}]}) for key in ("hunter2", "hunter3"))
    (problem,) = compatibility_problems(SECRETS, config, other)
    assert str(problem) == "set: an element of the plan fits none of the result's"


def test_where_secrets_are() -> None:
    value = coerce(SECRETS, {"set": [{"key": "a"}, {"key": "b"}], "login": {"x y": {"pin": 1}, "z": {}}})
    assert [cty.format_path(path) for path in sensitive_paths(SECRETS, value)] == [
        'login["x y"].pin',
        'login["z"].pin',
        "password",
        "set",
    ]


def test_what_is_inside_of_a_secret_is_no_secret_of_its_own() -> None:
    parts = NestedType({"key": Attribute("key", STRING, optional=True, sensitive=True)}, Nesting.LIST)
    block = Block({"keys": Attribute("keys", None, parts, optional=True, sensitive=True)})
    assert sensitive_paths(block, coerce(block, {"keys": [{"key": "a"}]})) == ((Name("keys"),),)


def test_null_in_place_of_blocks_stays_null() -> None:
    """A provider may answer so, and gets to know of it: blocks that are not there are empty."""
    attributes = {
        "any": Attribute("any", DYNAMIC, optional=True),
        "key": Attribute("key", STRING, optional=True, write_only=True),
    }
    block = Block({}, {"rule": NestedBlock("rule", Block(attributes), Nesting.LIST)})
    assert without_write_only(block, {"rule": None}) == {"rule": None}
    given = coerce(block, {"rule": [{"any": 1, "key": "k"}, {"any": "x", "key": "k"}]})
    assert without_write_only(block, given) == coerce(block, {"rule": [{"any": 1}, {"any": "x"}]})


def test_what_is_recorded_as_sensitive() -> None:
    """The marks of a state by OpenTofu, null attributes among them."""
    (resource,) = scenario("write_only")[1]["state_after"]
    (instance,) = resource["instances"]
    block = provider_schema("core-6", Capabilities()).resources["rec_secret"].block
    value = cty.decode_json(json.dumps(instance["attributes"]), implied_type(block))
    expected = [
        [step["value"]["value"] if step["type"] == "index" else step["value"] for step in path]
        for path in instance["sensitive_attributes"]
    ]
    assert [list(path) for path in sensitive_paths(block, value)] == expected


UNKNOWNS = Object({"a": STRING, "b": List(STRING), "c": Set(STRING), "d": DYNAMIC, "e": Map(Object({"f": NUMBER}))})


def test_where_values_are_unknown() -> None:
    value = {
        "a": UNKNOWN,
        "b": ["x", cty.Unknown(not_null=True)],
        "c": ["x", UNKNOWN],
        "d": Typed(["x", UNKNOWN], List(STRING)),
        "e": {"k 1": {"f": UNKNOWN}, "l": {"f": 1}},
    }
    assert [cty.format_path(path) for path in unknown_paths(value, UNKNOWNS)] == [
        "a",
        "b[1]",
        "c",
        "d[1]",
        'e["k 1"].f',
    ]
    assert unknown_as_null(value, UNKNOWNS) == {
        "a": None,
        "b": ["x", None],
        "c": ["x", None],
        "d": Typed(["x", None], List(STRING)),
        "e": {"k 1": {"f": None}, "l": {"f": 1}},
    }
    assert unknown_paths(UNKNOWN, UNKNOWNS) == ((),)
    assert unknown_as_null(UNKNOWN, UNKNOWNS) is None
    assert unknown_paths(unknown_as_null(value, UNKNOWNS), UNKNOWNS) == ()


LARGE = Block(
    {},
    {
        "rule": NestedBlock(
            "rule",
            Block(
                {
                    "port": Attribute("port", NUMBER, required=True),
                    "kind": Attribute("kind", STRING, optional=True),
                    "id": Attribute("id", STRING, computed=True),
                }
            ),
            Nesting.SET,
        )
    },
)


def test_elements_of_a_large_set_are_not_compared_each_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any) -> Any:
            nonlocal compared
            compared += 1
            return function(*args)

        return counting

    monkeypatch.setattr(matching, "may_come_from", counted(matching.may_come_from))
    monkeypatch.setattr(compatibility, "_object", counted(compatibility._object))
    config = coerce(LARGE, {"rule": [{"port": port, "kind": "a"} for port in range(2000)]})
    made = coerce(LARGE, {"rule": [{**each, "id": f"id-{each['port']}"} for each in config["rule"]]})
    assert proposed_new(LARGE, made, config) == made
    plan = coerce(LARGE, {"rule": [{**each, "id": UNKNOWN} for each in config["rule"]]})
    assert compatibility_problems(LARGE, plan, made) == []
    assert compared < 3 * 2000


def test_the_type_of_an_identity() -> None:
    identity = IdentitySchema(1, {"id": IdentityAttribute("id", STRING, required_for_import=True)})
    assert identity_type(identity) == Object({"id": STRING})
