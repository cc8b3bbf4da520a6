"""The reader of HCL and its JSON, held to the two parsers of HashiCorp's that the cores use."""

from __future__ import annotations

import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrule.errors import ConfigError
from ferrule.terraform.finding.hcl import Body, Value, read_hcl, read_hcl_file

CASES: list[dict[str, Any]] = [
    json.loads(line)
    for line in gzip.decompress((Path(__file__).parent / "oracle" / "hcl.jsonl.gz").read_bytes()).decode().splitlines()
]


def plain(value: Value) -> Any:
    """A value in the form of the oracle, which has None for all that is no text, list or body."""
    if isinstance(value.content, Body):
        return {"body": [[item.name, *item.labels, plain(item.value)] for item in value.content.items]}
    if isinstance(value.content, list):
        return [plain(each) for each in value.content]
    return value.content if isinstance(value.content, str) else None


def read(source: str) -> Any:
    return [[item.name, *item.labels, plain(item.value)] for item in read_hcl(source, "file").items]


def is_lax(source: str) -> bool:
    """Whether HCL 1 reads a source by one of the faults that nobody means, and that are refused here."""
    try:
        read(source)
    except ConfigError as error:
        # Labels in several lines, nothing behind an equals sign, and anything behind an object at the beginning.
        return any(text in str(error) for text in ("end of the line follows", "expected a value", "is no JSON"))
    # The indentation of the last line counts in HCL 1, and that of all lines in HCL 2. HCL 1 does not know %{}.
    return "<<-" in source or "%{" in source


@pytest.mark.parametrize("dialect", ["hcl1", "hcl2"])
def test_what_hashicorp_reads_is_read_alike(dialect: str) -> None:
    """HCL 1 is the language of the CLI configuration, HCL 2 of the lock file."""
    compared = 0
    for case in CASES:
        source, expected = case["source"], case[dialect]
        if isinstance(expected, str) or (dialect == "hcl1" and is_lax(source)):
            continue
        # Interpolations stay text here. HCL 2 computes them.
        if dialect == "hcl2" and ("${" in source or "%{" in source):
            continue
        compared += 1
        assert read(source) == expected, source
    assert compared > 250


def test_bodies_attributes_and_labels() -> None:
    source = """
        # A comment.
        name = "value"  // another
        block "label" other {
          list = ["a", "b",] /* and
          another */
        }
    """
    (name, block) = read_hcl(source, "file").items
    assert (name.name, name.value.text("name"), str(name.position)) == ("name", "value", "file:3:9")
    assert (block.name, block.labels, str(block.position)) == ("block", ("label", "other"), "file:4:9")
    assert isinstance(block.value.content, Body)
    (item,) = block.value.content.items
    assert (item.value.texts("list"), str(item.value.position)) == (["a", "b"], "file:5:18")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("a = 1\nb", "file:2:2: the end of the file follows 'b', expected = or {"),
        ("\n  }", "file:2:3: '}' stands there, expected the name of a block or attribute"),
        ('x {\n  a = "b\n}', 'file:2:7: the text has no end on its line, expected "'),
        ('x "l" {\n\n', "file:1:7: the block has no end, expected }"),
        ("a = [\n'", "file:1:5: the list has no end, expected ]"),
        ("a = (1,\n\n2", "file:1:5: '(' has no end"),
        ("a = (1]\n", "file:1:7: ']' closes nothing"),
        ("a = )\n", "file:1:5: ')' closes nothing"),
        ("a =\n", "file:1:4: the end of the line stands there, expected a value"),
        ("ä\t= /* no end", "file:1:5: the comment has no end, expected */"),
        ("a = <<END\nx\n", "file:1:5: the text has no end, expected a line with END"),
        (r'a = "x\q"', r"file:1:7: '\\q' is no escape of a text"),
        (r'a = "\ud800"', r"file:1:6: \ud800 is no character"),
        (r'a = "\U00110000"', r"file:1:6: \U00110000 is no character"),
        ('a = "${b"', "file:1:5: the text has ${ without }"),
        ('{"a": }', "file:1:7: the file is no JSON: Expecting value"),
        ('\n {"a" 1}', "file:2:7: the file is no JSON: Expecting ':' delimiter"),
    ],
)
def test_errors_have_line_and_column(source: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_hcl(source, "file")
    assert caught.value.message == why
    assert caught.value.code == "terraform.unreadable-file"


def test_what_would_have_to_be_computed_is_passed_over() -> None:
    source = 'a = f(g["x"], {\n b = c }) + 1\nb = "c"\nd = 5\n'
    assert read(source) == [["a", None], ["b", "c"], ["d", None]]
    assert read('a = "b" + "c"\nd = ["e"][0]\nf = "g"\n') == [["a", None], ["d", None], ["f", "g"]]
    (a, b, d) = read_hcl(source, "file").items
    with pytest.raises(ConfigError, match=r"^\[ConfigError\] file:1:5: this is no text, expected it in quotes"):
        a.value.text("this")
    with pytest.raises(ConfigError, match="file:3:5: this is no list, expected it in brackets"):
        b.value.texts("this")
    with pytest.raises(ConfigError, match="file:4:5: this is no text"):
        d.value.text("this")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a = <<END\n  x\n y\nEND\n", "  x\n y\n"),
        ("a = <<END\n  x\n  END\n", "  x\n"),
        ("a = <<-END\n    x\n  y\n   z\n  END\n", "  x\ny\n z\n"),
        ("a = <<-END\n  x\n\n  y\nEND\n", "x\n\ny\n"),
        ("a = <<-END\nEND\n", ""),
    ],
)
def test_texts_of_many_lines(source: str, text: str) -> None:
    """With `<<-` all lines are without the smallest indentation (HCL's specification, "Template Expressions")."""
    assert read(source) == [["a", text]]


def test_a_colon_is_as_good_as_an_equals_sign() -> None:
    """In objects: HCL's specification, "Collection Values"."""
    (item,) = read_hcl('a = { b: "c", d = "e" }', "file").items
    assert isinstance(item.value.content, Body)
    assert [(each.name, each.value.text("d")) for each in item.value.content.items] == [("b", "c"), ("d", "e")]


def test_what_begins_no_text_of_many_lines_is_passed_over() -> None:
    assert read("a = 1 << 2\nb = 'c'\nd = \"e\"\n")[-1] == ["d", "e"]


def test_json_gives_equal_items() -> None:
    hcl = 'a = "b"\nc {\n d = ["e"]\n}\nc {\n}\nf = 1\ng = null\nh = []\n'
    source = '{"a": "b", "c": [{"d": ["e"]}, {}], "f": 1, "g": null, "h": []}'
    assert read(source) == read(hcl)
    assert read('{"a": "b", "a": "c"}') == [["a", "b"], ["a", "c"]]
    assert str(read_hcl(source, "file").items[0].position) == "file"


@pytest.mark.parametrize(("opening", "closing"), [("a {", "}"), ("a = {", "}"), ('{"a":', "}"), ('{"a":[', "]}")])
@pytest.mark.parametrize("depth", [60, 5_000])
def test_deep_nesting_is_refused(opening: str, closing: str, depth: int) -> None:
    with pytest.raises(ConfigError, match="levels are nested"):
        read_hcl(opening * depth + "1" + closing * depth, "file")


def test_deep_lists_are_refused() -> None:
    with pytest.raises(ConfigError, match="levels are nested"):
        read_hcl("a = " + "[" * 5_000, "file")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b'\xef\xbb\xbfa = "b"\r\nc = "d"\r\n')
    assert [item.name for item in read_hcl_file(str(path)).items] == ["a", "c"]
    path.write_bytes(b'a = "b"\nc = "\xff"\n')
    with pytest.raises(ConfigError, match=r"file:2:6: the file is no UTF-8"):
        read_hcl_file(str(path))
    path.write_bytes(b'\n"\xff"\n')
    with pytest.raises(ConfigError, match=r"file:2:2: the file is no UTF-8"):
        read_hcl_file(str(path))
    path.write_bytes(b"#" * 2_000_000)
    with pytest.raises(ConfigError, match="the file has more than 1048576 bytes"):
        read_hcl_file(str(path))


PIECES = st.sampled_from(
    [*'ab"={}[]()\n\t ,#/*<-E\\$%1.:;\r\0é\ud800', "<<E\n", "<<-E\n", "\nE\n", "${", "//", "/*", "*/", '"a"', "= "]
)


@given(st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join))
def test_any_text_is_read_or_refused(source: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(read_hcl(source, "file"), Body)
