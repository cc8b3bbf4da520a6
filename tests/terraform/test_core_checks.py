"""What checks say of plans and results, and where: rows that the recorded questions have not."""

from __future__ import annotations

from typing import Any

import pytest

from ferrule.terraform.core import coerce, compatibility_problems, plan_problems, replacement_paths
from ferrule.terraform.cty import DYNAMIC, NUMBER, STRING, UNKNOWN, Object
from ferrule.terraform.cty import Attribute as Name
from ferrule.terraform.errors import ConfigurationError
from ferrule.terraform.schema.model import Attribute, Block, NestedBlock, NestedType, Nesting


@pytest.fixture(autouse=True)
def temporary_directory() -> None:
    """None: nothing here writes a file."""


PART = {"key": Attribute("key", STRING, optional=True), "size": Attribute("size", NUMBER, required=True)}
RULE = Block({"port": Attribute("port", NUMBER, optional=True)})
OPEN = Block({"any": Attribute("any", DYNAMIC, optional=True)})
SERVER = Block(
    {
        "place": Attribute("place", Object({"city": STRING, "floor": NUMBER}), optional=True),
        "disks": Attribute("disks", None, NestedType(PART, Nesting.LIST), optional=True),
        "cards": Attribute("cards", None, NestedType(PART, Nesting.SET), optional=True),
    },
    {
        "main": NestedBlock("main", RULE, Nesting.SINGLE),
        "list": NestedBlock("list", RULE, Nesting.LIST),
        "map": NestedBlock("map", RULE, Nesting.MAP),
        "open": NestedBlock("open", OPEN, Nesting.MAP),
    },
)


def server(**given: Any) -> Any:
    return coerce(SERVER, given)


def of_plan(config: Any, planned: Any) -> list[str]:
    return list(map(str, plan_problems(SERVER, None, config, planned)))


def test_whether_there_is_something_is_the_configuration_s() -> None:
    absent = "planned for absence, but the configuration wants existence"
    present = "planned for existence, but the configuration wants absence"
    assert of_plan(server(), None) == [absent]
    assert of_plan(None, server()) == [present]
    assert of_plan(None, None) == []
    assert of_plan(server(main={}), server()) == [f"main: {absent}"]
    assert of_plan(server(), server(main={})) == [f"main: {present}"]


def test_blocks_whose_number_is_not_known_stay_so() -> None:
    config = server() | {"list": UNKNOWN}
    assert of_plan(config, config) == []
    assert of_plan(config, server(list=[{}])) == ["list: planned a list of 1 for blocks whose number is not known"]


@pytest.mark.parametrize("name", ["list", "map"])
def test_another_number_of_blocks_is_one_problem(name: str) -> None:
    blocks: Any = {"a": {}, "b": {}, "c": {}} if name == "map" else [{}, {}, {}]
    one = {"a": {}} if name == "map" else [{}]
    assert of_plan(server(**{name: one}), server(**{name: blocks})) == [
        f"{name}: 3 elements are planned, 1 are in the configuration"
    ]
    assert of_plan(server(**{name: blocks}), server(**{name: one})) == [
        f"{name}: 1 elements are planned, 3 are in the configuration"
    ]


def test_blocks_by_key_with_parts_of_any_type_are_named() -> None:
    few, many = server(open={"a": {"any": 1}}), server(open={"a": {"any": 1}, "b": {"any": 2}, "c": {"any": 3}})
    assert of_plan(few, many) == [
        'open: the plan has an element "b", the configuration does not',
        'open: the plan has an element "c", the configuration does not',
    ]
    assert of_plan(many, few) == [
        'open: the configuration has an element "b", the plan does not',
        'open: the configuration has an element "c", the plan does not',
    ]
    assert list(map(str, compatibility_problems(SERVER, many, few))) == [
        'open: the block "b" has vanished',
        'open: the block "c" has vanished',
    ]
    assert list(map(str, compatibility_problems(SERVER, few, many))) == [
        'open: a block "b" has appeared',
        'open: a block "c" has appeared',
    ]


KNOWN = [{"key": "a", "size": 1}, {"key": "b", "size": 2}]
PARTLY = [{"key": UNKNOWN, "size": 1}, {"key": UNKNOWN, "size": 2}]


@pytest.mark.parametrize(
    ("config", "planned", "is_plan"),
    [
        # A set of one element has one, whatever is unknown in it.
        (PARTLY[:1], KNOWN, False),
        (PARTLY[:1], PARTLY, True),
        (PARTLY, KNOWN[:1], True),
        (KNOWN[:1], PARTLY, True),
        (KNOWN, [*PARTLY, {"key": "c", "size": 3}], True),
        (KNOWN, PARTLY[:1], False),
        ([*KNOWN, {"key": "c", "size": 3}], PARTLY, False),
        ([], PARTLY, False),
        ([], KNOWN[:1], False),
        (KNOWN, PARTLY, True),
    ],
)
def test_a_set_may_have_as_many_elements_as_its_unknown_ones_allow(config: Any, planned: Any, is_plan: bool) -> None:
    """As go-cty's `Length` answers: elements that are not known may turn out to be equal."""
    found = of_plan(server(cards=config), server(cards=planned))
    assert found == (
        [] if is_plan else [f"cards: {len(planned)} elements are planned, {len(config)} are in the configuration"]
    )


def test_parts_of_an_object_have_places() -> None:
    before, after = (server(place={"city": "Rome", "floor": floor}) for floor in (1, 2))
    assert list(map(str, compatibility_problems(SERVER, before, after))) == [
        "place.floor: was number 1, but now number 2"
    ]
    paths = [(Name("place"), Name("city")), (Name("place"), Name("floor"))]
    assert replacement_paths(SERVER, before, after, paths) == ((Name("place"), Name("floor")),)
    assert replacement_paths(SERVER, before, before, [*paths, (Name("place"),)]) == ()


def test_what_may_be_left_out_is_not_required_beside_what_is_wrong() -> None:
    with pytest.raises(ConfigurationError) as caught:
        server(disks=[{"size": "large"}, {"key": "a"}], cards={"size": 1})
    assert sorted(map(str, caught.value.problems)) == [
        "cards: expected set of object, got an object of 1",
        'disks[0].size: expected number, got "large"',
        'disks[1]: the attribute "size" is required',
    ]
