"""Each bench runs to its end with tiny sizes, and has a figure for each of its tables and targets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ferrule
from peers import GO_PEERS, ROOT, go_peer

BENCHES = ROOT / "benches"
PROGRAMS: dict[str, tuple[str, ...]] = {
    "lifecycle": ("kv", "host"),
    "channel": ("echo",),
    "connection": (),
    "formats": (),
    "pool": ("kv",),
    "servicers": (),
    "schema": (),
    "cty": ("cty",),
    "import_time": (),
}
"""All benches, with the Go programs that they need."""

# Rivals that only the environment of `make bench` has.
ABSENT_RIVALS = {"pyvider-rpcplugin", "python-plugin", "grpclib"}

release = pytest.mark.skipif(ferrule.build_info()["profile"] != "release", reason="benches refuse an unoptimised build")


@release
@pytest.mark.parametrize("name", PROGRAMS)
def test_quick_run(name: str, tmp_path: Path) -> None:
    for program in PROGRAMS[name]:
        go_peer(program)
    report = tmp_path / "report.json"
    command = [sys.executable, str(BENCHES / f"{name}.py"), "--quick", "--json", str(report)]
    command += ["--programs", str(GO_PEERS)] if PROGRAMS[name] else []
    environment = {variable: value for variable, value in os.environ.items() if not variable.startswith("PYTEST_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not measured" not in done.stdout
    run: dict[str, Any] = json.loads(report.read_text())
    failed = {side for cases in run["errors"].values() for sides in cases.values() for side in sides}
    assert failed <= ABSENT_RIVALS
    assert run["figures"]


def test_all_benches_are_known_here_and_explained() -> None:
    code = "import suite; print(*suite.NAMES); print(*(bench.anchor for bench in suite.load_benches()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHES, capture_output=True, text=True, check=True)
    names, anchors = done.stdout.splitlines()
    assert set(names.split()) == set(PROGRAMS)
    headings = [line for line in (BENCHES / "README.md").read_text().splitlines() if line.startswith("## ")]
    explained = {heading.removeprefix("## ").lower().replace(" ", "-") for heading in headings}
    assert set(anchors.split()) <= explained
