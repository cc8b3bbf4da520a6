"""Properties of all types and values: what goes out comes back."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ferrule.terraform import cty
from ferrule.terraform.cty import DYNAMIC, NUMBER, STRING, Set, Typed, Unknown
from ferrule.terraform.cty.numbers import equal_numbers, number_text, parse_number, settled
from ferrule.terraform.cty.values import resolved
from terraform.cty_strategies import ASKED, NUMBERS, STATIC, STATIC_TYPED, TYPED, TYPES


@given(TYPES)
@ASKED
def test_types_survive_their_notation(of: cty.Type) -> None:
    assert cty.Type.from_json(of.json) == of
    assert cty.Type.from_json(of.json.encode()) == of
    assert eval(repr(of), vars(cty)) == of


@given(STATIC_TYPED)
@ASKED
def test_values_survive_msgpack(case: tuple[Any, cty.Type]) -> None:
    value, of = case
    data = cty.encode(value, of)
    decoded = cty.decode(data, of)
    # Numbers change their form: a whole float is an int, one beyond 64 bits the number that cty sends for it.
    assert cty.encode(decoded, of) == cty.encode(cty.decode(cty.encode(decoded, of), of), of)
    assert cty.decode(cty.encode(decoded, of), of) == decoded


@given(TYPED)
@ASKED
def test_values_of_dynamic_types_survive_msgpack(case: tuple[Any, cty.Type]) -> None:
    value, of = case
    try:
        decoded = cty.decode(cty.encode(value, of), of)
    except cty.CtyError as error:
        # A null or an empty list has an open type, beside others that have one.
        assert "must have one type" in str(error)  # noqa: PT017
        return
    assert cty.decode(cty.encode(decoded, of), of) == decoded
    assert resolved(decoded, of)[1].plain == resolved(cty.decode(cty.encode(decoded, of), of), of)[1].plain


@given(STATIC_TYPED)
@ASKED
def test_values_survive_json(case: tuple[Any, cty.Type]) -> None:
    value, of = case
    try:
        text = cty.encode_json(value, of)
    except cty.CtyError as error:
        assert "not known" in str(error) or "infinite" in str(error)  # noqa: PT017
        return
    decoded = cty.decode_json(text, of)
    assert cty.encode_json(decoded, of) == text
    assert cty.decode_json(text.encode(), of) == decoded


@given(STATIC_TYPED)
@ASKED
def test_a_value_is_what_it_is(case: tuple[Any, cty.Type]) -> None:
    value, of = case
    assert cty.identical(value, value, of)
    if "set" not in of.json:
        # To go-cty a set with something unknown inside an element is not even equal to itself.
        assert cty.equals(value, value, of) in (True, Unknown(not_null=True))
    assert resolved(cty.convert(value, of, of), of) == resolved(value, of)
    assert resolved(cty.convert(Typed(value, of), DYNAMIC), DYNAMIC) == resolved(Typed(value, of), DYNAMIC)


@given(STATIC_TYPED, STATIC)
@ASKED
def test_what_is_converted_is_of_the_type(case: tuple[Any, cty.Type], target: cty.Type) -> None:
    value, of = case
    try:
        converted = cty.convert(value, target, of)
    except cty.CtyError:
        return
    assert cty.decode(cty.encode(converted, target), target) is not ...
    assert resolved(converted, target)[1] == target


@given(st.lists(TYPES, max_size=4))
@ASKED
def test_a_common_type_is_one_that_all_convert_to(types: list[cty.Type]) -> None:
    common = cty.unify(types)
    if common is not None:
        assert cty.unify([*types, *types]) == common
        for each in types:
            cty.convert(None, common, each)


@given(st.lists(NUMBERS, max_size=6))
@ASKED
def test_sets_have_one_order(numbers: list[Any]) -> None:
    arranged = resolved(numbers, Set(NUMBER))[0]
    assert resolved(list(reversed(numbers)), Set(NUMBER))[0] == arranged == sorted(arranged)
    assert all(any(equal_numbers(each, other) for other in arranged) for each in map(settled, numbers))


@given(st.decimals(allow_nan=False, allow_infinity=False).filter(lambda number: abs(number.adjusted()) < 4000))
@ASKED
def test_decimals_are_read_from_their_text(number: Decimal) -> None:
    kept = settled(number)
    assert parse_number(number_text(kept)) == kept
    assert parse_number(str(number)) == kept


@given(st.floats(allow_nan=False, allow_infinity=False))
@ASKED
def test_the_text_of_a_float_is_the_shortest(number: float) -> None:
    text = number_text(number)
    assert "e" not in text
    if math.frexp(number)[0] not in (0.5, -0.5) and abs(number) >= 2.0**-1022:
        assert Decimal(text) == Decimal(repr(number))


@given(st.text(max_size=8), st.text(max_size=4))
@ASKED
def test_a_safe_prefix_stays_whatever_follows(text: str, more: str) -> None:
    prefix = cty.safe_prefix(text)
    assert cty.convert(text, STRING).startswith(prefix)
    assert cty.convert(text + more, STRING).startswith(prefix)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**65)
    | st.decimals(-9, 9, places=1)
    | st.sampled_from(["1", "x", "true"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(PLAIN, TYPES)
@ASKED
def test_a_configuration_is_converted_as_its_implied_type_is(value: Any, target: cty.Type) -> None:
    try:
        expected = cty.convert(value, target, cty.implied_type(value))
    except cty.CtyError:
        expected = cty.CtyError
    try:
        converted = cty.convert(value, target)
    except cty.CtyError:
        converted = cty.CtyError
    assert converted == expected
