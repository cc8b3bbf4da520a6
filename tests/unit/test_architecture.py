"""Imports run one way, as docs/architecture.md draws them: without a cycle, and never upwards.

In Python every import counts: those inside functions, and those for type checkers alone, which hide the same coupling.
"""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers import ROOT

PACKAGE = ROOT / "python" / "ferrule"
BINDINGS = ROOT / "rust" / "bindings" / "src"
PAGE = (ROOT / "docs" / "architecture.md").read_text()

# Of the core there is no source in Python: its stub names what it takes, and its own sources what it imports.
FILES = [*PACKAGE.rglob("*.py"), PACKAGE / "_core.pyi"]


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


FILE_BY_MODULE = {name_of(path): path for path in FILES}


def imported_by(path: Path) -> Iterator[str]:
    """The package's modules that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "ferrule")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in {path}"
            source = node.module or ""
            if source.split(".")[0] == "ferrule":
                for alias in node.names:
                    submodule = f"{source}.{alias.name}"
                    yield submodule if submodule in FILE_BY_MODULE else source


def imports_of_package() -> dict[str, set[str]]:
    """Each module with those that it imports."""
    imports = {module: set(imported_by(path)) for module, path in FILE_BY_MODULE.items()}
    for source in BINDINGS.rglob("*.rs"):
        imports["ferrule._core"] |= set(re.findall(r'"(ferrule(?:\.\w+)+)"', source.read_text()))
    # What a module takes from itself is no import of another.
    return {module: used - {module} for module, used in imports.items()}


IMPORTS = imports_of_package()


def top_of(module: str) -> str:
    """The module or package directly below `ferrule` that holds a module; `ferrule` for the package itself."""
    return module.split(".")[1] if "." in module else module


def floors() -> dict[str, int]:
    """The floor of each top module, from the table in the documentation."""
    rows = re.findall(r"^\| (\d) \|[^|]*\| ([^|]*) \|$", PAGE, re.MULTILINE)
    return {name: int(floor) for floor, names in rows for name in re.findall(r"`(\w+)`", names)}


def test_every_top_module_has_one_floor() -> None:
    named = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| \d \|[^|]*\| ([^|]*) \|$", PAGE, re.MULTILINE)))
    assert sorted(named) == sorted({top_of(module) for module in FILE_BY_MODULE})


def test_imports_have_no_cycle() -> None:
    try:
        graphlib.TopologicalSorter(IMPORTS).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"a cycle, each module imported by the next: {' -> '.join(error.args[1])}")


def test_nothing_is_imported_from_a_higher_floor() -> None:
    floor = floors()
    upwards = [
        f"{module} (floor {floor[top_of(module)]}) imports {used} (floor {floor[top_of(used)]})"
        for module, imported in IMPORTS.items()
        for used in imported
        if floor[top_of(used)] > floor[top_of(module)]
    ]
    assert upwards == []


@pytest.mark.parametrize("face", ["client", "sync", "server"])
def test_faces_stand_beside_each_other(face: str) -> None:
    others = {"client", "sync", "server"} - {face}
    own = {module: imported for module, imported in IMPORTS.items() if top_of(module) == face}
    assert own != {}
    assert [(module, used) for module, imported in own.items() for used in imported if top_of(used) in others] == []


def test_the_core_imports_the_errors_alone() -> None:
    sources = "".join(source.read_text() for source in BINDINGS.rglob("*.rs"))
    assert set(re.findall(r'"(ferrule(?:\.\w+)+)"', sources)) - {"ferrule._core"} == {"ferrule.errors"}


def drawn(heading: str) -> dict[str, int]:
    """The line of each module in a drawing, from above."""
    (drawing,) = re.findall(rf"^## {heading}$(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^ {4}(\w+(?:, \w+)*) {2,}", drawing, re.MULTILINE)
    return {name: number for number, names in enumerate(lines) for name in names.split(", ")}


@pytest.mark.parametrize(
    ("heading", "sources"),
    [("The modules of the core", ROOT / "rust" / "core" / "src"), ("The modules of the bindings", BINDINGS)],
)
def test_modules_in_rust_import_from_lower_lines_of_the_drawing(heading: str, sources: Path) -> None:
    line = drawn(heading)
    assert sorted(line) == sorted(
        set(re.findall(r"^(?:pub )?mod (\w+);", (sources / "lib.rs").read_text(), re.MULTILINE))
    )
    upwards = []
    for file in sources.rglob("*.rs"):
        module = file.relative_to(sources).parts[0].removesuffix(".rs")
        if module in line:
            source = re.sub(r"^#\[cfg\(test\)\]\nmod \w+ \{.*", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)
            named = re.findall(r"\bcrate::(\w+|\{[^}]*\})", source)
            imported = set(re.findall(r"\w+", " ".join(named))) & line.keys() - {module}
            upwards += [f"{module} imports {used}" for used in imported if line[used] <= line[module]]
    assert upwards == []


def test_every_property_test_is_among_those_of_many_cases() -> None:
    (command,) = re.findall(r"^fuzz-properties:.*?\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    filters = command.replace("\\\n", " ").split(" -- ")[1].split()
    sources = ROOT / "rust" / "core" / "src"
    modules = [
        str(file.relative_to(sources).with_suffix("")).replace("/", "::")
        for file in sources.rglob("*.rs")
        if "proptest!" in file.read_text()
    ]
    assert modules != []
    assert [module for module in modules if not any(name in module for name in filters)] == []
