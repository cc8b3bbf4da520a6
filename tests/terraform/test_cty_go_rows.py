"""Rows of questions, asked to go-cty at the same time: all kinds with all kinds, all forms, all orders."""

from __future__ import annotations

import itertools
import math
import struct
from typing import Any

import msgpack
import pytest

from ferrule.terraform import cty
from ferrule.terraform.cty import BOOL, DYNAMIC, NUMBER, STRING, UNKNOWN, List, Map, Object, Set, Tuple, Unknown
from ferrule.terraform.cty.numbers import number_text, parse_number
from terraform.cty_peer import Ask, check_decoded

pytestmark = pytest.mark.go


@pytest.fixture(autouse=True)
def temporary_directory() -> None:
    """None: nothing here writes a file."""


def by_type(part: Any) -> str:
    return str(part) if isinstance(part, cty.Type) else "values"


VALUES: list[tuple[cty.Type, list[Any]]] = [
    (STRING, ["x", "1", "0", "true", "false", "True", None, UNKNOWN]),
    (NUMBER, [1, 0.5]),
    (BOOL, [True, False]),
    (List(STRING), [["a", "b"], ["1", "1"], [], [UNKNOWN, "a"], UNKNOWN]),
    (List(NUMBER), [[1, 2]]),
    (Set(STRING), [["a", "b"], ["1"], [], ["a", UNKNOWN], [UNKNOWN]]),
    (Set(NUMBER), [[1, 2]]),
    (Map(STRING), [{"a": "1", "b": "2"}, {}, {"a": "x"}]),
    (Map(NUMBER), [{"a": 1}]),
    (Map(List(STRING)), [{"a": ["x"]}]),
    (Tuple([]), [[]]),
    (Tuple([STRING]), [["1"], ["x"]]),
    (Tuple([STRING, NUMBER]), [["1", 2], ["x", UNKNOWN]]),
    (Tuple([NUMBER, STRING]), [[1, "2"]]),
    (Tuple([BOOL, NUMBER]), [[True, 1]]),
    (Tuple([List(STRING), Tuple([STRING])]), [[["a"], ["b"]]]),
    (Tuple([Object({"a": STRING}), Object({"b": STRING})]), [[{"a": "x"}, {"b": "y"}]]),
    (Tuple([Object({"a": STRING}), Object({"a": NUMBER})]), [[{"a": "1"}, {"a": 2}]]),
    (Tuple([Set(STRING), List(NUMBER)]), [[["1"], [2]]]),
    (Object({"x": Object({"a": STRING}), "y": Object({"a": NUMBER})}), [{"x": {"a": "1"}, "y": {"a": 2}}]),
    (Object({"x": Set(STRING), "y": List(NUMBER)}), [{"x": ["1"], "y": [2]}]),
    (List(List(STRING)), [[None, ["a"]]]),
    (Object({}), [{}]),
    (Object({"a": STRING}), [{"a": "1"}, {"a": None}]),
    (Object({"a": NUMBER, "b": STRING}), [{"a": 1, "b": "2"}]),
    (Object({"a": STRING, "b": NUMBER}), [{"a": "1", "b": 2}]),
    (Object({"a": BOOL, "b": NUMBER}), [{"a": True, "b": 1}]),
    (Object({"a": List(STRING), "b": Tuple([STRING])}), [{"a": ["x"], "b": ["y"]}]),
    (List(Object({"a": STRING})), [[{"a": "x"}]]),
    (List(DYNAMIC), [["a"]]),
    (Map(DYNAMIC), [{"a": 1}]),
    (DYNAMIC, ["a", ["a", 1], {"a": ["x"]}]),
]
KINDS = [of for of, _ in VALUES]
TARGETS = [
    *KINDS,
    Set(DYNAMIC),
    Set(Object({"a": STRING})),
    Map(Map(STRING)),
    Tuple([DYNAMIC, STRING]),
    Object({"a": STRING, "b": STRING}, optional={"b"}),
    Object({"a": STRING, "b": List(STRING)}, optional={"b"}),
    Object({"a": NUMBER, "c": STRING}, optional={"a", "c"}),
    Object({"a": DYNAMIC}),
    *(kind(Object({"a": DYNAMIC})) for kind in (List, Set, Map)),
    *(kind(List(DYNAMIC)) for kind in (List, Set, Map)),
]


@pytest.mark.parametrize(("of", "values"), VALUES, ids=by_type)
def test_each_kind_is_converted_to_each(ask: Ask, of: cty.Type, values: list[Any]) -> None:
    for value in values:
        data = cty.encode(value, of)
        for target in TARGETS:
            answer = ask("convert", type=of.json, target=target.json, data=data.hex())
            try:
                converted = cty.encode(cty.convert(cty.decode(data, of), target, of), target)
            except cty.CtyError:
                assert "error" in answer, (value, target)
            else:
                assert answer.get("data") == converted.hex(), (value, target)


@pytest.mark.parametrize("first", KINDS, ids=str)
def test_each_kind_is_unified_with_each(ask: Ask, first: cty.Type) -> None:
    for second in KINDS:
        for types in ([first, second], [first, second, Tuple([STRING])], [first, second, DYNAMIC]):
            for safe in (True, False):
                common = cty.unify(types, safe)
                answer = ask("unify", types=[each.json for each in types], safe=safe)
                assert answer["type"] == (None if common is None else common.json), (types, safe)


def of_each(*types: cty.Type) -> list[cty.Type]:
    return [*map(List, types), Set(types[0])]


# Where nothing of one kind is made: one of the types is the most general, or none.
SEVERAL: list[list[cty.Type]] = [
    of_each(Object({"a": NUMBER}), Object({"a": STRING})),
    of_each(Object({"a": NUMBER, "b": BOOL}), Object({"a": STRING, "b": BOOL})),
    of_each(Object({"a": NUMBER, "b": STRING}), Object({"a": STRING, "b": NUMBER})),
    of_each(Object({"a": NUMBER}), Object({"b": NUMBER})),
    of_each(Tuple([NUMBER, BOOL]), Tuple([STRING, BOOL])),
    of_each(Tuple([NUMBER, STRING]), Tuple([STRING, NUMBER])),
    of_each(Tuple([NUMBER]), Tuple([NUMBER, NUMBER])),
    of_each(Tuple([NUMBER]), Tuple([NUMBER, NUMBER]), List(STRING)),
    of_each(STRING, NUMBER),
    [Object({"a": Set(STRING)}), Object({"b": List(NUMBER)})],
    [Tuple([Set(STRING)]), Tuple([List(NUMBER), List(NUMBER)])],
]


@pytest.mark.parametrize("types", SEVERAL, ids=str)
def test_the_most_general_type_is_found_in_any_order(ask: Ask, types: list[cty.Type]) -> None:
    for order in itertools.permutations(types):
        for safe in (True, False):
            common = cty.unify(order, safe)
            answer = ask("unify", types=[each.json for each in order], safe=safe)
            assert answer["type"] == (None if common is None else common.json), (order, safe)


EQUALITY: list[tuple[cty.Type, list[Any]]] = [
    (List(STRING), [["a", "b"], ["a", "c"], ["b", "b"], ["a", UNKNOWN], [UNKNOWN, "c"], ["a"], ["a", None], []]),
    (List(STRING), [Unknown(min_length=2), Unknown(max_length=1), Unknown(not_null=True), ["a"], ["a", "b"], None]),
    (Tuple([STRING, NUMBER]), [["a", 1], ["a", 2], ["b", 1], ["a", UNKNOWN], [UNKNOWN, 2], [None, 1]]),
    (Set(STRING), [["a"], ["a", "b"], ["b"], [], ["a", UNKNOWN], [None]]),
    (Set(STRING), [Unknown(min_length=2), Unknown(max_length=1), ["a", UNKNOWN], ["a", "b"]]),
    (Set(Object({"a": STRING})), [[{"a": "x"}], [{"a": UNKNOWN}], [{"a": "x"}, {"a": "y"}], [{"a": None}]]),
    (Map(NUMBER), [{"a": 1}, {"a": 2}, {"b": 1}, {"a": 1, "b": UNKNOWN}, {"a": UNKNOWN, "b": 2}, {}]),
    (
        Object({"a": STRING, "b": List(NUMBER)}),
        [{"a": "x", "b": [1]}, {"a": "x", "b": [2]}, {"a": "y", "b": [UNKNOWN]}],
    ),
    (STRING, ["a-1", "b", Unknown(prefix="a-"), Unknown(prefix="a-1"), Unknown(not_null=True), UNKNOWN, None]),
    (NUMBER, [4, 5, 6, *(Unknown(lower=5, lower_inclusive=each) for each in (True, False))]),
    (NUMBER, [4, 5, 6, *(Unknown(upper=5, upper_inclusive=each) for each in (True, False))]),
    (NUMBER, [Unknown(lower=1), Unknown(lower=2), Unknown(upper=1), Unknown(lower=1, upper=3), UNKNOWN]),
]


@pytest.mark.parametrize(("of", "values"), EQUALITY, ids=by_type)
def test_each_value_is_compared_with_each(ask: Ask, of: cty.Type, values: list[Any]) -> None:
    sent = [cty.encode(value, of) for value in values]
    for first in sent:
        for second in sent:
            a, b = cty.decode(first, of), cty.decode(second, of)
            answer = ask("equal", type=of.json, data=first.hex(), other=second.hex())
            assert cty.identical(a, b, of) is answer["identical"], (a, b)
            equal = cty.equals(a, b, of)
            # Of a map or object with unequal and unknown parts go-cty answers by the one that it meets first.
            assert answer["equal"] in (equal if isinstance(equal, bool) else None, None if equal is False else equal)


FORMS: list[tuple[str, cty.Type]] = [
    *(
        (form, NUMBER)
        for form in ("00", "7f", "ff", "e0", "d0e0", "cc80", "cd0080", "ce00000080", "cf0000000000000080")
    ),
    *((form, NUMBER) for form in ("d1ff00", "d2ffffff00", "d3ffffffffffffff00", "ca3f000000", "c1", "cb40", "d90131")),
    *((form, STRING) for form in ("a161", "d90161", "da000161", "db0000000161", "c40161", "c5000161", "c60000000161")),
    *((form, STRING) for form in ("bf" + "61" * 31, "b0" + "61" * 16, "a0", "c400", "d902", "c0", "c2", "01")),
    *((form, List(STRING)) for form in ("90", "91a161", "dc0001a161", "dd00000001a161", "9f" + "a161" * 15, "c0")),
    *((form, List(STRING)) for form in ("dc0010" + "a161" * 16, "91", "dc0002a161", "80", "a0", "c400")),
    *((form, Map(STRING)) for form in ("80", "81a161a162", "de0001a161a162", "df00000001a161a162", "81a161", "90")),
    *((form, STRING) for form in ("d40000", "d4ff00", "d47f00", "d48000", "d50c8100", "d5000000", "d60080000000")),
    *(
        (form, STRING)
        for form in ("c70000", "c7010000", "c800010000", "c9000000010000", "c7030c8101c2", "c7030d8101c2")
    ),
    *((form, BOOL) for form in ("c2", "c3", "c0", "00", "a0")),
]


# An unknown value that the package `msgpack` refuses: what stands beside it is read without the package.
REFUSED = "92d4ff00"


@pytest.mark.parametrize("before", ["", REFUSED], ids=["alone", "beside"])
@pytest.mark.parametrize(("form", "of"), FORMS, ids=str)
def test_each_form_of_msgpack_is_read(ask: Ask, form: str, of: cty.Type, before: str) -> None:
    data = bytes.fromhex(before + form)
    of = Tuple([STRING, of]) if before else of
    check_decoded(ask, data, of)


TEXTS: list[tuple[cty.Type, str]] = [
    *((STRING, text) for text in ('"x"', "1", "1.50", "true", "null", "[]", "{}", '"\\ud800"', " 1 ", "")),
    *((NUMBER, text) for text in ("1", '"1"', "1e3", '"x"', "true", "null", '"0x10"', "-0", "1E-2")),
    *((BOOL, text) for text in ("true", '"true"', '"1"', "1", "0", '"yes"', "null")),
    *((List(STRING), text) for text in ('["a", 1]', "[null]", "[[]]", "{}", '["a"', '["a",]', "null", "[]")),
    *((Set(STRING), text) for text in ('["b", "a", "b"]', "[true, 1]", '"a"')),
    *((Map(NUMBER), text) for text in ('{"b": 1, "a": "2"}', '{"a": "x"}', '{"a": 1, "a": 2}', "[]", '{"a": null}')),
    *((Tuple([STRING, NUMBER]), text) for text in ('["a", 1]', '["a"]', '["a", 1, 2]', '["a", "x"]', "{}", "null")),
    *((Object({"a": STRING}), text) for text in ('{"a": 1}', "{}", '{"a": "x", "b": 1}', '{"b": 1}', "[]", "null")),
    *((DYNAMIC, text) for text in ('{"value": "a", "type": "string"}', '{"type": "number", "value": "1"}', '"a"')),
    *((DYNAMIC, text) for text in ('{"value": 1}', '{"value": [1], "type": ["list", "string"]}', "null", "{}")),
    (List(DYNAMIC), '[{"value": "a", "type": "string"}, {"value": "b", "type": "string"}]'),
    (List(DYNAMIC), '[{"value": "a", "type": "string"}, {"value": 1, "type": "number"}]'),
    (Set(DYNAMIC), '[{"value": "b", "type": "string"}, {"value": "a", "type": "string"}]'),
    (Map(DYNAMIC), '{"x": {"value": "a", "type": "string"}}'),
    (Tuple([DYNAMIC]), '[{"value": "a", "type": "string"}]'),
]


@pytest.mark.parametrize(("of", "text"), TEXTS, ids=str)
def test_each_form_of_json_is_read(ask: Ask, of: cty.Type, text: str) -> None:
    answer = ask("decode_json", type=of.json, text=text)
    try:
        value = cty.decode_json(text, of)
    except cty.CtyError:
        assert "data" not in answer
    else:
        assert answer.get("data") == cty.encode(value, of).hex()


@pytest.mark.parametrize("power", [513, 514, 515, 600])
@pytest.mark.parametrize("scale", ["", "e7", "e-3", "e-200", "e300"])
def test_numbers_of_more_bits_than_are_kept(ask: Ask, power: int, scale: str) -> None:
    """512 bits are kept: what is between two numbers of so many is rounded, a tie to the even one."""
    for digits in (2**power + step * 2 ** (power - 513) for step in range(-6, 7)):
        for text in (f"{digits}{scale}", f"-{digits}{scale}", f"{digits}5{scale}"):
            answer = ask("number", text=text)
            assert answer["text"] == number_text(parse_number(text)), text
            assert answer["data"] == cty.encode(parse_number(text), NUMBER).hex(), text


@pytest.mark.parametrize("text", [f"{digits}p{power}" for digits in ("3", "-1.5", "0") for power in range(-3, 4)])
def test_numbers_with_a_power_of_two(ask: Ask, text: str) -> None:
    assert ask("number", text=text)["text"] == number_text(parse_number(text))


def test_powers_of_two_have_the_digits_that_go_writes(ask: Ask) -> None:
    """The bounds of a power of two are not equally far; below 2**-1022 a float64 has fewer bits."""
    for power in range(-1074, 1024):
        data = b"\xcb" + struct.pack(">d", math.ldexp(1, power))
        number = cty.decode(data, NUMBER)
        assert ask("decode", type=NUMBER.json, data=data.hex())["json"] == cty.encode_json(number, NUMBER)


ORDERED: list[tuple[cty.Type, list[Any]]] = [
    (
        NUMBER,
        [0, 1, -1, 0.5, *(10**power for power in range(8, 13)), *(10.0**power for power in range(-7, 0)), 12345678901],
    ),
    (NUMBER, [0.00012345678905, 9999999999.5, 99999999995, 1.00000000005, -0.00001, 0.00099999999999, 1e300, 1e-300]),
    # The texts of these are in another order than the numbers.
    (NUMBER, [11, -11, 12 * 10**14, 119 * 10**13, 121 * 10**13, 12345, -12345, 12345678901, -12345678901]),
    (
        STRING,
        ['"', '"a', "!", "#", "\\", "]", "a", "\n", "\t", "\x07", "\x7f", "\x85", "\xad", "é", "\u2028", "\ufeff"],
    ),
    (STRING, ["", " ", "\U0001f600", "\U000e0001", "\uffff", "\ufffd", "\ue000", "~", "e\u0301", "ﬁ", None, UNKNOWN]),
    (BOOL, [True, False, None, UNKNOWN]),
    (List(NUMBER), [[], [1], [1, 2], [2], [10], None]),
    (Map(STRING), [{}, {"a": "b"}, {"a": "a", "b": "c"}, {"b": "a"}]),
    (Object({"a": BOOL, "b": STRING}), [{"a": True, "b": "x"}, {"a": False, "b": "y"}, {"a": False, "b": "x"}]),
]


@pytest.mark.parametrize(("of", "values"), ORDERED, ids=by_type)
def test_sets_of_structures_are_in_the_order_of_go(ask: Ask, of: cty.Type, values: list[Any]) -> None:
    sets = Set(Tuple([of]))
    data = msgpack.packb([msgpack.unpackb(cty.encode([each], Tuple([of])), strict_map_key=False) for each in values])
    assert ask("decode", type=sets.json, data=data.hex())["data"] == cty.encode(cty.decode(data, sets), sets).hex()


@pytest.mark.parametrize("of", [NUMBER, Tuple([NUMBER])], ids=str)
def test_a_float_and_a_text_of_one_number_are_one_element(ask: Ask, of: cty.Type) -> None:
    numbers = [1e23, str(int(1e23)), str(10**23), 2.0**70, str(2**70), 1.0, 1, "1"]
    data = msgpack.packb(numbers if of is NUMBER else [[each] for each in numbers])
    answer = ask("decode", type=Set(of).json, data=data.hex())
    assert answer["data"] == cty.encode(cty.decode(data, Set(of)), Set(of)).hex()


@pytest.mark.parametrize("control", ["\N{BEL}", "\N{LINE SEPARATOR}", "\N{PARAGRAPH SEPARATOR}", "\N{SOFT HYPHEN}"])
@pytest.mark.parametrize(
    "after", ["", "\N{VARIATION SELECTOR-16}", "\N{ZERO WIDTH JOINER}", "\N{COMBINING ACUTE ACCENT}"]
)
def test_nothing_joins_controls(ask: Ask, control: str, after: str) -> None:
    text = f"ab{control}{after}"
    assert ask("prefix", text=text)["text"] == cty.safe_prefix(text)


@pytest.mark.parametrize("values", [[2, 10, 1], ["b", "a", "b"], [True, False], [["b"], ["a"]]], ids=str)
def test_sets_without_a_type_are_in_the_order_of_go(ask: Ask, values: list[Any]) -> None:
    data = bytes([0x90 + len(values)]) + b"".join(cty.encode(each, DYNAMIC) for each in values)
    answer = ask("decode", type=Set(DYNAMIC).json, data=data.hex())
    found = cty.decode(data, Set(DYNAMIC))
    assert answer["data"] == cty.encode(found, Set(DYNAMIC)).hex()
    assert found == cty.decode(bytes.fromhex(answer["data"]), List(DYNAMIC))
