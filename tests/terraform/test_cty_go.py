"""Random questions, asked to go-cty at the same time."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrule.terraform import cty
from ferrule.terraform.cty import NUMBER, STRING
from ferrule.terraform.cty.numbers import number_text, parse_number
from peers import go_peer
from terraform.cty_strategies import ASKED, NUMBERS, STATIC, TYPED, TYPES, values

pytestmark = pytest.mark.go

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Asks the program in Go."""
    with subprocess.Popen([go_peer("cty")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        questions, answers = program.stdin, program.stdout

        def asked(op: str, **question: Any) -> dict[str, Any]:
            questions.write(json.dumps({"op": op, **question}) + "\n")
            questions.flush()
            answer: dict[str, Any] = json.loads(answers.readline())
            return answer

        yield asked
        questions.close()


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


@given(text=st.text(max_size=12))
@ASKED
def test_prefixes(ask: Ask, text: str) -> None:
    assert ask("prefix", text=text)["text"] == cty.safe_prefix(text)
    assert cty.convert(text, STRING).startswith(cty.safe_prefix(text))
