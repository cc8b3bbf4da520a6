"""Values of Python in, values of Python out: what the package promises beside go-cty's answers."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.cty import BOOL, DYNAMIC, NUMBER, STRING, UNKNOWN, List, Map, Object, Set, Tuple, Typed, Unknown

SERVER = Object({"name": STRING, "ports": List(NUMBER)})


def sent(value: Any, of: cty.Type) -> Any:
    """The value as it comes back from its bytes."""
    return cty.decode(cty.encode(value, of), of)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (1, int),
        (2**63 - 1, int),
        (2**63, int),
        (-(10**200), int),
        (Decimal("1e3"), int),
        (0.5, float),
        (0.1, float),
        (math.inf, float),
        (Decimal("0.1"), Decimal),
        (Decimal("0.5"), float),
        (2.0, int),
        (Decimal("1e-400"), Decimal),
        (Decimal("1e3999"), int),
    ],
)
def test_numbers_come_out_by_the_form_in_which_they_are_sent(given: Any, kind: type) -> None:
    number = sent(given, NUMBER)
    assert type(number) is kind
    assert number == given


def test_a_float_that_a_provider_sent_stays_one() -> None:
    data = bytes.fromhex("cb4000000000000000")
    assert repr(cty.decode(data, NUMBER)) == "2.0"
    assert cty.encode(cty.decode(data, NUMBER), NUMBER) == b"\x02"


def test_a_float_of_a_configuration_is_the_decimal_that_is_printed() -> None:
    written = cty.convert({"ratio": 0.1, "sizes": [2.0, 1e22]}, Object({"ratio": NUMBER, "sizes": List(NUMBER)}))
    assert written == {"ratio": Decimal("0.1"), "sizes": [2, 10**22]}
    assert [type(each) for each in written["sizes"]] == [int, int]
    assert cty.convert(0.1, NUMBER, NUMBER) == 0.1
    assert cty.convert(0.1, STRING) == "0.1"


@pytest.mark.parametrize("given", [["b", "a"], ("b", "a", "b"), {"a", "b"}, frozenset("ab")])
def test_sets_are_given_in_many_ways_and_come_out_in_order(given: Any) -> None:
    assert sent(given, Set(STRING)) == ["a", "b"]


def test_sets_of_objects_are_lists_without_repetition() -> None:
    rules = Set(Object({"port": NUMBER}))
    assert sent([{"port": 80}, {"port": 9}, {"port": Decimal(80)}], rules) == [{"port": 80}, {"port": 9}]


@pytest.mark.parametrize("of", [List(STRING), Tuple([STRING, STRING])])
def test_lists_and_tuples_come_out_as_lists(of: cty.Type) -> None:
    assert sent(("b", "a"), of) == ["b", "a"]


@pytest.mark.parametrize("mapping", [dict, OrderedDict, lambda pairs: MappingProxyType(dict(pairs))])
def test_any_mapping_is_an_object(mapping: Callable[[Any], Any]) -> None:
    assert sent(mapping([("ports", [1]), ("name", "x")]), SERVER) == {"name": "x", "ports": [1]}


def test_names_of_attributes_are_normalized() -> None:
    of = Object({"é": STRING})
    for given in ({"é": "x"}, {"e\N{COMBINING ACUTE ACCENT}": "x"}):
        assert cty.convert(given, of) == sent(given, of) == {"é": "x"}


def test_maps_come_out_sorted_by_their_bytes() -> None:
    assert list(sent({"\uffff": "", "\U00010000": "", "b": "", "A": ""}, Map(STRING))) == [
        "A",
        "b",
        "\uffff",
        "\U00010000",
    ]


def test_text_of_a_subclass_is_text() -> None:
    class Colour(str, Enum):  # noqa: UP042 - its `str()` is not the text
        RED = "red"

    assert sent(Colour.RED, STRING) == "red"
    assert type(cty.convert(Colour.RED, STRING)) is str


def test_bytes_that_are_not_utf8_survive() -> None:
    assert cty.encode(cty.decode(b"\xa2\xc3(", STRING), STRING) == b"\xa2\xc3("


DYNAMIC_VALUES = [
    ("plain", "x", "x"),
    ("tuple", ["x", 1, True], ["x", 1, True]),
    ("object", {"a": {"b": [1]}}, {"a": {"b": [1]}}),
    ("null", None, None),
    ("unknown", UNKNOWN, UNKNOWN),
    ("null inside", {"a": None}, {"a": None}),
    ("list", Typed(["x"], List(STRING)), Typed(["x"], List(STRING))),
    ("needless type", Typed({"a": "x"}, Object({"a": STRING})), {"a": "x"}),
    ("map", Typed({"a": 1}, Map(NUMBER)), Typed({"a": 1}, Map(NUMBER))),
    ("typed null", Typed(None, STRING), Typed(None, STRING)),
    ("typed unknown", Typed(Unknown(not_null=True), STRING), Typed(Unknown(not_null=True), STRING)),
    ("null of an open type", Typed(None, List(DYNAMIC)), Typed(None, List(DYNAMIC))),
    *(
        (f"{name} inside", {"a": Typed(value, of)}, Typed({"a": value}, Object({"a": of})))
        for of in (List(DYNAMIC), Set(DYNAMIC), Map(DYNAMIC), Tuple([DYNAMIC]), Object({"b": DYNAMIC}))
        for name, value in ((f"null of {of}", None), (f"unknown {of}", Unknown(not_null=True)))
    ),
    ("list inside", {"a": Typed(["x"], List(STRING))}, Typed({"a": ["x"]}, Object({"a": List(STRING)}))),
    ("set of Python", {"b", "a"}, Typed(["a", "b"], Set(STRING))),
]


@pytest.mark.parametrize(
    ("given", "expected"), [row[1:] for row in DYNAMIC_VALUES], ids=[row[0] for row in DYNAMIC_VALUES]
)
def test_a_dynamic_value_is_plain_where_that_tells_its_type(given: Any, expected: Any) -> None:
    assert sent(given, DYNAMIC) == expected
    assert cty.convert(given, DYNAMIC) == expected
    assert sent({"d": given}, Object({"d": DYNAMIC})) == {"d": expected}
    assert sent([given], Tuple([DYNAMIC])) == [expected]


@pytest.mark.parametrize("value", [None, UNKNOWN, Unknown(not_null=True)])
@pytest.mark.parametrize("of", [List(DYNAMIC), Set(DYNAMIC), Map(DYNAMIC), Tuple([DYNAMIC]), Object({"b": DYNAMIC})])
def test_what_is_said_of_a_type_that_is_known_changes_nothing(value: Any, of: cty.Type) -> None:
    given = Typed(value, of)
    assert sent(given, of) == cty.convert(given, of) == value
    assert sent({"a": given}, Object({"a": of})) == {"a": value}
    assert sent([given], List(of)) == [value]


def test_elements_of_a_list_of_dynamic_have_one_type() -> None:
    with pytest.raises(cty.CtyError, match=r"element 1 is of type number, those before it of type string"):
        cty.encode(["a", 1], List(DYNAMIC))
    assert cty.convert(["a", 1], List(DYNAMIC)) == ["a", "1"]
    # A null beside a text is a null of type string.
    assert sent(["a", None], List(DYNAMIC)) == ["a", Typed(None, STRING)]


def test_a_dynamic_value_keeps_its_type_in_json() -> None:
    value = {"d": Typed(["x"], List(STRING)), "e": [1, None]}
    of = Object({"d": DYNAMIC, "e": DYNAMIC})
    text = cty.encode_json(value, of)
    assert text == (
        '{"d":{"value":["x"],"type":["list","string"]},"e":{"value":[1,null],"type":["tuple",["number","dynamic"]]}}'
    )
    assert cty.decode_json(text, of) == value


def test_json_may_be_bytes() -> None:
    assert cty.decode_json('["é"]'.encode(), List(STRING)) == ["é"]
    assert cty.decode_json(b'"a\xffb"', STRING) == "a\N{REPLACEMENT CHARACTER}b"
    assert cty.implied_type_of_json(b'{"a":[1]}') == Object({"a": Tuple([NUMBER])})


def test_implied_types() -> None:
    assert cty.implied_type({"a": 1, "b": [True, None], "c": UNKNOWN}) == Object(
        {"a": NUMBER, "b": Tuple([BOOL, DYNAMIC]), "c": DYNAMIC}
    )
    assert cty.implied_type({1, 2.5}) == Set(NUMBER)
    assert cty.implied_type(set()) == Set(DYNAMIC)


def test_a_configuration_becomes_what_a_schema_wants() -> None:
    wanted = Object(
        {
            "name": STRING,
            "count": NUMBER,
            "tags": Map(STRING),
            "rules": Set(Object({"port": NUMBER, "open": BOOL}, optional={"open"})),
            "any": DYNAMIC,
        },
        optional={"any"},
    )
    given = {
        "name": 5,
        "count": "1e2",
        "tags": {"b": True, "a": None},
        "rules": [{"port": "80"}, {"port": 80, "open": None}, {"port": UNKNOWN, "open": "1"}],
        "dropped": 1,
    }
    assert cty.convert(given, wanted) == {
        "any": None,
        "count": 100,
        "name": "5",
        "rules": [{"open": True, "port": UNKNOWN}, {"open": None, "port": 80}],
        "tags": {"a": None, "b": "true"},
    }


def test_an_unknown_value_keeps_what_is_known() -> None:
    assert cty.convert(Unknown(not_null=True), STRING, NUMBER) == Unknown(not_null=True)
    assert cty.convert(UNKNOWN, List(STRING), Tuple([STRING, NUMBER])) == Unknown(min_length=2, max_length=2)
    assert sent(Unknown(prefix="https://"), STRING) == Unknown(prefix="https://")


@pytest.mark.parametrize(
    ("unknown", "of", "known"),
    [
        (Unknown(not_null=True, lower=5, upper=5), NUMBER, 5),
        (Unknown(not_null=True, max_length=0), Map(STRING), {}),
        (Unknown(not_null=True, max_length=0), Set(STRING), []),
        (Unknown(not_null=True, min_length=2, max_length=2), List(STRING), [UNKNOWN, UNKNOWN]),
        (Unknown(not_null=True, min_length=1, max_length=1), Set(STRING), [UNKNOWN]),
        (Unknown(lower=-math.inf, upper=math.inf), NUMBER, UNKNOWN),
        (Unknown(lower=-math.inf, lower_inclusive=False, upper=math.inf, upper_inclusive=False), NUMBER, UNKNOWN),
    ],
)
def test_refinements_may_leave_one_value(unknown: Unknown, of: cty.Type, known: Any) -> None:
    assert sent(unknown, of) == known


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("", ""),
        ("https://", "https://"),
        ("café", "caf"),
        ("日本", "日"),
        ("a-\N{COMBINING ACUTE ACCENT}", "a"),
        # To go-cty a cedilla alone is a mark, and a line feed alone is looked at no further.
        ("\n\N{CEDILLA}", "\n"),
        ("a/\nb/", "a/"),
        ("x🇩🇪", "x"),
        ("x/👩\N{ZERO WIDTH JOINER}👨", "x/"),
        ("x\N{COPYRIGHT SIGN}\N{ZERO WIDTH JOINER}\N{COPYRIGHT SIGN}", "x"),
        ("한국", "한"),
        # Marks with a space of their own join what is before them, but for some; controls join nothing.
        ("a\N{COMBINING ACUTE ACCENT}\N{DEVANAGARI SIGN VISARGA}", ""),
        ("x\N{THAI CHARACTER KO KAI}\N{THAI CHARACTER SARA AM}", "x"),
        ("x\N{MYANMAR SIGN VISARGA}", "x"),
        ("x\N{COMBINING ENCLOSING CIRCLE}", ""),
        ("ab\N{SOFT HYPHEN}c", "ab\N{SOFT HYPHEN}"),
        ("ab\N{BEL}", "ab"),
        ("x\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}", "x\N{LINE SEPARATOR}"),
        ("ab\N{BEL}\N{VARIATION SELECTOR-16}", "ab\N{BEL}"),
        ("x\N{PARAGRAPH SEPARATOR}\N{VARIATION SELECTOR-16}", "x\N{PARAGRAPH SEPARATOR}"),
    ],
)
def test_a_safe_prefix_has_no_end_that_could_change(text: str, prefix: str) -> None:
    assert cty.safe_prefix(text) == prefix


def test_a_bound_beyond_all_numbers_leaves_nothing_said() -> None:
    for beyond in (Unknown(upper=math.inf, upper_inclusive=False), Unknown(lower=-math.inf, lower_inclusive=False)):
        assert cty.convert(beyond, NUMBER, NUMBER) == UNKNOWN


@pytest.mark.parametrize(
    ("value", "source", "target"),
    [
        ([None, ["a"]], List(List(STRING)), List(List(DYNAMIC))),
        ([["a"], None], Set(List(STRING)), Set(List(DYNAMIC))),
        ({"x": None, "y": ["a"]}, Map(List(STRING)), Map(List(DYNAMIC))),
        ([{"a": None}, {"a": ["x"]}], List(Object({"a": List(STRING)})), List(Object({"a": List(DYNAMIC)}))),
    ],
    ids=str,
)
def test_null_has_the_type_of_the_other_elements(value: Any, source: cty.Type, target: cty.Type) -> None:
    """go-cty converts such values, and writes them so that it cannot read them again; here they are not written."""
    assert cty.convert(value, target, source) == value
    with pytest.raises(cty.CtyError, match="they must have one type"):
        cty.encode(value, target)


def test_values_are_small_constants() -> None:
    assert repr(UNKNOWN) == "UNKNOWN"
    assert repr(Unknown(not_null=True, upper=5, upper_inclusive=False)) == (
        "Unknown(not_null=True, upper=5, upper_inclusive=False)"
    )
    assert Unknown() == UNKNOWN
    assert len({UNKNOWN, Unknown(), Unknown(prefix="a")}) == 2
    assert repr(Typed(None, STRING)) == "Typed(value=None, type=STRING)"
    for value in (UNKNOWN, Unknown(prefix="a"), Typed(1, NUMBER)):
        assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value
        with pytest.raises(AttributeError):
            setattr(value, dataclasses.fields(value)[0].name, False)


def test_a_reader_may_do_without_types() -> None:
    value = {"a": Typed([Typed(None, STRING), "x"], List(DYNAMIC)), "b": [Typed({"k": 1}, Map(NUMBER))]}
    assert cty.untyped(value) == {"a": [None, "x"], "b": [{"k": 1}]}


def test_equality_is_ctys() -> None:
    assert cty.equals(0.1, Decimal("0.1"), NUMBER) is True
    assert cty.equals(["a", "b"], ["b", "a"], Set(STRING)) is True
    assert cty.equals({"a": UNKNOWN}, {"a": "x"}, Map(STRING)) == Unknown(not_null=True)
    assert cty.equals({"a": UNKNOWN, "b": 1}, {"a": "x", "b": 2}, Object({"a": STRING, "b": NUMBER})) is False
    assert cty.identical(UNKNOWN, Unknown(), STRING)
    assert not cty.identical(UNKNOWN, Unknown(not_null=True), STRING)
    assert not cty.identical(Typed(None, STRING), None, DYNAMIC)
    assert cty.identical(Unknown(lower=0.1), Unknown(lower=Decimal("0.1")), NUMBER)
    assert not cty.identical(Unknown(lower=1), Unknown(lower=1, upper=2), NUMBER)
    assert not cty.identical(Unknown(lower=1), Unknown(lower=1, lower_inclusive=False), NUMBER)


def test_long_lists_of_one_kind_are_converted_at_once() -> None:
    given = [{"name": f"n{each}", "size": str(each)} for each in range(3000)]
    converted = cty.convert(given, List(Object({"name": STRING, "size": NUMBER})))
    assert converted[2999] == {"name": "n2999", "size": 2999}
    assert len(cty.convert(given, List(DYNAMIC))) == 3000


def test_without_msgpack_the_import_says_what_to_install() -> None:
    program = "import sys; sys.modules['msgpack'] = None; import ferrule.terraform.cty"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.endswith('needs the package msgpack: pip install "ferrule[terraform]"\n')
