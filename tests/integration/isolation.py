"""The isolated runner of the examples, and looking at a plugin in its namespaces from outside."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from peers import ROOT

WAIVER = "FERRULE_WITHOUT_NAMESPACES"
"""Set where namespaces are known to be refused: then their tests skip under CI=true as well."""


@functools.cache
def example() -> Any:
    """The module examples/isolated_runner.py."""
    spec = importlib.util.spec_from_file_location("isolated_runner", ROOT / "examples" / "isolated_runner.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def _refusal(program: str) -> str | None:
    return str(reason) if (reason := example().refusal(example().IsolatedRunner(program))) else None


def isolated_runner(name: str) -> Any:
    """A runner by `unshare` or `bwrap`; skips loudly without, and fails where everything must be there."""
    if ROOT.is_relative_to("/tmp"):
        pytest.skip("this checkout, and with it every plugin, lies in /tmp, which the runner hides")
    program = shutil.which(name)
    if program is None and name == "bwrap":
        pytest.skip("bwrap is not installed; the tests run with unshare")
    reason = _refusal(program or name)
    if reason is None:
        return example().IsolatedRunner(program)
    message = f"{name} cannot isolate a plugin here: {reason}"
    if os.environ.get("CI") == "true" and not os.environ.get(WAIVER):
        pytest.fail(f"{message}; allow it (examples/isolated_runner.py says how), or set {WAIVER}=1")
    pytest.skip(message)


def _children(pid: int) -> list[int]:
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in files for child in file.read_text().split()]


def innermost(pid: int) -> int:
    """The last in a line of processes of one child each: the plugin behind its wrappers."""
    while children := _children(pid):
        (pid,) = children
    return pid


def namespace(pid: int | str, kind: str) -> str:
    """What identifies a namespace of a process."""
    return str(Path(f"/proc/{pid}/ns/{kind}").readlink())


def processes_in(network: str) -> list[int]:
    """All processes of a network namespace."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if namespace(entry.name, "net") == network:
                found.append(int(entry.name))
        except OSError:
            continue  # It ended meanwhile, or is a stranger's.
    return found
