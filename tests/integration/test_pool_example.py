"""The example of a pool does what it says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from peers import ROOT, provider
from waiting import LIMIT


@pytest.mark.go
def test_all_tasks_are_done_by_one_process_for_each_configuration() -> None:
    program = [sys.executable, "-W", "error", str(ROOT / "examples" / "provider_pool.py"), *provider("simple")]
    options = ["simple_resource", '{"value": "x"}', "--configurations", "3", "--tasks", "12"]
    result = subprocess.run([*program, *options], check=False, capture_output=True, text=True, timeout=LIMIT)
    assert (result.returncode, result.stderr) == (0, "")
    done, processes = result.stdout.splitlines()
    assert done == "12 tasks: done"
    assert processes.startswith("3 configurations, 3 processes, ")
