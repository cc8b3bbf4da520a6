"""What a plan prints, and lists as changes."""

from __future__ import annotations

import itertools
import random
import time
from decimal import Decimal
from typing import Any

import pytest

from ferrule.terraform import cty
from ferrule.terraform.cty import UNKNOWN
from ferrule.terraform.cty import Attribute as Step
from ferrule.terraform.diff import Kind, sequences
from ferrule.terraform.plan import Action
from terraform.plans import planned, rule


def printed(before: Any, after: Any, **more: Any) -> list[str]:
    heading, *lines = str(planned(before, after, **more)).split("\n")
    assert heading == "~ server will be changed"
    return lines


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        pytest.param({"id": "a"}, {"id": "b"}, ["  ~ id = 'a' -> 'b'"], id="changed"),
        pytest.param({}, {"id": "b"}, ["  + id = 'b'"], id="added"),
        pytest.param({"id": "a"}, {}, ["  - id = 'a'"], id="removed"),
        pytest.param({"id": "a"}, {"id": UNKNOWN}, ["  ~ id = 'a' -> (known after apply)"], id="unknown"),
        pytest.param(
            {"id": "a", "names": ["x"]},
            {"id": "b", "names": ["x"]},
            ["  ~ id = 'a' -> 'b'", "    # 1 unchanged attribute hidden"],
            id="unchanged ones are counted, null ones are not",
        ),
        pytest.param({"password": "old"}, {"password": "new"}, ["  ~ password = (sensitive value)"], id="sensitive"),
        pytest.param(
            {"value": 0.1},
            {"value": Decimal("0.1"), "id": "b"},
            ["  + id = 'b'", "    # 1 unchanged attribute hidden"],
            id="equal numbers",
        ),
        pytest.param({"value": 1}, {"value": True}, ["  ~ value = 1 -> True"], id="a number is no bool"),
        pytest.param(
            {"value": [1]}, {"value": {"a": Decimal("2.50")}}, ["  ~ value = [1] -> {'a': 2.5}"], id="another type"
        ),
        pytest.param(
            {"names": [*"abcdef"]},
            {"names": [*"abXdf"]},
            [
                "  ~ names = [",
                "        # 2 unchanged elements hidden",
                "      - 'c'",
                "      + 'X'",
                "        # 1 unchanged element hidden",
                "      - 'e'",
                "        # 1 unchanged element hidden",
                "    ]",
            ],
            id="list by its longest common subsequence",
        ),
        pytest.param(
            {"names": []},
            {"names": ["a"]},
            ["  ~ names = [", "      + 'a'", "    ]"],
            id="list that was empty",
        ),
        pytest.param({}, {"names": []}, ["  + names = []"], id="empty list that was null"),
        pytest.param(
            {"ports": [1, 2, 3]},
            {"ports": [3, 1, 4]},
            ["  ~ ports = [", "      - 2", "      + 4", "        # 2 unchanged elements hidden", "    ]"],
            id="set by membership",
        ),
        pytest.param(
            {"labels": {"a": "1", "b": "2", "c d": "3"}},
            {"labels": {"a": "1", "b": "x", "e": None}},
            [
                "  ~ labels = {",
                "      ~ 'b': '2' -> 'x'",
                "      - 'c d': '3'",
                "      + 'e': None",
                "        # 1 unchanged element hidden",
                "    }",
            ],
            id="map by key",
        ),
        pytest.param(
            {"disks": [{"key": "k1", "size": 1}, {"key": "k2", "size": 2}]},
            {"disks": [{"key": "k3", "size": 1}, {"key": "k2", "size": UNKNOWN}]},
            [
                "  ~ disks = [",
                "      ~ {",
                "          ~ key = (sensitive value)",
                "            # 1 unchanged attribute hidden",
                "        }",
                "      ~ {",
                "          ~ size = 2 -> (known after apply)",
                "            # 1 unchanged attribute hidden",
                "        }",
                "    ]",
            ],
            id="nested attribute",
        ),
        pytest.param(
            {"text": '{"b": [1, 2], "a": 1.0}'},
            {"text": '{"a": 1, "b": [2], "c": "x"}'},
            [
                "  ~ text = json.dumps({",
                "      ~ 'b': [",
                "          - 1",
                "            # 1 unchanged element hidden",
                "        ]",
                "      + 'c': 'x'",
                "        # 1 unchanged element hidden",
                "    })",
            ],
            id="JSON as JSON",
        ),
        pytest.param(
            {"text": '{"a":1}'},
            {"text": '{ "a": 1 }'},
            ["  ~ text = (JSON of another form)"],
            id="JSON in another form",
        ),
        pytest.param(
            {"text": '{"a":1e999999}'},
            {"text": "{}"},
            ["  ~ text = '{\"a\":1e999999}' -> '{}'"],
            id="JSON beyond all numbers",
        ),
        pytest.param(
            {"text": "a\nb\nc\nd"},
            {"text": "a\nb\nX\nd"},
            [
                "  ~ text = (",
                "        # 2 unchanged lines hidden",
                "      - 'c'",
                "      + 'X'",
                "        # 1 unchanged line hidden",
                "    )",
            ],
            id="text by lines",
        ),
        pytest.param(
            {"text": "a\nb\n"},
            {"text": "a\nc\n"},
            [
                "  ~ text = (",
                "        # 1 unchanged line hidden",
                "      - 'b'",
                "      + 'c'",
                "    )",
            ],
            id="text whose last line ends",
        ),
        pytest.param(
            {"text": "a\nb"},
            {"text": "a\nb\n"},
            ["  ~ text = (", "        # 2 unchanged lines hidden", "      + ''", "    )"],
            id="text whose end becomes that of a line",
        ),
        pytest.param(
            {"text": "a\nbXX"},
            {"text": "a\ncXX"},
            ["  ~ text = (", "        # 1 unchanged line hidden", "      - 'bXX'", "      + 'cXX'", "    )"],
            id="text whose last line does not end",
        ),
        pytest.param(
            {"names": [None]},
            {"names": ["a\nb"]},
            ["  ~ names = [", "      - None", "      + (", "          + 'a'", "          + 'b'", "        )", "    ]"],
            id="null does not become text of several lines",
        ),
        pytest.param(
            {"text": '{"a": "x\\ny"}'},
            {"text": '{"a": "x\\nz"}'},
            ["  ~ text = json.dumps({", "      ~ 'a': 'x\\ny' -> 'x\\nz'", "    })"],
            id="text in JSON is not taken apart once more",
        ),
        pytest.param(
            {"id": "\x1b[1m"},
            {"id": "\udc80"},
            [r"  ~ id = '\x1b[1m' -> '\udc80'"],
            id="escape sequences do not reach a terminal",
        ),
        pytest.param(
            {"list": [rule(1), rule(2), rule(3, "x")], "id": "i"},
            {"list": [rule(0), rule(1), rule(2), rule(3, "y")], "id": "i"},
            [
                "    # 1 unchanged attribute hidden",
                "  + list {",
                "      + port = 0",
                "    }",
                "  ~ list {",
                "      ~ note = 'x' -> 'y'",
                "        # 1 unchanged attribute hidden",
                "    }",
                "    # 2 unchanged blocks hidden",
            ],
            id="blocks in a list",
        ),
        pytest.param(
            {"set": [rule(1), rule(2)], "map": {"a": rule(1)}, "group": rule(1), "single": rule(1)},
            {"set": [rule(2), rule(3)], "map": {"b": rule(1)}, "group": rule(2)},
            [
                "  ~ group {",
                "      ~ port = 1 -> 2",
                "    }",
                "  - map 'a' {",
                "      - port = 1",
                "    }",
                "  + map 'b' {",
                "      + port = 1",
                "    }",
                "  - set {",
                "      - port = 1",
                "    }",
                "  + set {",
                "      + port = 3",
                "    }",
                "  - single {",
                "      - port = 1",
                "    }",
                "    # 1 unchanged block hidden",
            ],
            id="other blocks",
        ),
        pytest.param(
            {"list": [rule(1)]},
            {"list": UNKNOWN},
            ["  ~ list [{'note': None, 'port': 1}] -> (known after apply)"],
            id="unknown blocks",
        ),
        pytest.param({}, {"single": rule(None)}, ["  + single {}"], id="empty block"),
        pytest.param({"list": [rule(None)]}, {}, ["  - list {}"], id="empty block in a list"),
    ],
)
def test_lines(before: Any, after: Any, lines: list[str]) -> None:
    assert printed(before, after) == lines


def test_names_stand_in_columns() -> None:
    assert printed({"id": "a", "password": "x"}, {"id": "b", "password": "y"}) == [
        "  ~ id       = 'a' -> 'b'",
        "  ~ password = (sensitive value)",
    ]


@pytest.mark.parametrize(
    ("action", "before", "after", "reason", "heading", "mark"),
    [
        (Action.CREATE, None, {"id": UNKNOWN}, "", "+ server will be created", "+ id = (known after apply)"),
        (Action.DELETE, {"id": "a"}, None, "", "- server will be destroyed", "- id = 'a'"),
        (
            Action.REPLACE,
            {"id": "a"},
            {"id": "b"},
            "tainted",
            "-/+ server will be replaced (tainted)",
            "~ id = 'a' -> 'b'",
        ),
        (Action.NO_OP, {"id": "a"}, {"id": "a"}, "", "  server does not change", "  # 1 unchanged attribute hidden"),
        (Action.READ, None, {"id": "a"}, "", "<= server will be read", "+ id = 'a'"),
    ],
)
def test_headings(action: Action, before: Any, after: Any, reason: str, heading: str, mark: str) -> None:
    plan = planned(before, after, action, reason=reason)
    assert str(plan).split("\n") == [heading, f"  {mark}"]
    assert [(line.depth, line.kind.value) for line in plan.lines()] == [
        (0, heading.split(" ", maxsplit=1)[0].strip() or " "),
        (1, mark[0]),
    ]


def test_what_forces_a_replacement() -> None:
    before = {"id": "a", "list": [rule(1), rule(2)], "ports": [1], "names": ["a"]}
    after = {"id": UNKNOWN, "list": [rule(1), rule(3)], "ports": [2], "names": ["a"]}
    paths = ((Step("id"),), (Step("list"), 1, Step("port")), (Step("ports"), 0))
    plan = planned(before, after, Action.REPLACE, requires_replace=paths)
    marked = [line.text for line in plan.lines() if line.comment == "# forces replacement"]
    assert marked == ["id    = 'a' -> (known after apply)", "ports = [", "port = 2 -> 3"]
    assert "  ~ ports = [  # forces replacement" in str(plan)
    assert [change.path for change in plan.changes if change.forces_replacement] == [paths[0], paths[1]]
    # What is at no place of the diff is told by the heading.
    elsewhere = planned({"id": "a"}, {"id": "a"}, Action.REPLACE, requires_replace=((Step("text"),),))
    assert str(elsewhere).startswith("-/+ server will be replaced  # forces replacement")


def test_write_only_attributes_are_named_where_something_changes() -> None:
    given = ((Step("secret"),),)
    assert printed({"id": "a"}, {"id": "b"}, write_only=given) == [
        "  ~ id     = 'a' -> 'b'",
        "    secret = (write-only)",
    ]
    assert printed({"id": "a"}, {"id": "a"}, write_only=given) == ["    # 1 unchanged attribute hidden"]
    created = planned(None, {"id": "a"}, Action.CREATE, write_only=given)
    assert str(created).split("\n")[1:] == ["  + id     = 'a'", "  + secret = (write-only)"]
    # What is in a set has the path of the set.
    in_set = {"set": [rule(1)], "id": "b"}
    assert printed({"set": [rule(1)]}, in_set, write_only=((Step("set"),),)) == [
        "  + id = 'b'",
        "    # 1 unchanged block hidden",
    ]
    replaced = planned({}, {}, Action.REPLACE, write_only=given, requires_replace=given)
    assert str(replaced).split("\n")[1:] == ["  ~ secret = (write-only)  # forces replacement"]


def test_changes() -> None:
    before = {"id": "a", "names": ["a", "b"], "ports": [1], "list": [rule(1, "x")], "labels": {"a": "1"}}
    after = {"names": ["a"], "ports": [2], "list": [rule(UNKNOWN, "x"), rule(2)], "labels": {"a": "2"}}
    changes = planned(before, after).changes
    assert [(cty.format_path(each.path), each.kind, each.before, each.after) for each in changes] == [
        ("id", Kind.REMOVE, "a", None),
        ('labels["a"]', Kind.CHANGE, "1", "2"),
        ("names[1]", Kind.REMOVE, "b", None),
        ("ports", Kind.REMOVE, 1, None),
        ("ports", Kind.ADD, None, 2),
        ("list[0].port", Kind.CHANGE, 1, UNKNOWN),
        ("list[1]", Kind.ADD, None, rule(2)),
    ]
    assert repr(changes[1]) == "Change('labels[\"a\"]', CHANGE, before='1', after='2')"


def longest(a: Any, b: Any) -> int:
    """The length of a longest common subsequence, by the plain table."""
    row = [0] * (len(b) + 1)
    for each in a:
        previous = row
        row = [0]
        for j, other in enumerate(b):
            row.append(previous[j] + 1 if each == other else max(previous[j + 1], row[j]))
    return row[-1]


@pytest.mark.parametrize("most_edits", [sequences.MAX_EDITS, 2, 0])
def test_common_subsequence_is_the_longest(most_edits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "MAX_EDITS", most_edits)
    chance = random.Random(most_edits)
    for _ in range(300):
        a, b = (chance.choices("abcd", k=chance.randrange(12)) for _ in range(2))
        pairs = sequences.common_pairs(a, b)
        assert len(pairs) == longest(a, b), (a, b)
        assert all(a[i] == b[j] for i, j in pairs)
        assert all(i < k and j < m for (i, j), (k, m) in itertools.pairwise(pairs))


def test_few_changes_among_many_equal_lines_are_found() -> None:
    """The pairs of equal lines are a million, and the longest subsequence is known by Myers' algorithm alone."""
    before, after = (["a", *["same"] * 500, "b", *["same"] * 500, "c"] for _ in range(2))
    after[0], after[501:502], after[-1] = "A", [], "C"
    assert sequences.MAX_PAIRS < 1000 * 1000
    pairs = sequences.common_pairs(before, after)
    assert len(pairs) == 1000
    assert all(before[i] == after[j] for i, j in pairs)
    assert all(i < k and j < m for (i, j), (k, m) in itertools.pairwise(pairs))


@pytest.mark.parametrize(
    "change", [lambda i, text: text + "x" * (i % 2), lambda i, text: str(i % 7)], ids=["half", "few different ones"]
)
def test_long_lists_take_no_square_of_time(change: Any) -> None:
    before = list(map(str, range(10_000)))
    plan = planned({"names": before}, {"names": [change(i, text) for i, text in enumerate(before)]})
    begin = time.process_time()
    plan.changes  # noqa: B018
    # A comparison of each with each takes a minute; this one is below half a second where nothing else runs.
    assert time.process_time() - begin < 10


def test_plan_of_nothing() -> None:
    assert str(planned(None, None, Action.NO_OP)) == "  server does not change"
