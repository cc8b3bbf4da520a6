"""Stubs of configurations: what they are at run time, and to a strict type checker, for all types of real schemas."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from ferrule.terraform.cli.catalogue import KINDS, entries, find
from ferrule.terraform.cli.stubs import stubs
from terraform.recordings import SCHEMAS
from terraform.schema_model import MODEL
from terraform.schema_oracle import recorded_schema
from waiting import LIMIT

WITHOUT_CONFIGURATION = {"function", "identity"}


def stubs_of(name: str) -> str:
    schema = recorded_schema(name)
    kinds = [each for each in KINDS if each.name not in WITHOUT_CONFIGURATION]
    types = [entry for kind in kinds for entry in entries(schema, kind)]
    return stubs([*types, *(match.entry for match in find(schema, "provider"))], name)


STUBS = stubs([match.entry for place in ("x_server", "x_odd", "provider") for match in find(MODEL, place)], "x")


def test_stubs_at_run_time() -> None:
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

WRONG = ["no: XServer = {'name': 'a'}", "no: XServer = {'name': 1, 'disk': []}", "no: XOdd = {'class': 'a', 'b': 1}"]


def test_stubs_under_a_type_checker(tmp_path: Path) -> None:
    """Those of real schemas and a right configuration have no error, wrong ones have one in their line."""
    pytest.importorskip("mypy")
    for number, name in enumerate(SCHEMAS):
        text = stubs_of(name)
        exec(compile(text, name, "exec", dont_inherit=True), {})
        (tmp_path / f"stubs_{number}.py").write_text(text)
    (tmp_path / "stubs.py").write_text(STUBS)
    (tmp_path / "right.py").write_text(PROGRAM)
    for number, line in enumerate(WRONG):
        (tmp_path / f"wrong{number}.py").write_text(PROGRAM + line)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "cache", "."]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=3 * LIMIT)
    found = re.findall(r"^(\w+)\.py:(\d+): error", checked.stdout, re.MULTILINE)
    assert sorted(found) == [(f"wrong{number}", "5") for number in range(len(WRONG))], checked.stdout + checked.stderr
