"""The verb `schema`: trees, searches, JSON and stubs, on real providers and on models of all that schemas can have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ferrule._console.terminal import Style
from ferrule.cli import main
from ferrule.terraform.cli.catalogue import find, search
from ferrule.terraform.cli.tree import match_lines
from ferrule.terraform.errors import UnknownTypeError
from peers import go_peer, provider
from terraform import recordings
from terraform.schema_model import MODEL
from waiting import LIMIT

pytestmark = pytest.mark.timeout(60)


@pytest.mark.go
@pytest.mark.parametrize("arguments", [["schema"], ["plan", "some_type"], ["schema", "--json"]])
def test_a_plugin_of_another_program(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The hint has no options of other verbs."""
    assert main([arguments[0], go_peer("kv"), *arguments[1:]]) == 1
    hint = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("hint: "))
    assert "it is no provider" in hint
    assert "--" not in hint


@pytest.mark.go
def test_a_plugin_of_another_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRULE_KV_COOKIE", "5f1d0a86-ferrule-kv")
    assert main(["schema", go_peer("kv")]) == 1
    assert "hint: A Terraform provider speaks version 5 or 6, so this is none." in capsys.readouterr().err
    assert main(["inspect", go_peer("kv")]) == 1
    assert "protocol_versions (--protocol-versions on the command line)" in capsys.readouterr().err
    assert main(["call", "--json", go_peer("kv")]) == 1
    captured = capsys.readouterr()
    assert "--protocol-versions" in json.loads(captured.out)["error"]["hint"]


@pytest.fixture
def plain() -> Style:
    with Path(os.devnull).open("w") as stream:
        return Style(stream)


def test_a_tree(plain: Style) -> None:
    assert list(match_lines(find(MODEL, "x_server")[0], plain)) == [
        "resource x_server (schema version 2)",
        "  name      string                   required",
        "      The name.",
        "",
        "      More of it.",
        "  open      bool                     optional, deprecated",
        "      deprecated: Use rules.",
        "  any       any                      optional",
        "  zones     set(string)              optional, computed",
        "  ports     list(object)             optional",
        "      from   number",
        "      label  string  optional",
        "  pair      tuple([string, number])  optional",
        "  tags      map(string)              optional",
        "  token     string                   optional, sensitive, write-only",
        "  rules     list(object)             optional",
        "      port  number  required",
        "  id        string                   computed",
        "  disk      list of blocks           1 to 2",
        "      size  number  required",
        "  timeouts  block",
        "      create  string  optional",
        "  label     map of blocks",
    ]


@pytest.mark.parametrize(
    ("place", "lines"),
    [
        ("x_server.disk.size", ["resource x_server.disk", "  size  number  required"]),
        ("x_server.ports.from", ["resource x_server.ports", "  from  number"]),
        ("x_server.rules", ["resource x_server", "  rules  list(object)  optional", "      port  number  required"]),
    ],
)
def test_a_place(place: str, lines: list[str], plain: Style) -> None:
    (match,) = find(MODEL, place)
    assert list(match_lines(match, plain)) == lines


@pytest.mark.parametrize(("place", "near"), [("x_servr", "x_server"), ("x_server.disk.sise", "disk.size")])
def test_a_place_that_is_not_there(place: str, near: str) -> None:
    with pytest.raises(UnknownTypeError) as caught:
        find(MODEL, place)
    assert caught.value.hint == f"Did you mean {near}?"


def test_a_search() -> None:
    found = [(match.entry.kind.name, match.entry.name, match.path) for match in search(MODEL, "USE")]
    assert found == [("resource", "x_server", "open")]
    assert [match.path for match in search(MODEL, "size", "x_server")] == ["disk.size"]


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal: Any = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert Style(terminal)("word", "bold", "red") == "\x1b[1;31mword\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Style(terminal)("word", "bold") == "word"


def schema(capsys: pytest.CaptureFixture[str], name: str, *arguments: str, status: int = 0) -> str:
    assert main(["schema", *provider(name), *arguments]) == status
    return capsys.readouterr().out


@pytest.mark.go
def test_the_overview_of_a_real_provider(capsys: pytest.CaptureFixture[str]) -> None:
    text = schema(capsys, "time")
    assert text.startswith("provider configuration (nothing to set)\n")
    assert "\nresources (4)\n  time_offset\n  time_rotating\n  time_sleep\n  time_static\n" in text
    assert "\nfunctions (3)\n  duration_parse(duration string) -> object({hours = number, " in text


@pytest.mark.go
@pytest.mark.parametrize("core", ["terraform", "opentofu"])
@pytest.mark.parametrize(("name", "recorded"), [("time", "time-0.14.2"), ("local", "local-1.4.0")])
def test_json_is_that_of_the_tools(name: str, recorded: str, core: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = recordings.schema(recorded)
    expected = (
        document[core] if document[core] != "the same" else document["opentofu"].replace("opentofu.org", "terraform.io")
    )
    assert schema(capsys, name, "--json", "--core", core) == expected


@pytest.mark.go
def test_the_json_of_one_type(capsys: pytest.CaptureFixture[str]) -> None:
    whole = json.loads(schema(capsys, "local", "--json"))["provider_schemas"]["registry.terraform.io/hashicorp/local"]
    (part,) = json.loads(schema(capsys, "local", "--json", "local_file"))["provider_schemas"].values()
    assert part == {
        kind: {"local_file": whole[kind]["local_file"]} for kind in ("resource_schemas", "data_source_schemas")
    }


@pytest.mark.go
def test_the_json_of_places(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(schema(capsys, "local", "local_file.filename", "--json"))["matches"][0] == {
        "kind": "resource",
        "name": "local_file",
        "path": "filename",
        "type": "string",
        "marks": ["required"],
        "description": "Path to the output file",
        "deprecation": "",
    }
    found = json.loads(schema(capsys, "time", "--search", "rotation_d", "--json"))["matches"]
    assert [(match["name"], match["path"]) for match in found] == [("time_rotating", "rotation_days")]


@pytest.mark.go
def test_a_search_without_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", *provider("time"), "--search", "nowhere"]) == 1
    assert capsys.readouterr() == ("", "ferrule: nothing has 'nowhere' in its name or text\n")
    assert json.loads(schema(capsys, "time", "--search", "nowhere", "--json", status=1)) == {"matches": []}


PROGRAM = """
import contextlib, sys
sys.modules["msgpack"] = None
from ferrule.cli import main
with contextlib.suppress(SystemExit):
    main(["inspect", "--help"])
assert not [name for name in sys.modules if name.startswith("ferrule.terraform")]
main(["schema", "x"])
"""


def test_without_the_extra() -> None:
    """`inspect` loads nothing of it, and the other verbs say what to install."""
    command = [sys.executable, "-c", PROGRAM]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT)
    line = 'ferrule: ferrule.terraform needs the package msgpack: pip install "ferrule[terraform]"\n'
    assert (result.returncode, result.stderr) == (1, line)
