"""Every example in a docstring, in the README and in the documentation does what it says."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

import ferrule
from ferrule.testing.kv import KV
from ferrule.testing.kv_pb2_grpc import add_KVServicer_to_server
from peers import ROOT, provider
from waiting import LIMIT

# Generated code has no examples, and running __main__ would be using it. Modules over Ray need it: tests/cluster.
WITHOUT_EXAMPLES = re.compile(r"_pb2(_grpc)?$|__main__$|^ferrule\.ray\.(engine|pool)$")
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


def test_each_page_has_a_place_on_the_site() -> None:
    navigation = (ROOT / "site" / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    named = set(re.findall(r"(?:: |- )(\S+\.md)$", navigation, re.MULTILINE))
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert pages - named == set(), "pages that site/mkdocs.yml does not name under nav"


def as_program(block: str) -> str:
    return f"async def main():\n{textwrap.indent(block, '    ')}    return locals()\n"


def imports(block: str) -> bool:
    return re.search(r"^(from|import) ", block, re.MULTILINE) is not None


@pytest.mark.parametrize("block", blocks())
def test_blocks_are_python(block: str) -> None:
    ast.parse(as_program(block))


TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
FIRST_PAGE = (ROOT / "docs" / "index.md").read_text()
COMPLETE = [
    block
    for block in blocks()
    if imports(block.values[0])
    and "plugin.py" not in block.values[0]
    and "make_certificates" not in block.values[0]
    and "ca.pem" not in block.values[0]
    and "ferrule.ray" not in block.values[0]
    and block.values[0] not in TUTORIAL + FIRST_PAGE
]
"""Blocks that import what they use. Not the README's quick start, which needs a stub, the programs of the first page,
the broker's host, Ray's page, the tutorial, whose blocks are one program, and certificates: they have tests of their
own."""


@pytest.mark.go
@pytest.mark.parametrize("block", [block for block in COMPLETE if "localhost:50051" not in block.values[0]])
async def test_blocks_that_import_what_they_use_run(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a real provider under the name that the pages use."""
    (tmp_path / "terraform-provider-example").symlink_to(provider("simple")[0])
    monkeypatch.setenv("PATH", str(tmp_path))
    namespace: dict[str, Any] = {}
    exec(as_program(block), namespace)
    assert await namespace["main"]()


@pytest.fixture
def server() -> Iterator[str]:
    """Where a server of the KV service listens."""
    with ThreadPoolExecutor() as threads:
        server = grpc.server(threads)
        add_KVServicer_to_server(KV(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        assert server.stop(None).wait(LIMIT)


@pytest.mark.parametrize("block", [block for block in COMPLETE if "localhost:50051" in block.values[0]])
async def test_blocks_with_a_server_run(block: str, server: str) -> None:
    """On a real server in place of the address that the pages use."""
    namespace: dict[str, Any] = {}
    exec(as_program(block.replace("localhost:50051", server)), namespace)
    assert (await namespace["main"]())["response"]


TABS = FIRST_PAGE.partition("<!-- tabs -->")[2].partition("<!-- /tabs -->")[0]
COMMANDS, PRINTED_BY_COMMANDS = re.findall(r"^```console\n(.*?)^(\{.*?)^```$", TABS, re.MULTILINE | re.DOTALL)[0]


@pytest.mark.parametrize("program", re.findall(r"^```python\n(.*?)^```$", TABS, re.MULTILINE | re.DOTALL))
def test_programs_of_the_first_page(program: str) -> None:
    result = run([sys.executable, "-W", "error", "-c", program])
    assert (result.returncode, result.stdout, result.stderr) == (0, "green\n", "")


def test_commands_of_the_first_page(tmp_path: Path) -> None:
    names = {"ferrule": "-m ferrule", "python": ""}
    for name, arguments in names.items():
        (tmp_path / name).write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        (tmp_path / name).chmod(0o755)
    script = "set -e\n" + COMMANDS.replace("$ ", "")
    result = run(["/bin/sh", "-c", script], env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("plugin\n")
    assert result.stdout.endswith(PRINTED_BY_COMMANDS)


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT, **options)


async def test_programs_of_the_page_on_the_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin, host, *_ = [block.values[0] for block in blocks() if block.id and block.id.startswith("broker.md:")]
    (tmp_path / "plugin.py").write_text(plugin)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    exec(as_program(host), namespace)
    client = (await namespace["main"]())["client"]
    assert client.stop_report.rung == "shutdown"


async def test_programs_of_the_page_on_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = (ROOT / "docs" / "security.md").read_text().partition("\n## Certificates of your own\n")[2]
    authority, plugin, host, *_ = re.findall(r"^```python\n(.*?)^```$", programs, re.MULTILINE | re.DOTALL)
    (tmp_path / "plugin.py").write_text(plugin)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    exec(authority, namespace)
    namespace["make_certificates"](tmp_path)
    exec(as_program(host), namespace)
    client = (await namespace["main"]())["client"]
    assert client.stop_report.rung == "shutdown"
    assert [file.stat().st_mode & 0o777 for file in tmp_path.glob("*.key")] == [0o600, 0o600]


@pytest.mark.parametrize(
    ("example", "expected"),
    [("quickstart", "colour is green"), ("native_channel", "3 numbers over a blocking channel")],
)
def test_examples_run(example: str, expected: str) -> None:
    result = run([sys.executable, "-W", "error", str(ROOT / "examples" / f"{example}.py")])
    assert (result.returncode, result.stderr) == (0, "")
    assert expected in result.stdout


def test_the_example_for_providers_shows_how_it_is_run() -> None:
    result = run([sys.executable, "-W", "error", str(ROOT / "examples" / "terraform_provider.py")])
    assert (result.returncode, result.stdout) == (1, "")
    assert "Run: python examples/terraform_provider.py PROVIDER TYPE [CONFIG]" in result.stderr
    assert "Traceback" not in result.stderr


def test_no_text_of_the_package_names_a_page_that_a_wheel_has_not() -> None:
    """Hints and docstrings: errors.md alone comes with the package."""
    found = []
    for path in (ROOT / "python" / "ferrule").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                pages = set(re.findall(r"[\w./-]+\.md\b", node.value)) - {"errors.md", "docs/errors.md"}
                found += [f"{path.relative_to(ROOT)}:{node.lineno}: {page}" for page in pages]
    assert found == []
