"""Runs one row, in this process or one of its own, and looks at what is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from faults import clock, machine, runner
from faults.leftovers import Holdings, left_since
from faults.result import Result
from faults.row import Row


def apart(row: Row, more: dict[str, str]) -> Result:
    """A row in a process of its own, with `more` in its environment."""
    environment = {**os.environ, **more, "PYTHONPATH": str(runner.TESTS), "TMPDIR": tempfile.gettempdir()}
    run = subprocess.run(
        [sys.executable, "-m", "faults.program", row.name],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=row.limit,
    )
    if run.returncode == machine.NO_MOUNTS:
        pytest.skip("this user may not mount a file system of its own")
    result = Result(**json.loads(run.stdout)) if run.stdout else Result(f"status {run.returncode}")
    result.left += [f"said: {line}" for line in run.stderr.splitlines()[-3:]]
    return result


def run(row: Row, directory: Path) -> Result:
    """Runs a row; `directory` is the one for temporary files, and empty."""
    more = clock.environment() if row.area == "clock" else {}
    before = Holdings.now(directory)
    begun = time.monotonic()
    result = apart(row, more) if row.is_apart else runner.job(row)
    result.seconds = time.monotonic() - begun
    (directory / runner.FIRST).unlink(missing_ok=True)
    result.left += left_since(before, directory)
    return result
