"""Every example in a docstring, in the README and in the documentation does what it says."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

import ferrule
from peers import ROOT, provider

# Generated code has no examples, and running __main__ would be using it.
WITHOUT_EXAMPLES = re.compile(r"_pb2(_grpc)?$|__main__$")
MODULES = [
    "ferrule",
    *(
        found.name
        for found in pkgutil.walk_packages(ferrule.__path__, "ferrule.")
        if not WITHOUT_EXAMPLES.search(found.name)
    ),
]


def test_all_modules_are_found() -> None:
    assert {"ferrule.client.plugin_client", "ferrule.config", "ferrule.testing"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name), raise_on_error=False)
    assert outcome.failed == 0


@pytest.mark.parametrize("name", ["client.connection", "client.plugin_client", "config", "logs", "testing"])
def test_modules_that_people_read_first_have_examples(name: str) -> None:
    tests = doctest.DocTestFinder().find(importlib.import_module(f"ferrule.{name}"))
    assert sum(len(test.examples) for test in tests) > 0


def blocks() -> list[Any]:
    """The blocks of Python in all Markdown pages for users, each with its place."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = []
    for page in pages:
        for match in re.finditer(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
            line = page.read_text().count("\n", 0, match.start(1)) + 1
            found.append(pytest.param(match[1], id=f"{page.name}:{line}"))
    return found


def as_program(block: str) -> str:
    return f"async def main():\n{textwrap.indent(block, '    ')}    return locals()\n"


def imports(block: str) -> bool:
    return re.search(r"^(from|import) ", block, re.MULTILINE) is not None


@pytest.mark.parametrize("block", blocks())
def test_blocks_are_python(block: str) -> None:
    ast.parse(as_program(block))


@pytest.mark.go
@pytest.mark.parametrize("block", [block for block in blocks() if imports(block.values[0])])
async def test_blocks_that_import_what_they_use_run(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a real provider under the name that the pages use; the quick start, which needs a stub, has its own test."""
    (tmp_path / "terraform-provider-example").symlink_to(provider("simple")[0])
    monkeypatch.setenv("PATH", str(tmp_path))
    namespace: dict[str, Any] = {}
    exec(as_program(block), namespace)
    assert await namespace["main"]()
