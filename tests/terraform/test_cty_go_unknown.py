"""Rows of questions to go-cty about values that are not known, and types that are not."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import pytest

from ferrule.terraform import cty
from ferrule.terraform.cty import BOOL, DYNAMIC, NUMBER, STRING, UNKNOWN, List, Map, Object, Set, Tuple, Typed, Unknown
from terraform.cty_peer import Ask, check_decoded

pytestmark = pytest.mark.go


@pytest.fixture(autouse=True)
def temporary_directory() -> None:
    """None: nothing here writes a file."""


# What is said of an unknown value, in its order: some of it twice, some of it of no use to the type.
SAID: list[tuple[cty.Type, list[tuple[int, Any]]]] = [
    *((NUMBER, [(key, [first, True]), (key, [second, True])]) for key in (3, 4) for first, second in ((1, 2), (2, 1))),
    *((NUMBER, [(3, [1, first]), (3, [1, second])]) for first, second in ((True, False), (False, True), (True, True))),
    *((NUMBER, [(1, False), (3, [5, below]), (4, [5, above])]) for below in (True, False) for above in (True, False)),
    (NUMBER, [(3, [5, True]), (4, [5, True])]),
    (NUMBER, [(1, False), (3, [0.5, True]), (4, ["0.5", True])]),
    (NUMBER, [(1, False), (3, [0.1, True]), (4, ["0.1", False])]),
    *((NUMBER, [(1, False), (3, ["0.1", True]), (4, [0.1, each])]) for each in (True, False)),
    (NUMBER, [(1, False), (3, ["0.1", False]), (4, [0.1, True])]),
    (NUMBER, [(4, [-math.inf, True])]),
    *((NUMBER, [(key, [1, True])]) for key in (5, 6)),
    *((of, [(5, 0)]) for of in (NUMBER, STRING, BOOL, Tuple([STRING]))),
    *((of, [(key, [1, True])]) for of in (STRING, Set(STRING)) for key in (3, 4)),
    *((of, [(key, value)]) for of in (NUMBER, STRING, BOOL) for key, value in ((2, "a-"), (3, [1, True]), (5, 1))),
    *((List(STRING), [(key, value)]) for key, value in ((2, "a-"), (3, [1, True]), (4, [1, True]))),
    (List(STRING), [(5, 2), (5, 1)]),
    (Map(STRING), [(6, 5), (6, 3), (6, 9)]),
    (Set(STRING), [(1, False), (5, 1), (6, 1)]),
    (Set(STRING), [(1, False), (5, 2), (6, 2)]),
    (List(STRING), [(5, 3), (6, 2)]),
    (STRING, [(2, "a"), (2, "ab")]),
    (STRING, [(2, "ab"), (2, "a")]),
    (STRING, [(2, "ab"), (2, "b")]),
    (STRING, [(1, False), (1, True)]),
    (STRING, [(2, "\udcff")]),
    (STRING, [(1, True), (2, "a")]),
]


@pytest.mark.parametrize(("of", "said"), SAID, ids=str)
def test_what_is_said_of_unknown_values(ask: Ask, of: cty.Type, said: list[tuple[int, Any]]) -> None:
    body = bytes([0x80 + len(said)]) + b"".join(
        msgpack.packb(key) + msgpack.packb(value, unicode_errors="surrogateescape") for key, value in said
    )
    data = msgpack.packb(msgpack.ExtType(12, body))
    check_decoded(ask, data, of)


OPEN = {"a": UNKNOWN}
WITHOUT_TYPE: list[tuple[Any, Any]] = [
    (OPEN, {"a": "x"}),
    (OPEN, {"a": None}),
    (OPEN, {"b": "x"}),
    (OPEN, {"a": "x", "b": "x"}),
    (OPEN, OPEN),
    (OPEN, "x"),
    (OPEN, None),
    (OPEN, Typed({"a": "x"}, Map(STRING))),
    ({"a": UNKNOWN, "b": 1}, {"a": "x", "b": 2}),
    ({"a": UNKNOWN, "b": 1}, {"a": "x", "b": "1"}),
    ({"a": UNKNOWN, "b": 1}, {"a": 1, "b": UNKNOWN}),
    ({"a": [UNKNOWN]}, {"a": ["x"]}),
    ([UNKNOWN, 1], [1]),
    ([UNKNOWN, 1], [2, 1]),
    ([UNKNOWN, 1], [1, UNKNOWN]),
    ([UNKNOWN, "x"], [2, 1]),
    ([UNKNOWN], Typed(["x"], List(STRING))),
    (Typed([UNKNOWN], List(STRING)), Typed(["x"], List(STRING))),
    (Typed([UNKNOWN], List(STRING)), Typed([1], List(NUMBER))),
    ({"a": Typed(None, DYNAMIC)}, {"a": "x"}),
    ({"a": None}, {"a": "x"}),
    ({"a": Typed(None, List(DYNAMIC)), "b": UNKNOWN}, {"a": Typed(None, List(DYNAMIC)), "b": 1}),
    ({"a": Typed(["x"], List(STRING))}, {"a": Typed([UNKNOWN], Set(DYNAMIC))}),
    ({"a": Typed(["x"], Set(STRING))}, {"a": Typed([UNKNOWN], List(DYNAMIC))}),
    ({"a": None, "b": 1}, {"a": None, "b": 1}),
]


@pytest.mark.parametrize(("a", "b"), WITHOUT_TYPE, ids=str)
def test_equality_where_something_has_no_type_yet(ask: Ask, a: Any, b: Any) -> None:
    data = [cty.encode(each, DYNAMIC) for each in (a, b)]
    a, b = (cty.decode(each, DYNAMIC) for each in data)
    for one, other in ((0, 1), (1, 0)):
        answer = ask("equal", type=DYNAMIC.json, data=data[one].hex(), other=data[other].hex())
        found = cty.equals(*((a, b) if one < other else (b, a)), DYNAMIC)
        assert answer["equal"] == (found if isinstance(found, bool) else None)
        assert answer["identical"] is cty.identical(a, b, DYNAMIC)


# What is null or unknown, and has a type that is open inside.
OPEN_INSIDE: list[tuple[cty.Type, Any]] = [
    (DYNAMIC, {"a": Typed(None, List(DYNAMIC))}),
    (DYNAMIC, {"a": Typed(UNKNOWN, List(DYNAMIC)), "b": Typed(Unknown(not_null=True), Map(DYNAMIC))}),
    (DYNAMIC, [Typed(None, Object({"a": DYNAMIC})), Typed(UNKNOWN, Tuple([DYNAMIC, STRING]))]),
    (DYNAMIC, Typed([None, UNKNOWN], List(Set(DYNAMIC)))),
    (DYNAMIC, Typed({"k": None}, Map(Object({"a": List(DYNAMIC)})))),
    (DYNAMIC, Typed(None, List(Object({"a": DYNAMIC})))),
    (Object({"a": DYNAMIC, "b": STRING}), {"a": Typed(UNKNOWN, Map(DYNAMIC)), "b": "x"}),
    (List(DYNAMIC), [Typed(None, List(DYNAMIC)), Typed(UNKNOWN, List(DYNAMIC))]),
    (Map(DYNAMIC), {"k": Typed(None, Object({"a": List(DYNAMIC)}))}),
    (Object({"a": List(DYNAMIC)}), {"a": None}),
    (Object({"a": Object({"b": DYNAMIC})}), {"a": UNKNOWN}),
]


@pytest.mark.parametrize(("of", "value"), OPEN_INSIDE, ids=str)
def test_a_type_that_is_open_inside_goes_through_unchanged(ask: Ask, of: cty.Type, value: Any) -> None:
    """A provider's answer that is sent back, as the prior state of the next request is."""
    data = cty.encode(value, of)
    assert ask("decode", type=of.json, data=data.hex())["data"] == data.hex()
    assert cty.encode(cty.decode(data, of), of) == data
    assert cty.encode(cty.convert(cty.decode(data, of), of, of), of) == data
