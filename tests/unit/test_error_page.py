"""docs/errors.md has a section for each code that an error can have, and none besides."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator

import pytest

import ferrule
from ferrule import _core, errors
from ferrule.cli import explain, main
from ferrule.errors import PHASES, RPCPluginError
from peers import ROOT

SECTIONS = explain.sections()
KIND = re.compile(r'^    /// (.+)\.\n    \w+ = "([^"]+)", \w+, "([^"]+)";$', re.MULTILINE)
KINDS = KIND.findall((ROOT / "rust" / "core" / "src" / "error.rs").read_text())
CLASS_BY_CODE = {code: errors.CLASS_BY_NAME[name].__name__ for code, name in _core.error_kinds()}


def test_page_of_the_package_is_that_of_the_documentation() -> None:
    assert explain.PAGE.read_text() == (ROOT / "docs" / "errors.md").read_text()


@pytest.mark.parametrize(("meaning", "code", "hint"), KINDS, ids=[code for _, code, _ in KINDS])
def test_section_says_what_the_core_says(meaning: str, code: str, hint: str) -> None:
    text = " ".join(SECTIONS[code].split())
    assert text.lower().startswith(f"`{CLASS_BY_CODE[code]}`: {meaning}. **try:** {hint}".lower())


def literals(node: ast.AST) -> Iterator[str]:
    """Texts of the form of a code in a part of a program."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            phase, dot, _ = part.value.partition(".")
            if dot and phase in PHASES and re.fullmatch(r"[a-z]+\.[a-z0-9-]+", part.value):
                yield part.value


def all_classes() -> dict[str, type[RPCPluginError]]:
    """The classes of errors in the package, by name."""
    for found in pkgutil.walk_packages(ferrule.__path__, "ferrule."):
        # Of what needs Ray only the errors, which do not; __main__ would run.
        if found.name.rpartition(".")[2] != "__main__" and (".ray." not in found.name or found.name.endswith("errors")):
            importlib.import_module(found.name)
    pending, classes = [RPCPluginError], {}
    while pending:
        kind = pending.pop()
        if kind.__module__.startswith("ferrule."):
            classes[kind.__name__] = kind
        pending += kind.__subclasses__()
    return classes


CLASSES = all_classes()


def codes_in_python() -> set[str]:
    """The codes that are given to an error's constructor, or have a name of their own."""
    constructors = {"__init__", "cls", *CLASSES}
    found: set[str] = set()
    for path in (ROOT / "python" / "ferrule").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                values = [*node.args[2:3], *(each.value for each in node.keywords if each.arg == "code")]
                found.update(code for value in values if name in constructors for code in literals(value))
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any("code" in ast.unparse(target).lower() for target in targets):
                    found.update(literals(node.value))
    return found


def test_each_code_has_a_section_and_no_section_is_stale() -> None:
    known = {code for _, code, _ in KINDS} | codes_in_python()
    assert set(SECTIONS) == known


def calls_without_code() -> Iterator[str]:
    """The places that make an error without a code, of a class that has none of its own."""
    for path in sorted((ROOT / "python" / "ferrule").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                kind = CLASSES.get(getattr(node.func, "id", getattr(node.func, "attr", "")))
                given = len(node.args) > 2 or any(each.arg in {"code", None} for each in node.keywords)
                if kind is not None and not given and not has_code(kind):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"


def has_code(kind: type[RPCPluginError]) -> bool:
    """Whether a class gives its errors a code by itself."""
    required = [each for each in inspect.signature(kind).parameters.values() if each.default is each.empty]
    return kind(*["" for each in required if each.kind is not each.VAR_KEYWORD]).code is not None


def test_no_error_is_made_without_a_code() -> None:
    assert list(calls_without_code()) == []


def test_all_kinds_of_the_core_are_looked_at() -> None:
    assert {code for _, code, _ in KINDS} == set(CLASS_BY_CODE)


def test_error_names_the_command_for_its_code() -> None:
    assert {code.partition(".")[0] for code in SECTIONS} == PHASES
    assert str(RPCPluginError("what", code="pool.closed")).endswith(
        " what [Code: pool.closed] (More: ferrule explain pool.closed)"
    )
    assert RPCPluginError("what", code="mine.own").explained_by is None
    assert RPCPluginError("what").explained_by is None


@pytest.mark.parametrize("code", ["handshake.exited", "pool.unknown", "terraform.lock-mismatch"])
def test_explain(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", code]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{code}\n\n{SECTIONS[code]}\n"
    assert "](" not in captured.out


def test_explain_without_a_code_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    assert capsys.readouterr().out.splitlines() == list(SECTIONS)


def test_explain_in_upper_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "HANDSHAKE.EXITED"]) == 0
    assert capsys.readouterr().out.startswith("handshake.exited\n\n")


@pytest.mark.parametrize("phase", ["handshake", "Pool"])
def test_explain_of_a_phase_lists_its_codes(phase: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", phase]) == 0
    assert capsys.readouterr().out.splitlines() == [code for code in SECTIONS if code.startswith(f"{phase.lower()}.")]


def test_explain_of_an_unknown_code_names_near_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "handshake.exit"]) == 1
    assert "Did you mean handshake.exited" in capsys.readouterr().err
    assert main(["explain", "?"]) == 1
    assert "phase.rule" in capsys.readouterr().err
