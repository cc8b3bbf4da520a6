"""Bytes and values that mean harm: an error, in no time and no memory, whatever they are."""

from __future__ import annotations

import contextlib
import inspect
import json
import random
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import pytest

from ferrule.terraform import cty
from ferrule.terraform.cty import BOOL, DYNAMIC, NUMBER, STRING, UNKNOWN, List, Map, Object, Set, Tuple, Typed, Unknown

TYPES = [
    STRING, NUMBER, BOOL, DYNAMIC, List(STRING), Set(NUMBER), Map(BOOL), Tuple([STRING, NUMBER]), List(DYNAMIC),
    Object({"a": STRING, "b": List(Object({"c": NUMBER, "d": DYNAMIC}))}), Set(Object({"a": DYNAMIC})), Tuple([]),
]  # fmt: skip

BYTES = {
    "no bytes": b"",
    "list of 4 billion": b"\xdd\xff\xff\xff\xff",
    "map of 4 billion": b"\xdf\xff\xff\xff\xff",
    "text of 4 billion": b"\xdb\xff\xff\xff\xff",
    "bytes of 4 billion": b"\xc6\xff\xff\xff\xff",
    "extension of 4 billion": b"\xc9\xff\xff\xff\xff\x0c",
    "lists in lists": b"\x91" * 1_000_000,
    "closed lists in lists": b"\x91" * 5000 + b"\xc0",
    "maps in maps": b"\x81\xa1a" * 500_000,
    "maps as keys": b"\x81" * 1_000_000,
    "timestamps in lists": b"\x91" * 5000 + b"\xd4\xff\x00",
    "lists of 4 billion and a timestamp": b"\x92\xd4\xff\x00\xdd\xff\xff\xff\xff",
    "code that is none": b"\xc1",
    "timestamp": b"\xd6\xff\x00\x00\x00\x01",
    "refinements that are none": b"\xc7\x08\x0c" + b"\xdd\xff\xff\xff\xff\x00\x00\x00",
    "refinements of 4 billion": b"\xc7\x05\x0c" + b"\xdf\xff\xff\xff\xff",
    "refinements in refinements": b"\xc7\x06\x0c\x81\x03\xc7\x01\x0c\x80",
}


@pytest.mark.parametrize("data", BYTES.values(), ids=BYTES.keys())
def test_bytes_are_refused_at_once(data: bytes) -> None:
    tracemalloc.start()
    begin = time.process_time()
    try:
        for of in TYPES:
            if of == DYNAMIC and data[2:3] == b"\x0c":
                # Refinements of a value without a type are not read.
                continue
            with pytest.raises(cty.CtyError):
                cty.decode(data, of)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - begin < 5
    assert peak < 200e6


def wrapped_dynamics(levels: int, value: bytes = b"\xc0") -> bytes:
    """A dynamic value in a dynamic value in a list in a dynamic value, and so on."""
    of = b'["list","dynamic"]'
    return (b"\x92\xc4" + bytes([len(of)]) + of + b"\x91") * levels + value


def test_dynamic_values_in_dynamic_values_have_an_end() -> None:
    assert cty.decode(wrapped_dynamics(20, b'\x92\xc4\x06"bool"\xc3'), DYNAMIC)
    for levels in (60, 150, 400):
        with pytest.raises(cty.CtyError, match="levels"):
            cty.decode(wrapped_dynamics(levels), DYNAMIC)
    with pytest.raises(cty.CtyError):
        cty.decode(b'\x92\xc4\x09"dynamic"' * 300 + b"\xc0", DYNAMIC)


def test_a_list_of_known_length_is_not_made_of_ten_bytes() -> None:
    data = msgpack.packb(msgpack.ExtType(12, msgpack.packb({1: False, 5: 2**31 - 1, 6: 2**31 - 1})))
    assert cty.decode(data, List(STRING)) == Unknown(not_null=True, min_length=2**31 - 1, max_length=2**31 - 1)
    assert cty.encode(cty.decode(data, List(STRING)), List(STRING)) == data


@pytest.mark.parametrize(
    ("elements", "of"),
    [
        ([UNKNOWN] * 20_000, STRING),
        ([[UNKNOWN, str(each)] for each in range(20_000)], List(STRING)),
        # Go writes ten digits of them in the text by which it finds the elements of a set.
        (list(range(10**15, 10**15 + 20_000)), NUMBER),
        ([[each] for each in range(10**15, 10**15 + 20_000)], List(NUMBER)),
    ],
)
def test_sets_do_not_compare_all_with_all(elements: list[Any], of: cty.Type) -> None:
    data = cty.encode(elements, List(of))
    begin = time.process_time()
    assert len(cty.decode(data, Set(of))) == len(elements)
    assert cty.equals(elements, elements, Set(of)) is not None
    assert time.process_time() - begin < 10


def test_the_notation_of_a_deep_type_is_not_kept_at_every_level() -> None:
    inner = '["tuple",[' + ",".join(['"string"'] * 50_000) + "]]"
    notation = '["list",' * 90 + inner + "]" * 90
    tracemalloc.start()
    try:
        of = cty.Type.from_json(notation)
        assert len(of.json) == len(notation)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60 * len(notation)


@pytest.mark.parametrize("text", ["1e1000000", "1e10000000", "-1e-1000000", "1p99999999", "1e999999999999", "9" * 5000])
def test_exponents_are_not_expanded(text: str) -> None:
    begin = time.process_time()
    with pytest.raises(cty.CtyError, match="digits"):
        cty.decode(msgpack.packb(text), NUMBER)
    with pytest.raises(cty.CtyError, match="digits"):
        cty.decode_json(json.dumps(text), NUMBER)
    with pytest.raises(cty.CtyError, match="digits"):
        cty.convert(text, NUMBER)
    assert time.process_time() - begin < 1


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 900 + "]" * 900, "[[[[" + "1" * 100_000])
def test_json_that_is_deep_or_long(text: str) -> None:
    for of in TYPES:
        with pytest.raises(cty.CtyError):
            cty.decode_json(text, of)
    with pytest.raises(cty.CtyError):
        cty.implied_type_of_json(text)


def test_values_that_contain_themselves() -> None:
    endless: list[Any] = []
    endless.append(endless)
    circle: dict[str, Any] = {}
    circle["self"] = [circle]
    for value in (endless, circle):
        for call in (cty.encode, cty.encode_json, cty.convert):
            with pytest.raises(cty.CtyError):
                call(value, DYNAMIC)
            with pytest.raises(cty.CtyError):
                call(Typed(value, List(DYNAMIC)), DYNAMIC)
        with pytest.raises(cty.CtyError):
            cty.implied_type(value)


def test_types_of_types_have_an_end() -> None:
    typed: Any = None
    for _ in range(300):
        typed = Typed([typed], List(DYNAMIC))
    with pytest.raises(cty.CtyError, match="levels"):
        cty.encode(typed, DYNAMIC)


def deep(levels: int) -> tuple[Any, cty.Type]:
    value, of = "x", STRING
    for _ in range(levels):
        value, of = [value], List(of)  # type: ignore[assignment]
    return value, of


@pytest.mark.parametrize("frames", [0, 500])
def test_the_deepest_values_work_far_down_the_stack(frames: int) -> None:
    def down(left: int) -> None:
        if left:
            down(left - 1)
            return
        value, of = deep(100)
        assert cty.decode(cty.encode(value, of), of) == value
        assert cty.decode_json(cty.encode_json(value, of), of) == value
        assert cty.equals(value, value, of) is True

    down(frames)


INNER: list[tuple[Callable[[Any], Any], Callable[[cty.Type], cty.Type]]] = [
    (lambda value: [value], List),
    (lambda value: {"k": value}, Map),
    (lambda value: [value], lambda of: Tuple([of])),
    (lambda value: {"k": value}, lambda of: Object({"k": of})),
]


@pytest.mark.parametrize(("value_around", "type_around"), INNER, ids=["list", "map", "tuple", "object"])
def test_each_level_counts_once(
    value_around: Callable[[Any], Any], type_around: Callable[[cty.Type], cty.Type]
) -> None:
    value: Any = "x"
    of: cty.Type = DYNAMIC
    for _ in range(99):
        value, of = value_around(value), type_around(of)
    assert cty.decode(cty.encode(value, of), of) == value
    assert cty.decode_json(cty.encode_json(value, of), of) == value
    # The value itself has a type of as many levels as a type may have.
    value = value_around(value)
    assert cty.implied_type(value).depth == 100
    assert cty.implied_type_of_json(json.dumps(value)).depth == 100
    with pytest.raises(cty.CtyError, match="the value has more than 100 levels"):
        cty.implied_type(value_around(value))
    with pytest.raises(cty.CtyError, match="the value has more than 100 levels"):
        cty.implied_type_of_json(json.dumps(value_around(value)))


def is_taken(call: Callable[..., object], *given: object) -> bool:
    try:
        call(*given)
    except cty.CtyError as error:
        assert "the value has more than 100 levels" in str(error)  # noqa: PT017
        return False
    return True


@pytest.mark.parametrize(
    ("of", "notation"), [(List(DYNAMIC), '["list","dynamic"]'), (Tuple([DYNAMIC]), '["tuple",["dynamic"]]')], ids=str
)
def test_a_dynamic_value_is_a_level_in_every_form(of: cty.Type, notation: str) -> None:
    """Fifty of them, with a list in each, are a hundred levels."""
    typed: Any = None
    data, text = b"\xc0", "null"
    for levels in range(1, 110):
        typed = Typed([typed], of)
        data = b"\x92\xc4" + bytes([len(notation)]) + notation.encode() + b"\x91" + data
        text = f'{{"type":{notation},"value":[{text}]}}'
        taken = [
            is_taken(cty.encode, typed, DYNAMIC),
            is_taken(cty.decode, data, DYNAMIC),
            is_taken(cty.decode_json, text, DYNAMIC),
        ]
        assert taken == [levels <= 50] * 3, levels


def test_no_recursion_error_leaves_the_package() -> None:
    value, of = deep(100)
    calls: list[Callable[[], object]] = [
        lambda: cty.encode(value, of),
        lambda: cty.decode(cty.encode(value, of), of),
        lambda: cty.encode(value, DYNAMIC),
        lambda: cty.convert(value, of),
        lambda: cty.convert(value, List(DYNAMIC)),
        lambda: cty.encode_json(value, of),
        lambda: cty.equals(value, value, of),
        lambda: cty.implied_type(value),
    ]

    def down(left: int, call: Callable[[], object]) -> None:
        if left:
            down(left - 1, call)
        else:
            with contextlib.suppress(cty.CtyError):
                call()

    used = len(inspect.stack())
    for call in calls:
        for room in range(60, 600, 20):
            down(sys.getrecursionlimit() - used - room, call)


def check_sent_again(value: Any, of: cty.Type) -> None:
    # A whole float64 that is large is sent as text of fewer digits, which is another number: so does go-cty.
    data = cty.encode(value, of)
    assert cty.encode(cty.decode(data, of), of) == data


def test_random_bytes_give_values_or_errors() -> None:
    generator = random.Random(5)
    for _ in range(3000):
        of = generator.choice(TYPES)
        data = generator.randbytes(generator.randint(0, 40))
        try:
            value = cty.decode(data, of)
        except cty.CtyError:
            continue
        check_sent_again(value, of)


SAMPLES: list[tuple[Any, cty.Type]] = [
    ({"a": "x", "b": [{"c": 1, "d": ["y", None]}, {"c": 0.5, "d": ["z", None]}]}, TYPES[9]),
    ([UNKNOWN, Unknown(not_null=True, prefix="ab-")], Set(STRING)),
    ([Unknown(lower=1, upper=2, upper_inclusive=False), 2**70], List(NUMBER)),
]


@pytest.mark.parametrize(("value", "of"), SAMPLES)
def test_changed_and_cut_bytes_give_values_or_errors(value: Any, of: cty.Type) -> None:
    whole = cty.encode(value, of)
    generator = random.Random(6)
    for position in range(len(whole)):
        with pytest.raises(cty.CtyError):
            cty.decode(whole[:position], of)
        for _ in range(20):
            changed = bytearray(whole)
            changed[position] = generator.randrange(256)
            try:
                found = cty.decode(bytes(changed), of)
            except cty.CtyError:
                continue
            check_sent_again(found, of)
