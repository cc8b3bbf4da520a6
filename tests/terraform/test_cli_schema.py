"""The verb `schema`: trees, searches, JSON and stubs, on real providers and on models of all that schemas can have."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

import pytest

from ferrule.cli import main
from ferrule.terraform.cli.catalogue import KINDS, find, search
from ferrule.terraform.cli.stubs import stubs
from ferrule.terraform.cli.terminal import Style
from ferrule.terraform.cli.tree import match_lines
from ferrule.terraform.cty import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple
from ferrule.terraform.errors import UnknownTypeError
from ferrule.terraform.schema.model import Attribute, Block, NestedBlock, NestedType, Nesting, Schema
from peers import provider
from terraform import recordings
from terraform.fickle import started
from waiting import LIMIT

pytestmark = pytest.mark.timeout(60)


def attributes(*each: Attribute) -> dict[str, Attribute]:
    return {attribute.name: attribute for attribute in each}


PORT = Object({"from": NUMBER, "label": STRING}, optional={"label"})
RULE = NestedType(attributes(Attribute("port", NUMBER, required=True)), Nesting.LIST)
BLOCK = Block(
    attributes(
        Attribute("id", STRING, computed=True),
        Attribute("name", STRING, required=True, description="The name.\n\nMore of it."),
        Attribute("open", BOOL, optional=True, deprecated=True, deprecation_message="Use rules."),
        Attribute("any", DYNAMIC, optional=True),
        Attribute("zones", Set(STRING), optional=True, computed=True),
        Attribute("ports", List(PORT), optional=True),
        Attribute("pair", Tuple([STRING, NUMBER]), optional=True),
        Attribute("tags", Map(STRING), optional=True),
        Attribute("token", STRING, optional=True, sensitive=True, write_only=True),
        Attribute("rules", nested_type=RULE, optional=True),
    ),
    {
        "disk": NestedBlock("disk", Block(attributes(Attribute("size", NUMBER, required=True))), Nesting.LIST, 1, 2),
        "timeouts": NestedBlock(
            "timeouts", Block(attributes(Attribute("create", STRING, optional=True))), Nesting.SINGLE
        ),
        "label": NestedBlock("label", Block(), Nesting.MAP),
    },
)
ODD = Block(attributes(Attribute("class", STRING, required=True), Attribute("str", List(STRING), optional=True)))
MODEL: Any = SimpleNamespace(
    provider=Schema(),
    **{kind.attribute: {} for kind in KINDS}
    | {
        "resources": {"x_server": Schema(2, BLOCK), "x_odd": Schema(0, ODD)},
        "data_sources": {"x_server": Schema(0, ODD)},
    },
)


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


STUBS = stubs([match.entry for place in ("x_server", "x_odd", "provider") for match in find(MODEL, place)], "x")


def test_stubs() -> None:
    module: dict[str, Any] = {}
    exec(compile(STUBS, "stubs", "exec", dont_inherit=True), module)
    server = module["XServer"]
    assert server.__required_keys__ == {"name", "disk"}
    assert "id" not in server.__annotations__
    hints = get_type_hints(server, module)
    inside: dict[str, Any] = {name: module[f"XServer{name.title()}"] for name in ("disk", "rules", "label", "ports")}
    assert hints["disk"] == list.__class_getitem__(inside["disk"])
    assert hints["zones"] == list[str] | set[str] | None
    assert hints["rules"] == list.__class_getitem__(inside["rules"]) | None
    assert hints["label"] == dict.__class_getitem__((str, inside["label"])) | None
    assert hints["ports"] == list.__class_getitem__(inside["ports"]) | None
    assert inside["ports"].__required_keys__ == {"from"}
    assert module["XOdd"].__required_keys__ == {"class"}
    assert module["XServerData"].__required_keys__ == {"class"}
    assert module["ProviderConfiguration"].__annotations__ == {}


PROGRAM = """\
from stubs import XOdd, XServer

config: XServer = {"name": "a", "disk": [{"size": 1}], "ports": [{"from": 2}], "tags": {"a": "b"}, "zones": {"z"}}
other: XOdd = {"class": "c", "str": ["d"]}
"""


def test_stubs_for_a_type_checker(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "stubs.py").write_text(STUBS)
    wrong = [
        "no: XServer = {'name': 'a'}",
        "no: XServer = {'name': 1, 'disk': []}",
        "no: XOdd = {'class': 'a', 'b': 1}",
    ]
    (tmp_path / "right.py").write_text(PROGRAM)
    for number, line in enumerate(wrong):
        (tmp_path / f"wrong{number}.py").write_text(PROGRAM + line)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "cache", "."]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=3 * LIMIT, cwd=tmp_path)
    found = re.findall(r"^(\w+)\.py:(\d+): error", result.stdout, re.MULTILINE)
    assert sorted(found) == [(f"wrong{number}", "5") for number in range(len(wrong))], result.stdout + result.stderr


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
    assert schema(capsys, "time", "--search", "nowhere", status=1) == ""
    assert json.loads(schema(capsys, "time", "--search", "nowhere", "--json", status=1)) == {"matches": []}


@pytest.mark.go
def test_a_closed_standard_output() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with started("schema", *provider("time"), stdout=writing) as process:
        os.close(writing)
        _, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, errors) == (0, "")


def test_without_the_extra(tmp_path: Path) -> None:
    """One line says what to install, and `inspect` works."""
    program = "import sys; sys.modules['msgpack'] = None; from ferrule.cli import main; sys.exit(main())"
    for verb, status, line in [
        ("schema", 1, "ferrule: ferrule.terraform needs the package msgpack: pip install ferrule[terraform]\n"),
        ("plan", 1, "ferrule: ferrule.terraform needs the package msgpack: pip install ferrule[terraform]\n"),
    ]:
        command = [sys.executable, "-c", program, verb, "x"]
        result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT, cwd=tmp_path)
        assert (result.returncode, result.stderr) == (status, line)


def test_inspect_loads_nothing_of_terraform() -> None:
    program = (
        "import sys; from ferrule.cli import main\n"
        "try: main(['inspect', '--help'])\n"
        "except SystemExit: print(sorted(each for each in sys.modules if 'terraform' in each or each == 'msgpack'))"
    )
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=LIMIT)
    assert result.stdout.endswith("[]\n")
