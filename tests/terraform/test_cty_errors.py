"""Errors say what is wrong, and name the place as a configuration writes it."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.cty import (
    BOOL,
    DYNAMIC,
    NUMBER,
    STRING,
    Attribute,
    List,
    Map,
    Object,
    Set,
    Tuple,
    Typed,
    Unknown,
)

INGRESS = Object({"ingress": List(Object({"from_port": NUMBER, "tags": Map(BOOL)}))})


def ingress(*rules: Any) -> dict[str, Any]:
    return {"ingress": list(rules)}


GOOD = {"from_port": 1, "tags": {}}

ENCODED = [
    (ingress(GOOD, GOOD, {"from_port": "http", "tags": {}}), 'ingress[2].from_port: expected number, got "http"'),
    (ingress({"from_port": 1, "tags": {"team": 1}}), 'ingress[0].tags["team"]: expected bool, got number 1'),
    (ingress({"from_port": True, "tags": {}}), "ingress[0].from_port: expected number, got true"),
    (ingress({"from_port": math.nan, "tags": {}}), "ingress[0].from_port: NaN is no number"),
    (ingress({"from_port": Decimal("sNaN"), "tags": {}}), "ingress[0].from_port: NaN is no number"),
    (
        ingress({"from_port": Decimal("1e30000"), "tags": {}}),
        "ingress[0].from_port: the number has more than 4000 digits",
    ),
    (ingress({"from_port": 1 << 20_000, "tags": {}}), "ingress[0].from_port: the number has more than 4000 digits"),
    (
        ingress({"from_prt": 1, "tags": {}}),
        'ingress[0]: the object has no attribute "from_prt" (did you mean from_port?)',
    ),
    (ingress({"from_port": 1}), 'ingress[0]: the attribute "tags" is missing (null is written as None)'),
    (ingress("x"), 'ingress[0]: expected object, got "x"'),
    (ingress({"from_port": 1, "tags": {1: True}}), "ingress[0].tags: the keys of a map are text, got number 1"),
    (
        ingress({"from_port": 1, "tags": {"é": True, "e\u0301": True}}),
        "ingress[0].tags: two keys are the same in Unicode's normal form NFC",
    ),
    ({"ingress": {"a"}}, "ingress: expected list of object, got a set of 1 (a set has no order: sort it)"),
    ({"ingress": {}}, "ingress: expected list of object, got an object of 0"),
    ({"ingress": 5}, "ingress: expected list of object, got number 5"),
    ({"ingress": object()}, "ingress: expected list of object, got a value of Python's type object"),
    ({"ingress": Unknown(prefix="x")}, "ingress: an unknown list of object cannot have a prefix: only a string can"),
    (5, "expected object, got number 5"),
]


@pytest.mark.parametrize(("value", "text"), ENCODED)
def test_encode_says_where(value: Any, text: str) -> None:
    with pytest.raises(cty.CtyError) as caught:
        cty.encode(value, INGRESS)
    assert str(caught.value) == text
    with pytest.raises(cty.CtyError) as caught:
        cty.encode_json(value, INGRESS)
    assert str(caught.value) == text


NO_UNICODE = "the text is no Unicode: it has a lone surrogate, U+DCC3, at character 1"


@pytest.mark.parametrize(
    ("value", "target", "path"),
    [
        ({"a\udcc3"}, DYNAMIC, ""),
        ([{"a": ["a\udcc3"]}], DYNAMIC, "[0].a[0]"),
        ({"a\udcc3": 1}, DYNAMIC, ""),
        ({"a\udcc3": "x"}, Map(STRING), ""),
        ({"k": "a\udcc3"}, Map(STRING), '["k"]'),
        ([1, "a\udcc3"], Tuple([NUMBER, STRING]), "[1]"),
        ({"a\udcc3"}, Set(STRING), "[0]"),
        ({"a": "a\udcc3"}, Object({"a": STRING}), "a"),
    ],
)
def test_text_that_is_no_unicode(value: Any, target: cty.Type, path: str) -> None:
    with pytest.raises(cty.CtyError) as caught:
        cty.convert(value, target)
    assert (caught.value.problem, cty.format_path(caught.value.path)) == (NO_UNICODE, path)


OTHERS: list[tuple[Callable[[], object], str]] = [
    (lambda: cty.encode("\ud800", STRING), "the text has half of a surrogate pair, which is no character"),
    (lambda: cty.encode([1], Tuple([NUMBER, NUMBER])), "expected a tuple of 2, got a list of 1"),
    (lambda: cty.encode([1, "x"], Tuple([NUMBER, NUMBER])), '[1]: expected number, got "x"'),
    (lambda: cty.encode(["x"], Set(NUMBER)), '[0]: expected number, got "x"'),
    (lambda: cty.decode_json('["a", "x"]', Tuple([STRING, NUMBER])), '[1]: expected number, got "x"'),
    (lambda: cty.encode(Unknown(max_length=2**63), List(STRING)), "a bound of a length has more than 63 bits"),
    (lambda: cty.encode(Unknown(lower=5, upper=1), NUMBER), "no number is between the bounds 5 and 1"),
    (
        lambda: cty.encode(Unknown(lower=1, upper=1, upper_inclusive=False), NUMBER),
        "no number is between the bounds 1 and 1",
    ),
    (lambda: cty.encode(Unknown(min_length=2, max_length=1), List(STRING)), "no length is between the bounds 2 and 1"),
    (
        lambda: cty.encode(Unknown(min_length=1), NUMBER),
        "an unknown number cannot have bounds of its length: only a list, set or map can",
    ),
    (lambda: cty.encode(b"x", DYNAMIC), "a value of Python's type bytes has no type of cty"),
    (lambda: cty.encode({"a": [1, b"x"]}, DYNAMIC), "a[1]: a value of Python's type bytes has no type of cty"),
    (lambda: cty.encode(Typed(["x"], List(NUMBER)), DYNAMIC), '[0]: expected number, got "x"'),
    (
        lambda: cty.encode_json({"a": [Unknown()]}, Object({"a": List(STRING)})),
        "a[0]: the value is not known yet, which JSON cannot tell",
    ),
    (lambda: cty.encode_json({"k": math.inf}, Map(NUMBER)), '["k"]: an infinite number has no JSON'),
    (
        lambda: cty.convert(ingress(GOOD, {"from_port": "http", "tags": {}}), INGRESS),
        'ingress[1].from_port: expected number, got "http"',
    ),
    (
        lambda: cty.convert(ingress({"from_port": [], "tags": {}}), INGRESS),
        "ingress[0].from_port: expected number, got a list of 0",
    ),
    (lambda: cty.convert(ingress({"tags": {}}), INGRESS), 'ingress[0]: the attribute "from_port" is required'),
    (
        lambda: cty.convert(ingress({"from_port": 1, "tags": {"a": "True"}}), INGRESS),
        'ingress[0].tags["a"]: expected bool, got "True" (write "true")',
    ),
    (lambda: cty.convert("FALSE", BOOL), 'expected bool, got "FALSE" (write "false")'),
    (
        lambda: cty.convert(ingress({"from_port": "1e99999", "tags": {}}), INGRESS),
        'ingress[0].from_port: expected number, got "1e99999" (the number has more than 4000 digits)',
    ),
    (lambda: cty.convert([True, 1], List(DYNAMIC)), "the elements of the list have no type in common"),
    (lambda: cty.convert({"a": True, "b": 1}, Map(DYNAMIC)), "the elements of the map have no type in common"),
    (lambda: cty.convert(1, BOOL), "expected bool, got number 1"),
    (lambda: cty.convert(["a"], Tuple([STRING]), List(STRING)), "expected tuple, got list of string"),
    (
        lambda: cty.convert({}, Object({"a": STRING}), Map(STRING)),
        'the map has no element "a", which is a required attribute',
    ),
    (
        lambda: cty.convert({"b": ["x"]}, Object({"b": NUMBER}, {"b"}), Map(List(STRING))),
        '["b"]: expected number, got list of string',
    ),
    (lambda: cty.decode_json("[1,{}]", List(STRING)), "[1]: expected string, got an object of 0"),
    (lambda: cty.decode_json('{"a":[true]}', Object({"a": List(NUMBER)})), "a[0]: expected number, got true"),
    (lambda: cty.decode_json('{"b":1}', Object({"a": STRING})), 'the object has no attribute "b"'),
    (lambda: cty.decode_json('{"a":1}', Map(BOOL)), '["a"]: expected bool, got number 1'),
    (
        lambda: cty.decode_json("[1", List(BOOL)),
        "the text is no JSON: Expecting ',' delimiter: line 1 column 3 (char 2)",
    ),
    (lambda: cty.decode_json("NaN", NUMBER), "NaN is no JSON"),
    (lambda: cty.decode_json('"x"', DYNAMIC), 'expected an object of value and type, got "x"'),
    (lambda: cty.implied_type_of_json("1 2"), "the text has more than one value"),
    (lambda: cty.implied_type_of_json('{"a":1,"a":"x"}'), 'the member "a" comes twice, with different types'),
    (lambda: cty.Type.from_json('"any"'), 'no notation of a type: "any" (such as "string" or ["list","string"])'),
    (
        lambda: cty.Type.from_json('["object",{"a":["list"]}]'),
        'a: no notation of a type: a list of 1 (such as "string" or ["list","string"])',
    ),
    (lambda: Object({"a": STRING}, optional={"b"}), 'optional attribute "b" is no attribute of the object'),
    (
        lambda: Object({"é": STRING, "e\u0301": STRING}),
        "two names of attributes are the same in Unicode's normal form NFC",
    ),
    (lambda: cty.decode(b"\x81\xa1k\x90", Map(STRING)), '["k"]: expected string, got a list of 0'),
    (
        lambda: cty.decode(b"\x82\xa1a\x01\xa1c\x02", Object({"a": NUMBER, "b": NUMBER})),
        "c: the object has no such attribute",
    ),
    (lambda: cty.decode(b"\xcb\x7f\xf8\0\0\0\0\0\0", NUMBER), "expected number, got NaN"),
    (lambda: cty.decode(b"\xa3abc", NUMBER), 'expected number, got "abc"'),
    (lambda: cty.decode(b"\x91", List(NUMBER)), "the bytes end in the middle of a value"),
    (lambda: cty.decode(b"\xc1", NUMBER), "the bytes are no msgpack"),
]


@pytest.mark.parametrize(("call", "text"), OTHERS)
def test_errors_say_what_and_where(call: Callable[[], object], text: str) -> None:
    with pytest.raises(cty.CtyError) as caught:
        call()
    assert str(caught.value) == text


def test_an_error_has_its_parts() -> None:
    with pytest.raises(ValueError, match="expected bool") as caught:
        cty.convert(ingress({"from_port": 1, "tags": {"a": "True"}}), INGRESS)
    error = caught.value
    assert isinstance(error, cty.CtyError)
    assert error.path == ("ingress", 0, "tags", "a")
    assert [type(step) for step in error.path] == [Attribute, int, Attribute, str]
    assert (error.problem, error.hint) == ('expected bool, got "True"', 'write "true"')
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (str(again), again.path) == (str(error), error.path)


def test_long_values_are_not_repeated_whole() -> None:
    with pytest.raises(cty.CtyError) as caught:
        cty.convert("x" * 1000, NUMBER)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        ((Attribute("a"), 0, Attribute("b"), "k", 1), 'a[0].b["k"][1]'),
        ((0, Attribute("a")), "[0].a"),
        ((Attribute("größe"), 'with "quotes"'), 'größe["with \\"quotes\\""]'),
        ((Attribute("not one name"),), '["not one name"]'),
    ],
)
def test_paths(path: cty.Path, text: str) -> None:
    assert cty.format_path(path) == text
