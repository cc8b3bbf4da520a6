"""Every question of the oracle to go-cty, and its answer.

A case's id is its test's. What is not as go-cty has it is in `EXCEPTIONS`, with the reason.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.cty.unification import convertible
from ferrule.terraform.cty.values import presented, resolved
from terraform.cty_notation import read_marked, read_tagged

ORACLE = Path(__file__).parent / "oracle"
Case = dict[str, Any]

NOT_OF_THE_TYPE = "go-cty answers a value that is not of the type that was asked for; here it is refused"
NO_TEXT = "go-cty forgets an error, and takes a map's key that is no text for an empty one; here the map is refused"
EXCEPTIONS = {
    "decode/map/key_bool": NO_TEXT,
    "decode/map/key_unknown": f"{NO_TEXT}, not its first element",
    "decode/refinement/max_infinity": "an infinite bound says nothing; go-cty keeps it if it came from the wire",
    "encode/number_from_float64/float32_0.1": "24 bits of mantissa: no wire brings them, and Python has no such float",
    "foreign-099": NOT_OF_THE_TYPE,
    "foreign-102": NOT_OF_THE_TYPE,
    "foreign-113": NOT_OF_THE_TYPE,
}
"""Each case fails as it stands; one that passes is an error of this list."""


def cases(name: str) -> list[Case]:
    text = gzip.decompress((ORACLE / name).read_bytes()).decode()
    return json.loads(text)["cases"] if name == "cty.json.gz" else list(map(json.loads, text.rstrip("\n").split("\n")))


ASKED = cases("cty.json.gz")
FUNCTIONS = cases("functions-cty.jsonl.gz")


def parameters(found: list[Case]) -> pytest.MarkDecorator:
    def marks(case: Case) -> list[pytest.MarkDecorator]:
        reason = EXCEPTIONS.get(case["id"])
        return [pytest.mark.xfail(reason=reason, strict=True)] if reason else []

    return pytest.mark.parametrize("case", [pytest.param(each, id=each["id"], marks=marks(each)) for each in found])


def of_kind(kind: str) -> pytest.MarkDecorator:
    return parameters([each for each in ASKED if each["kind"] == kind])


def of_function(name: str) -> pytest.MarkDecorator:
    return parameters([each for each in FUNCTIONS if each["op"] == name])


def type_of(notation: object) -> cty.Type:
    return cty.Type.from_notation(notation)


def steps(path: list[dict[str, Any]] | None) -> list[object]:
    """The oracle's path, without the difference between attributes and keys: go-cty's decoder makes none."""
    found: list[object] = []
    for step in path or []:
        (inner,) = step.values()
        found.append(int(inner["$number"]) if isinstance(inner, dict) and "$number" in inner else inner)
    return [each for each in found if not isinstance(each, dict)]


def check_refusal(case: Case, error: cty.CtyError, exact: bool = True) -> None:
    expected = steps(case.get("error_path"))
    if "EOF" in case["error"]:
        # Bytes that end too early are refused as a whole, before a type leads to the place.
        assert list(error.path) in ([], expected)
    elif exact or expected:
        # Of a conversion that there is not go-cty names the place in words only.
        assert list(error.path) == expected, str(error)


def check_json(case: Case, value: Any, of: cty.Type) -> None:
    expected = case["json"]
    if expected is None:
        with pytest.raises(cty.CtyError):
            cty.encode_json(value, of)
        return
    text = cty.encode_json(value, of)
    if isinstance(expected, dict):
        assert len(text.encode()) == expected["length"]
        assert hashlib.sha256(text.encode()).hexdigest() == expected["$sha256"]
    else:
        assert text == expected


@of_kind("encode")
def test_encode(case: Case) -> None:
    of = type_of(case["type"])
    given = read_marked(case["given"] if "given" in case else case["value"])
    if "given_type" in case:
        source = type_of(case["given_type"])
        if "error" in case:
            with pytest.raises(cty.CtyError) as caught:
                cty.convert(given, of, source)
            check_refusal(case, caught.value, exact=False)
            return
        given = cty.convert(given, of, source)
    data = cty.encode(given, of)
    assert data.hex() == case["msgpack"]
    check_json(case, given, of)
    if "value" in case:
        value, own = resolved(given, of)
        assert (value, own) == resolved(read_marked(case["value"]), of)
        assert own == type_of(case.get("value_type", case["type"])).plain
    decoded = cty.decode(data, of)
    assert resolved(decoded, of) == resolved(read_marked(case["decoded"]), of)
    assert cty.encode(decoded, of).hex() == case.get("reencoded", case["msgpack"])


@of_kind("decode")
def test_decode(case: Case) -> None:
    of, data = type_of(case["type"]), bytes.fromhex(case["msgpack"])
    if "error" in case or case.get("decoded_conforms") is False:
        with pytest.raises(cty.CtyError) as caught:
            cty.decode(data, of)
        if "error" in case and "panic" not in case:
            check_refusal(case, caught.value)
        return
    decoded = cty.decode(data, of)
    value, own = resolved(decoded, of)
    assert (value, own) == resolved(read_marked(case["decoded"]), of)
    if "decoded_type" in case:
        assert own == type_of(case["decoded_type"])
    assert cty.encode(decoded, of).hex() == case.get("reencoded", case["msgpack"])


@of_kind("json_decode")
def test_decode_json(case: Case) -> None:
    of = type_of(case["type"])
    if "error" in case:
        with pytest.raises(cty.CtyError) as caught:
            cty.decode_json(case["json"], of)
        check_refusal(case, caught.value)
        return
    decoded = cty.decode_json(case["json"], of)
    assert resolved(decoded, of) == resolved(read_marked(case["decoded"]), of)
    assert cty.encode(decoded, of).hex() == case["msgpack"]


@of_kind("convert")
def test_convert(case: Case) -> None:
    source, target, value = type_of(case["from"]), type_of(case["type"]), read_marked(case["value"])
    own = resolved(value, source)[1]
    assert convertible(own, target, unsafe=False) == case["safe"] or own == target.plain
    if "error" in case:
        with pytest.raises(cty.CtyError) as caught:
            cty.convert(value, target, source)
        check_refusal(case, caught.value, exact=False)
        return
    result = cty.convert(value, target, source)
    expected = presented(*resolved(read_marked(case["result"]), type_of(case["result_type"])), target)
    assert resolved(result, target) == resolved(expected, target)
    assert cty.encode(result, target).hex() == case["msgpack"]


@of_kind("unify")
def test_unify(case: Case) -> None:
    types = list(map(type_of, case["types"] or []))
    for safe, expected in ((True, case["safe"]), (False, case["unsafe"])):
        assert cty.unify(types, safe) == (None if expected is None else type_of(expected))


@of_kind("equal")
def test_equal(case: Case) -> None:
    of, a, b = type_of(case["type"]), read_marked(case["a"]), read_marked(case["b"])
    expected = read_marked(case["equals"])
    assert cty.equals(a, b, of) == expected
    assert cty.equals(b, a, of) == expected
    assert cty.identical(a, b, of) is case["raw_equals"]


@of_function("type")
def test_function_type(case: Case) -> None:
    answer = case["answer"]
    if "type_error" in answer:
        with pytest.raises(cty.CtyError):
            type_of(case["type"])
        return
    of = type_of(case["type"])
    assert json.loads(of.json) == answer["type"]
    assert of.name == answer["friendly"]
    assert cty.Type.from_json(json.dumps(case["type"])) == of


@of_function("encode")
def test_function_encode(case: Case) -> None:
    of, value, answer = type_of(case["type"]), read_tagged(case["value"]), case["answer"]
    data = cty.encode(value, of)
    assert data.hex() == answer["msgpack"]
    check_json({"json": answer.get("json")}, value, of)
    decoded = cty.decode(data, of)
    # The answer is the value that was given, but large floats are in it as they are sent.
    assert resolved(read_tagged(answer["value"]), of) in (resolved(value, of), resolved(decoded, of))
    assert cty.encode(decoded, of) == data


@of_function("decode_msgpack")
def test_function_decode_msgpack(case: Case) -> None:
    of, data, answer = type_of(case["type"]), bytes.fromhex(case["bytes"]), case["answer"]
    if "value_error" in answer:
        with pytest.raises(cty.CtyError):
            cty.decode(data, of)
        return
    value = cty.decode(data, of)
    if isinstance(value, str):
        # The oracle's file has no notation for bytes that are not UTF-8.
        value = re.sub("[\udc80-\udcff]", "\N{REPLACEMENT CHARACTER}", value)
    assert resolved(value, of) == resolved(read_tagged(answer["value"]), of)


@of_function("decode_json")
def test_function_decode_json(case: Case) -> None:
    of, answer = type_of(case["type"]), case["answer"]
    if "value_error" in answer:
        with pytest.raises(cty.CtyError):
            cty.decode_json(case["text"], of)
        return
    assert resolved(cty.decode_json(case["text"], of), of) == resolved(read_tagged(answer["value"]), of)


@of_function("convert")
def test_function_convert(case: Case) -> None:
    target, answer = type_of(case["type"]), case["answer"]
    if "text" in case:
        source = cty.implied_type_of_json(case["text"])
        value = cty.decode_json(case["text"], source)
        # A program gives what it has read from JSON itself, and no type.
        given = [(value, source), (json.loads(case["text"], parse_float=Decimal), None)]
    else:
        given = [(read_tagged(case["value"]), type_of(case["from_type"]))]
    for value, source_or_none in given:
        if "value_error" in answer:
            with pytest.raises(cty.CtyError):
                cty.convert(value, target, source_or_none)
        else:
            result = cty.convert(value, target, source_or_none)
            assert resolved(result, target) == resolved(read_tagged(answer["value"]), target)


@of_function("implied")
def test_function_implied(case: Case) -> None:
    answer = case["answer"]
    if "type_error" in answer:
        with pytest.raises(cty.CtyError):
            cty.implied_type_of_json(case["text"])
    else:
        assert cty.implied_type_of_json(case["text"]) == type_of(answer["type"])


def test_nothing_of_the_oracle_is_left_out() -> None:
    assert {each["kind"] for each in ASKED} == {"encode", "decode", "json_decode", "convert", "unify", "equal"}
    assert {each["op"] for each in FUNCTIONS} == {
        "type",
        "encode",
        "decode_msgpack",
        "decode_json",
        "convert",
        "implied",
    }
    assert (len(ASKED), len(FUNCTIONS)) == (1264, 837)
    assert EXCEPTIONS.keys() <= {each["id"] for each in (*ASKED, *FUNCTIONS)}
