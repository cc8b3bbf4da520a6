"""Stubs of real schemas, all types of each, under a strict type checker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ferrule.terraform.cli.catalogue import KINDS, entries, find
from ferrule.terraform.cli.stubs import stubs
from terraform.recordings import SCHEMAS
from terraform.schema_oracle import recorded_schema
from waiting import LIMIT

WITHOUT_CONFIGURATION = {"function", "identity"}


def stubs_of(name: str) -> str:
    schema = recorded_schema(name)
    kinds = [each for each in KINDS if each.name not in WITHOUT_CONFIGURATION]
    types = [entry for kind in kinds for entry in entries(schema, kind)]
    return stubs([*types, *(match.entry for match in find(schema, "provider"))], name)


def test_stubs_of_real_schemas(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    for number, name in enumerate(SCHEMAS):
        text = stubs_of(name)
        exec(compile(text, name, "exec", dont_inherit=True), {})
        (tmp_path / f"stubs_{number}.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "cache", "."]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert checked.stdout.startswith("Success"), checked.stdout
