"""Random questions, asked to go-cty at the same time."""

from __future__ import annotations

import math
import struct
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrule.terraform import cty
from ferrule.terraform.cty import NUMBER, STRING
from ferrule.terraform.cty.numbers import number_text, parse_number
from terraform.cty_peer import Ask
from terraform.cty_strategies import ASKED, NUMBERS, STATIC, TYPED, TYPES, values

pytestmark = pytest.mark.go


def encoded(value: Any, of: cty.Type) -> bytes | None:
    try:
        return cty.encode(value, of)
    except cty.CtyError:
        return None


def json_of(value: Any, of: cty.Type) -> str | None:
    try:
        return cty.encode_json(value, of)
    except cty.CtyError:
        return None


@given(case=TYPED)
@ASKED
def test_bytes_and_json(ask: Ask, case: tuple[Any, cty.Type]) -> None:
    value, of = case
    data = encoded(value, of)
    if data is None:
        return
    answer = ask("decode", type=of.json, data=data.hex())
    decoded = cty.decode(data, of)
    # go-cty decodes what was encoded here, and encodes it as it is encoded here again.
    assert answer["data"] == cty.encode(decoded, of).hex()
    assert answer.get("json") == json_of(decoded, of)


@given(case=TYPED, target=TYPES)
@ASKED
def test_conversions(ask: Ask, case: tuple[Any, cty.Type], target: cty.Type) -> None:
    value, of = case
    data = encoded(value, of)
    if data is None:
        return
    answer = ask("convert", type=of.json, target=target.json, data=data.hex())
    try:
        converted = cty.encode(cty.convert(cty.decode(data, of), target, of), target)
    except cty.CtyError:
        assert "error" in answer
    else:
        assert answer.get("panic") or answer["data"] == converted.hex()


@given(of=STATIC, data=st.data())
@ASKED
def test_equality(ask: Ask, of: cty.Type, data: st.DataObject) -> None:
    first = cty.encode(data.draw(values(of)), of)
    other = data.draw(st.just(first) | values(of).map(lambda value: cty.encode(value, of)))
    answer = ask("equal", type=of.json, data=first.hex(), other=other.hex())
    a, b = cty.decode(first, of), cty.decode(other, of)
    assert cty.identical(a, b, of) is answer["identical"]
    equal = cty.equals(a, b, of)
    # Of an object with unequal and unknown attributes go-cty answers by the one that it meets first.
    assert answer["equal"] in (equal if isinstance(equal, bool) else None, None if equal is False else equal)


@given(types=st.lists(TYPES, max_size=4), safe=st.booleans())
@ASKED
def test_unification(ask: Ask, types: list[cty.Type], safe: bool) -> None:
    common = cty.unify(types, safe)
    answer = ask("unify", types=[each.json for each in types], safe=safe)
    assert answer["type"] == (None if common is None else common.json)


@given(number=NUMBERS.filter(lambda number: number not in (math.inf, -math.inf)))
@ASKED
def test_numbers(ask: Ask, number: Any) -> None:
    text = str(number)
    answer = ask("number", text=text)
    assert answer["text"] == number_text(parse_number(text))
    assert answer["data"] == cty.encode(parse_number(text), NUMBER).hex()


@pytest.mark.parametrize(
    "text", ["1e+000000000000000000005", "1e-0000000000012", "1e00000000000000", "5p0000000000010"]
)
def test_exponents_with_leading_zeros(ask: Ask, text: str) -> None:
    assert ask("number", text=text)["text"] == number_text(parse_number(text))


@pytest.mark.parametrize("number", [5.5092954330320877e17, 2.0**53, 2.0**53 + 2, 9.5e15, 1e22, 1e23, 1.7e308])
def test_floats_whose_neighbours_are_whole(ask: Ask, number: float) -> None:
    """From 2**53 on, where a neighbour's bound may have few digits itself, Go writes more digits than Python."""
    data = b"\xcb" + struct.pack(">d", number)
    assert ask("decode", type='"number"', data=data.hex())["json"] == cty.encode_json(number, NUMBER)


@given(mantissa=st.integers(2**52, 2**53 - 1), power=st.integers(1, 60))
@ASKED
def test_large_floats(ask: Ask, mantissa: int, power: int) -> None:
    number = math.ldexp(mantissa, power)
    data = b"\xcb" + struct.pack(">d", number)
    assert ask("decode", type='"number"', data=data.hex())["json"] == cty.encode_json(number, NUMBER)


@pytest.mark.parametrize(
    "text", ["1.", "0.", "-1.", "1.e3", "1e", "1e+", "1.5e", "1.5e-", "1.x", "-", "01", "1 .", "[1.]"]
)
@pytest.mark.parametrize("of", [NUMBER, cty.List(NUMBER), cty.DYNAMIC], ids=str)
def test_json_numbers_without_an_end(ask: Ask, text: str, of: cty.Type) -> None:
    try:
        found = cty.encode(cty.decode_json(text, of), of).hex()
    except cty.CtyError:
        assert "error" in ask("decode_json", type=of.json, text=text)
    else:
        assert ask("decode_json", type=of.json, text=text)["data"] == found


# A letter, a mark, and how many: some marks stand for two, or are second parts of compositions without being marks.
ROWS = [
    ("a", "\u0301", 30),
    ("a", "\u0301", 31),
    ("a", "\u0301", 61),
    ("", "\u0301", 40),
    ("", "\u0344", 16),
    ("e", "\u0323\u0301", 20),
    ("a", "\u0327\u0301", 16),
    ("a", "\u0345", 31),
    ("a", "\u1161", 40),
    ("", "\u0f73", 16),
]


@pytest.mark.parametrize(("letter", "mark", "count"), ROWS)
def test_long_rows_of_marks(ask: Ask, letter: str, mark: str, count: int) -> None:
    """Go breaks a row of more than thirty by a U+034F."""
    for text in (letter + mark * count, letter + mark * count + "b"):
        data = msgpack.packb(text)
        answer = ask("decode", type='"string"', data=data.hex())
        assert answer["data"] == cty.encode(cty.decode(data, STRING), STRING).hex()
        assert ask("prefix", text=text)["text"] == cty.safe_prefix(text)


@given(
    text=st.text(st.sampled_from("ae\u0301\u0323\u0327\u0344\u0345\u1161\u0f73\u0958\u00e4"), min_size=25, max_size=70)
)
@ASKED
def test_rows_of_marks(ask: Ask, text: str) -> None:
    data = msgpack.packb(text)
    answer = ask("decode", type='"string"', data=data.hex())
    assert answer["data"] == cty.encode(cty.decode(data, STRING), STRING).hex()


LARGEST = 2**63 - 1
BOUNDS = [
    {5: LARGEST},
    {5: LARGEST, 6: LARGEST},
    {5: 2**43 + 1, 6: 2**43 + 1},
    {5: 2**62, 6: 2**62},
    {5: 2**44, 6: 2**45},
]


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
@pytest.mark.parametrize("of", [cty.List(STRING), cty.Set(STRING), cty.Map(STRING)], ids=str)
def test_lengths_at_which_a_peer_in_go_panics(ask: Ask, bounds: dict[int, int], of: cty.Type) -> None:
    """Go makes a list of unknown elements of a length that is known, and cannot make one of these."""
    data = msgpack.packb(msgpack.ExtType(12, msgpack.packb({1: False} | bounds)))
    answer = ask("decode", type=of.json, data=data.hex())
    try:
        found = cty.encode(cty.decode(data, of), of).hex()
    except cty.CtyError:
        assert "error" in answer
    else:
        assert answer.get("data") == found


@given(text=st.text(max_size=12))
@ASKED
def test_prefixes(ask: Ask, text: str) -> None:
    assert ask("prefix", text=text)["text"] == cty.safe_prefix(text)
    assert cty.convert(text, STRING).startswith(cty.safe_prefix(text))
