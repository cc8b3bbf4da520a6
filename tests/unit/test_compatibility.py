"""docs/compatibility.md promises what is there, all of it, and names a test for each version."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferrule import cli, pytest_plugin
from ferrule.cli import explain
from ferrule.cli.parser import command_line
from ferrule.pytest_plugin import async_fixtures
from peers import ROOT
from test_conformance_table import is_defined, references

PACKAGE = ROOT / "python" / "ferrule"
PAGE = (ROOT / "docs" / "compatibility.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

NOT_PROMISED = {
    "ferrule.config": {"check_command"},
    "ferrule.errors": {"CLASS_BY_NAME", "error_from_core", "panic_text", "refused_by_system"},
    "ferrule.pytest_plugin.fixtures": {"scope_of", "ferrule_client", "ferrule_pool", "ferrule_provider"},
}
"""Names for other modules of the package, among the public ones; and fixtures, which have a chapter of their own."""

LOADED_LATE = {"ferrule.sync": {"PluginPool", "Provider"}, "ferrule.testing.kv": {"KV"}}
"""Names that are public and not in `__all__`: those that need an extra, and those of a module without one."""


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def table(title: str) -> dict[str, list[str]]:
    """The cells of a section's table, by the first of them, without quotes."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")][2:]
    rows = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in rows}


def quoted(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


PROMISED = {module: quoted(cells[0]) for module, cells in table("Names in Python").items()}


@pytest.mark.parametrize("module", PROMISED)
def test_names_are_those_of_the_code(module: str) -> None:
    found = importlib.import_module(module)
    there = set(getattr(found, "__all__", ())) - NOT_PROMISED.get(module, set())
    assert PROMISED[module] == there | LOADED_LATE.get(module, set())
    # Ray is not among what the tests have.
    assert module == "ferrule.ray" or [name for name in PROMISED[module] if not hasattr(found, name)] == []


def imports(text: str) -> Iterator[tuple[str, str]]:
    """Modules of the package, each with a name that a text imports from it."""
    for module, names in re.findall(r"^\s*from (ferrule[\w.]*) import \(?([\w, ]+)", text, re.MULTILINE):
        yield from ((module, name.split(" as ")[0].strip()) for name in names.split(",") if name.strip())


def documents() -> list[Path]:
    return [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.py")]


def test_what_the_documentation_imports_is_promised() -> None:
    used = {pair for path in documents() for pair in imports(path.read_text())}
    missing = {
        (module, name)
        for module, name in used
        if "_pb2" not in module + name and name not in PROMISED.get(module, ()) and f"{module}.{name}" not in PROMISED
    }
    assert missing == set()


def test_what_the_reference_describes_is_promised() -> None:
    pages = (ROOT / "site" / "reference").glob("*.md")
    described = {name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)}
    every_name = set().union(*PROMISED.values())
    # Modules as a whole have their names elsewhere on the page, and in the packages above them.
    names = {name.rpartition(".")[2] for name in described if name not in PROMISED}
    assert {name for name in names - every_name if not name.islower()} == {"Resource"}


def test_verbs_are_those_of_the_command_line() -> None:
    parser = command_line(lambda: None)
    verbs = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    assert set(verbs.choices) <= quoted(section("The command line")) - {"ferrule"}
    named = section("The command line").partition("Its verbs: ")[2].partition(".")[0]
    assert quoted(named) == set(verbs.choices)


def test_entry_points() -> None:
    assert PROJECT["project"]["scripts"] == {"ferrule": "ferrule.cli:main"}
    assert PROJECT["project"]["entry-points"] == {"pytest11": {"ferrule": "ferrule.pytest_plugin"}}
    assert callable(cli.main)


class Options:
    """Takes what the plugin for pytest declares."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def getgroup(self, name: str) -> Options:
        return self

    def addoption(self, name: str, **settings: Any) -> None:
        self.names.add(name)

    def addini(self, name: str, *args: Any, **settings: Any) -> None:
        self.names.add(name)


def test_fixtures_and_options_of_pytest() -> None:
    options = Options()
    pytest_plugin.pytest_addoption(options)  # type: ignore[arg-type]
    fixtures = {name for module in (pytest_plugin, async_fixtures) for name in vars(module) if "ferrule_" in name}
    assert quoted(section("pytest")) - {"ferrule"} == options.names | fixtures


SYSTEM_VARIABLES = {"TERM", "PATH", "HOME"}
"""The system's own, which all programs read."""


def test_variables_of_the_environment() -> None:
    """Those of Terraform and of the protocol have pages of their own."""
    read: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if path.is_relative_to(PACKAGE / "terraform" / "finding") or path.name == "negotiation.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("environ.get"):
                read |= {str(word.value) for word in node.args[:1] if isinstance(word, ast.Constant)}
            elif isinstance(node, ast.Constant) and re.fullmatch(r"FERRULE_[A-Z_]+", str(node.value)):
                read.add(str(node.value))
    # What the plugin for tests checks, and what keeps the plugins of `ferrule bench` apart.
    assert read - SYSTEM_VARIABLES - {"FERRULE_KV_COOKIE", "FERRULE_BENCH"} == set(
        table("Variables of the environment")
    ) - {
        # By Python's `tempfile`, and the finding of providers.
        "TMPDIR"
    }


def test_codes_are_those_of_the_errors() -> None:
    promised = {f"{phase}.{rule}" for phase, cells in table("Codes of errors").items() for rule in quoted(cells[0])}
    assert promised == set(explain.sections())


VERSIONS = [*table("What Ferrule runs on").items(), *table("Whom Ferrule talks to").items()]


@pytest.mark.parametrize(("what", "cells"), VERSIONS, ids=[what for what, _ in VERSIONS])
def test_every_version_has_a_test_that_exists(what: str, cells: list[str]) -> None:
    named = references(cells[-1])
    assert named or "not tested" in " ".join(cells)
    for path, name, _ in named:
        assert path.startswith("tests/")
        assert (ROOT / path).is_file()
        assert not name or is_defined(ROOT / path, name)
    assert all(name.startswith("test_") for _, name, _ in named if name)


def test_range_of_python() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    tested = sorted(set(re.findall(r'python: "(3\.\d+)"', workflow)), key=lambda version: int(version[2:]))
    assert table("What Ferrule runs on")["CPython"][0].startswith(f"{tested[0]} to {tested[-1]},")
    assert PROJECT["project"]["requires-python"] == f">={tested[0]}"


def test_ranges_of_what_is_installed() -> None:
    rows = table("What Ferrule runs on")
    promised = [f"{name}>={rows[name][0].removesuffix(' and newer')}" for name in ("grpcio", "protobuf")]
    assert PROJECT["project"]["dependencies"] == promised
    ray = rows["Ray"][0].replace(" and newer, below ", ",<")
    assert PROJECT["project"]["optional-dependencies"]["ray"] == [f"ray>={ray}"]


def version_of(module: str, file: str) -> str:
    """The version of a module that Go programs of the tests are built with."""
    found = re.search(rf"^\s*{re.escape(module)} v(\S+)", (ROOT / "tests" / file).read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("row", "module", "file"),
    [
        ("go-plugin, newest", "github.com/hashicorp/go-plugin", "go_plugin/go.mod"),
        (
            "go-plugin, of OpenTofu and most providers",
            "github.com/hashicorp/go-plugin",
            "go_plugin/providers/time/go.mod",
        ),
        ("go-plugin, of old providers", "github.com/hashicorp/go-plugin", "acceptance/providers/old/go.mod"),
        ("go-plugin, oldest", "github.com/hashicorp/go-plugin", "go_plugin/providers/local/go.mod"),
        ("OpenTofu, as the host of a plugin in Python", "github.com/opentofu/opentofu", "acceptance/tofu/go.mod"),
        ("OpenTofu, its state files and lock files", "github.com/opentofu/opentofu", "acceptance/tofu/go.mod"),
        ("providers built with Terraform", "github.com/hashicorp/terraform", "acceptance/providers/old/go.mod"),
    ],
)
def test_versions_of_peers_are_those_of_the_tests(row: str, module: str, file: str) -> None:
    assert table("Whom Ferrule talks to")[row][0].removesuffix(" and newer") == version_of(module, file)
