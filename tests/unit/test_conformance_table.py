"""The page on conformance is complete, and what it and the other pages name exists."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from peers import ROOT

PAGE = ROOT / "docs" / "conformance.md"
COLUMNS = ["Feature", "Side", "Here", "Test", "Remark"]
UNSUPPORTED = "Not supported: "

# A path, perhaps a definition in it, perhaps the id of one of a test's parameters.
REFERENCE = re.compile(r"`([\w./-]+\.(?:py|rs|go))(?:::(\w+))?(?:\[([^`]+)\])?`")
RUST_DEFINITION = r"\b(?:fn|struct|enum|trait|const|static|type|mod)\s+{}\b"


def rows() -> list[list[str]]:
    """The cells of the first table, line by line."""
    lines = [line for line in PAGE.read_text().split("\n## ")[0].splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]
    assert table[0] == COLUMNS
    return table[2:]


def references(text: str) -> list[tuple[str, str, str]]:
    return [(path, name or "", parameter or "") for path, name, parameter in REFERENCE.findall(text)]


@functools.cache
def defined_in_python(path: Path) -> frozenset[str]:
    """Functions, classes and whatever is assigned to, also to an attribute of self."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
    return frozenset(names)


def is_defined(path: Path, name: str) -> bool:
    if path.suffix == ".py":
        return name in defined_in_python(path)
    return re.search(RUST_DEFINITION.format(name), path.read_text()) is not None


@pytest.mark.parametrize(("path", "name", "parameter"), sorted(set(references(PAGE.read_text()))))
def test_what_the_page_names_exists(path: str, name: str, parameter: str) -> None:
    file = ROOT / path
    assert file.is_file()
    assert not name or is_defined(file, name)
    assert not parameter or f'"{parameter}"' in file.read_text()


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_row_says_where_and_by_which_test(row: list[str]) -> None:
    assert len(row) == len(COLUMNS)
    feature, side, here, test, remark = row
    assert feature
    assert side in {"host", "plugin", "both"}
    for cell in (here, test):
        assert references(cell) or cell == "not covered" or (cell == "none" and remark.startswith(UNSUPPORTED))
    assert all(name.startswith("test_") or path.endswith(".rs") for path, name, _ in references(test))


def test_features_are_named_once() -> None:
    features = [row[0] for row in rows()]
    assert len(set(features)) == len(features) > 50


def test_files_named_elsewhere_in_the_documentation_exist() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    pages.remove(ROOT / "CHANGELOG.md")  # Names what was there then.
    for page in pages:
        text = page.read_text()
        named = re.findall(r"`((?:rust|python|tests|examples|docs|benches|\.ci|\.github)/[\w./-]+)`", text)
        linked = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", text)
        missing = [name for name in named if not (ROOT / name).exists()]
        missing += [name for name in linked if not (page.parent / name).exists()]
        assert missing == [], page.name
