"""A mixed load over fifty real plugins, which are killed, restarted, frozen and flooded: nothing is wrong or grows.

FERRULE_SOAK_SECONDS says for how long (default 12; `make soak` has 1,800), FERRULE_SEED repeats the choices, and
FERRULE_SOAK_RESULTS names a file for all that was measured. With -s the figures are shown.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from peers import ROOT, go_peer

SECONDS = float(os.environ.get("FERRULE_SOAK_SECONDS", "12"))
SEED = os.environ.get("FERRULE_SEED", str(random.randrange(1 << 32)))
SETTLING_SECONDS = 400
"""For starts and ends, on a machine that is busy."""
SHORT_SECONDS = 8.0

pytestmark = [pytest.mark.go, pytest.mark.timeout(SECONDS + SETTLING_SECONDS)]


async def soaked(results: Path, seconds: float, *options: str) -> dict[str, Any]:
    """Runs the program; what it found."""
    go_peer("kv")
    paths = os.pathsep.join(str(ROOT / path) for path in ("tests", "tests/unit"))
    command = [sys.executable, "-W", "error", "-m", "soak.program", f"--seconds={seconds}", f"--seed={SEED}"]
    process = await asyncio.create_subprocess_exec(
        *command, f"--results={results}", *options, env=os.environ | {"PYTHONPATH": paths}
    )
    assert await process.wait() == 0, f"FERRULE_SEED={SEED}"
    found: dict[str, Any] = json.loads(results.read_text())
    return found


async def test_mixed_load(tmp_path: Path) -> None:
    print(f"FERRULE_SEED={SEED}")  # noqa: T201
    results = Path(os.environ.get("FERRULE_SOAK_RESULTS", tmp_path / "soak.json"))
    found = await soaked(results, SECONDS)
    shown = {name: value for name, value in found.items() if name not in {"times", "values"}}
    print(json.dumps(shown, indent=1))  # noqa: T201
    assert (found["found"], found["findings"]) == (0, []), f"FERRULE_SEED={SEED}"
    assert found["not_flat"] == [], f"FERRULE_SEED={SEED}"
    assert found["left"] == {}, f"FERRULE_SEED={SEED}"
    assert sum(found["plugins"].values()) == 50
    for kind in ("call", "exchange", "apply", "blocking"):
        assert found["ends"][f"{kind}: right"] > SECONDS


async def test_leak_fails(tmp_path: Path) -> None:
    found = await soaked(tmp_path / "soak.json", SHORT_SECONDS, "--few", "--leak=descriptors", "--leak=tasks")
    assert [what.partition(":")[0] for what in found["not_flat"]] == ["the program's descriptors", "tasks"]
    assert {"descriptor of /dev/null", "task"} <= found["left"].keys()
