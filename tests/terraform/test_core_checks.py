"""What checks say of plans and results, and where: rows that the recorded questions have not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ferrule.terraform.core import coerce, compatibility_problems, plan_problems, proposed_new, replacement_paths
from ferrule.terraform.cty import DYNAMIC, NUMBER, STRING, UNKNOWN, List, Object, Typed, Unknown
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


def test_numbers_are_the_same_by_all_their_digits() -> None:
    def found(given: str, planned: str) -> list[str]:
        return of_plan(*(server(main={"port": Decimal(each)}) for each in (given, planned)))

    assert found("0.1", "0.10") == found("1e3", "1000") == []
    assert found("0.1", "0.2") == ["main.port: planned number 0.2, but the configuration has number 0.1"]
    assert len(found("0.12345678901234567890", "0.12345678901234567891")) == 1
    assert len(found("0.5", "0")) == 1


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


def test_what_is_not_known_is_the_same_whatever_is_said_of_it() -> None:
    """A provider that takes a value apart and puts it together again loses what was known about its parts."""
    for of, said, unsaid in (
        (List(STRING), [Unknown(prefix="a-")], [UNKNOWN]),
        (NUMBER, Unknown(lower=1), UNKNOWN),
        (STRING, Unknown(prefix="a-"), UNKNOWN),
        (NUMBER, 0.1, Decimal("0.1")),
    ):
        block = Block({"a": Attribute("a", of, optional=True)})
        config, plan = (coerce(block, {"a": each}) for each in (said, unsaid))
        assert plan_problems(block, None, config, plan) == []
        assert plan_problems(block, None, plan, config) == []


def test_of_an_unknown_configuration_nothing_is_proposed() -> None:
    """As in OpenTofu's objchange.go, `ProposedNew`: the prior object, or one in which all is null."""
    assert proposed_new(SERVER, None, UNKNOWN) == server()
    prior = server(main={"port": 1})
    assert proposed_new(SERVER, prior, UNKNOWN) == prior


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


FIREWALL = Block(
    {},
    {
        "group": NestedBlock(
            "group",
            Block(
                {"name": Attribute("name", STRING, required=True)},
                {
                    "rule": NestedBlock(
                        "rule",
                        Block(
                            {
                                "port": Attribute("port", NUMBER, required=True),
                                "id": Attribute("id", STRING, computed=True),
                            }
                        ),
                        Nesting.LIST,
                        min_items=1,
                    )
                },
            ),
            Nesting.SET,
            min_items=2,
        )
    },
)


def firewall(*groups: tuple[str, list[dict[str, Any]]]) -> Any:
    return coerce(FIREWALL, {"group": [{"name": name, "rule": rules} for name, rules in groups]})


def test_elements_of_sets_are_known_again_by_lists_inside() -> None:
    """As in OpenTofu's objchange.go, `validPriorFromConfig`: what only the provider sets makes no other element."""
    prior = firewall(("a", [{"port": 1, "id": "x"}]), ("b", [{"port": 2, "id": "y"}, {"port": 3, "id": "z"}]))
    assert proposed_new(FIREWALL, prior, firewall(("a", [{"port": 1}]), ("b", [{"port": 2}, {"port": 3}]))) == prior
    changed = firewall(("a", [{"port": 9}]), ("b", [{"port": 2}, {"port": 3}]))
    assert proposed_new(FIREWALL, prior, changed) == firewall(
        ("a", [{"port": 9}]), ("b", [{"port": 2, "id": "y"}, {"port": 3, "id": "z"}])
    )


def test_fewer_blocks_than_there_must_be() -> None:
    with pytest.raises(ConfigurationError) as caught:
        firewall(("a", []))
    assert sorted(map(str, caught.value.problems)) == [
        "group: at least 2 blocks are required, got 1",
        "group[0].rule: at least 1 block is required, got 0",
    ]


def test_wrong_elements_of_a_set_are_all_said() -> None:
    with pytest.raises(ConfigurationError) as caught:
        firewall(("a", [{"port": "x"}]), ("b", [{"port": 1}, {"id": "y"}]))
    assert sorted(map(str, caught.value.problems)) == [
        'group[0].rule[0].port: expected number, got "x"',
        'group[1].rule[1]: the attribute "port" is required',
    ]


def test_wrong_elements_of_a_set_are_not_put_in_order() -> None:
    wrong: list[Any] = [{"b": 1}, ["a"], "x"]
    with pytest.raises(ConfigurationError) as caught:
        coerce(FIREWALL, {"group": [{"name": each, "rule": [{"port": {"c": 2}}]} for each in wrong]})
    assert len(caught.value.problems) == 5
    with pytest.raises(ConfigurationError) as caught:
        coerce(SERVER, {"open": {"a": {"any": b"x"}, "b": {"any": object()}, "c": 3}})
    assert len(caught.value.problems) == 3


def test_blocks_keep_the_types_that_they_bring() -> None:
    brought = Typed({"a": {"any": ["x"]}}, Object({"a": Object({"any": List(STRING)})}))
    assert server(open=brought) == server(open={"a": {"any": Typed(["x"], List(STRING))}})
    assert server(open=brought) != server(open={"a": {"any": ["x"]}})
    assert server(list=Typed([{"port": 1}], List(Object({"port": NUMBER})))) == server(list=[{"port": 1}])
