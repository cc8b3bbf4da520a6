"""Types: immutable, equal by structure, and their notation."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.cty import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple, Type

NESTED = Object({"b": List(Set(NUMBER)), "a": Tuple([BOOL, Map(DYNAMIC)])}, optional={"b"})


def test_types_show_how_they_are_made() -> None:
    assert repr(NESTED) == ("Object({'a': Tuple([BOOL, Map(DYNAMIC)]), 'b': List(Set(NUMBER))}, optional={'b'})")
    assert eval(repr(NESTED), vars(cty)) == NESTED


def test_all_optional_attributes_are_shown() -> None:
    of = Object({"a": STRING, "b": STRING, "c": STRING}, optional={"c", "a"})
    assert repr(of).endswith("}, optional={'a', 'c'})")
    assert eval(repr(of), vars(cty)) == of


def test_types_are_equal_by_structure() -> None:
    same = Type.from_json('["object",{"b":["list",["set","number"]],"a":["tuple",["bool",["map","dynamic"]]]},["b"]]')
    assert same == NESTED
    assert hash(same) == hash(NESTED)
    assert same != NESTED.plain
    assert STRING != "string"
    assert len({List(STRING), List(STRING), Set(STRING)}) == 2


@pytest.mark.parametrize("of", [STRING, DYNAMIC, NESTED])
def test_types_survive_copies(of: Type) -> None:
    assert pickle.loads(pickle.dumps(of)) == copy.deepcopy(of) == of
    assert copy.deepcopy(STRING) is STRING


def test_types_are_immutable() -> None:
    with pytest.raises(AttributeError, match="Object is immutable"):
        NESTED.depth = 7
    with pytest.raises(AttributeError, match="immutable"):
        del NESTED.json


def test_what_a_type_tells() -> None:
    assert NESTED.json == '["object",{"a":["tuple",["bool",["map","dynamic"]]],"b":["list",["set","number"]]},["b"]]'
    assert NESTED.name == "object"
    assert List(Set(NUMBER)).name == "list of set of number"
    assert NESTED.has_dynamic
    assert not List(STRING).has_dynamic
    assert (STRING.depth, NESTED.depth) == (0, 3)
    assert NESTED.plain == Object({"a": Tuple([BOOL, Map(DYNAMIC)]), "b": List(Set(NUMBER))})
    assert NESTED.plain is NESTED.plain
    assert STRING.plain is STRING


def test_names_are_sorted_by_bytes_normalized_and_escaped() -> None:
    of = Object({"\U00010000": STRING, "\uffff": STRING, "e\u0301": STRING, "<&>\u2028": STRING, "B": STRING})
    assert list(of.attributes) == ["<&>\u2028", "B", "é", "\uffff", "\U00010000"]
    assert json.loads(of.json) == ["object", dict.fromkeys(of.attributes, "string")]
    assert of.json.startswith('["object",{"\\u003c\\u0026\\u003e\\u2028":"string","B"')


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "5", "string", '"String"', '"string" 5', "{}", "[]", '["list"]', '["list","string","string"]',
        '["list",5]', '["tuple","string"]', '["tuple",{}]', '["object",[]]', '["object",{},{}]', '["object",{},[1]]',
        '["object",{"a":null}]', '["object",{},["a"]]', '["capsule","x"]', '[["list"],"string"]', '["object",{},[],[]]',
        '[{"a":1},"string"]', "9" * 5000, f'["list",{"9" * 5000}]',
    ],
)  # fmt: skip
def test_no_types(text: str) -> None:
    with pytest.raises(cty.CtyError):
        Type.from_json(text)
    with pytest.raises(cty.CtyError):
        Type.from_json(text.encode())


def test_go_reads_null_for_no_parts() -> None:
    assert Type.from_json('["object",null]') == Object({})
    assert Type.from_json('["tuple",null]') == Tuple([])
    assert Type.from_json('["object",{"a":"string"},null]') == Object({"a": STRING})


def nested_lists(levels: int) -> str:
    return '["list",' * levels + '"string"' + "]" * levels


def test_depth_is_bounded() -> None:
    assert Type.from_json(nested_lists(100)).depth == 100
    for levels in (101, 500, 100_000):
        with pytest.raises(cty.CtyError):
            Type.from_json(nested_lists(levels))
    notation: Any = "string"
    for _ in range(100_000):
        notation = ["list", notation]
    with pytest.raises(cty.CtyError, match="more than 100 levels"):
        Type.from_notation(notation)
    of: Any = STRING
    for _ in range(100):
        of = List(of)
    with pytest.raises(cty.CtyError, match="more than 100 levels"):
        Set(of)


def test_attributes_of_a_type_are_its_own() -> None:
    given = {"a": STRING}
    of = Object(given)
    given["b"] = NUMBER
    assert list(of.attributes) == ["a"]
