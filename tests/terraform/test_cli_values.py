"""Configurations on the command line: files of JSON, and `name=value` read by the attribute's type."""

from __future__ import annotations

import io
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ferrule.terraform.cli.values import InputError, from_assignments, read_object
from ferrule.terraform.cty import BOOL, DYNAMIC, NUMBER, STRING, List, Map
from ferrule.terraform.schema.model import Attribute, Block, NestedBlock, Nesting

BLOCK = Block(
    attributes={
        name: Attribute(name, of)
        for name, of in {
            "text": STRING,
            "size": NUMBER,
            "open": BOOL,
            "any": DYNAMIC,
            "list": List(STRING),
            "tags": Map(STRING),
        }.items()
    }
    | {
        "pin": Attribute("pin", NUMBER, sensitive=True),
        "keys": Attribute("keys", List(STRING), write_only=True),
    },
    block_types={"rule": NestedBlock("rule", Block(), Nesting.LIST)},
)


def test_arguments_in_utf8_under_a_locale_without_it() -> None:
    """Python has them as surrogates then."""
    assert from_assignments([("text", "\udcc3\udcbc"), ("tags", '{"\udcc3\udcbc": "\u00fc"}')], BLOCK) == {
        "text": "\u00fc",
        "tags": {"\u00fc": "\u00fc"},
    }
    for wrong in ("\udcff", "\ud800"):
        with pytest.raises(InputError, match=r"text=\.\.\.: not UTF-8"):
            from_assignments([("text", wrong)], BLOCK)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("text", "007", "007"),
        ("text", "1.0", "1.0"),
        ("text", "true", "true"),
        ("text", "[1]", "[1]"),
        ("text", '"quoted"', "quoted"),
        ("text", '"null"', "null"),
        ("text", "null", None),
        ("text", "", ""),
        ("text", "a=b", "a=b"),
        ("size", "12345678901234567890123", 12345678901234567890123),
        ("size", "0.1", Decimal("0.1")),
        ("size", "many", "many"),
        ("size", "007", "007"),
        ("open", "true", True),
        ("open", "null", None),
        ("any", "words", "words"),
        ("any", "[1, 2]", [1, 2]),
        ("list", '["a"]', ["a"]),
        ("tags", '{"a": "1"}', {"a": "1"}),
        ("rule", "[{}]", [{}]),
    ],
)
def test_an_assignment_is_read_by_its_type(name: str, text: str, value: Any) -> None:
    assert from_assignments([(name, text)], BLOCK) == {name: value}


@pytest.mark.parametrize(
    ("assignments", "complaint"),
    [
        ([("open", "yes")], "open=yes: expected true or false: "),
        ([("list", "a,b")], "list=a,b: expected JSON: "),
        ([("rule", "x")], "rule=x: expected JSON: "),
        ([("tags", '{"a": 1, "a": 2}')], 'tags={"a": 1, "a": 2}: expected JSON: \'a\' is there twice in an object'),
        ([("size", "1"), ("size", "2")], "size=2: size is given twice"),
        ([("pin", "12"), ("pin", "34")], "pin=...: pin is given twice"),
        ([("keys", "[hidden]")], "keys=...: expected JSON: "),
        ([("sise", "1")], "sise=1: no attribute or block has that name"),
    ],
)
def test_a_wrong_assignment(assignments: list[tuple[str, str]], complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        from_assignments(assignments, BLOCK)
    assert caught.value.message.startswith(complaint)


def test_the_nearest_name_is_a_hint() -> None:
    with pytest.raises(InputError) as caught:
        from_assignments([("sise", "1")], BLOCK)
    assert caught.value.hint == "Did you mean size?"


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b'\xef\xbb\xbf{"size": 0.1, "big": 123456789012345678901}')
    assert read_object(str(tmp_path / "config.json")) == {"size": Decimal("0.1"), "big": 123456789012345678901}


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}')))
    assert read_object("-") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{\n  "a": 1,\n  b\n}', ":3:3: not JSON: "),
        (b"", ":1:1: not JSON: "),
        (b"[1]", ": expected an object, got an array"),
        (b"null", ": expected an object, got null"),
        (b"1.5", ": expected an object, got a number"),
        (b'{"a": {"b": 1, "b": 2}}', ": 'b' is there twice in an object"),
        (b'{"a": NaN}', ": NaN is no number of JSON"),
        (b'{"a": "\xff"}', ": not UTF-8: byte 7 is 0xff"),
        (b'{"a":' + b"[" * 100_000, ": too many levels"),
    ],
)
def test_a_wrong_file(content: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_object(str(path))
    assert caught.value.message.startswith(f"{path}{complaint}")


def test_the_wrong_line_is_shown(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{\n  "a" 1\n}')
    with pytest.raises(InputError) as caught:
        read_object(str(tmp_path / "config.json"))
    assert caught.value.hint == '  "a" 1\n      ^'


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: cannot be read: No such file or directory"):
        read_object(str(tmp_path / "none.json"))
