"""A wall clock that is wrong, in a process of its own: a library of C that is loaded before the others."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from peers import ROOT

SOURCE = Path(__file__).with_suffix(".c")
JUMP_S = 3600
PRELOADED = "LD_PRELOAD"


@functools.cache
def _library() -> str:
    """The library, built where it is not there yet; zig is the C compiler that the project has everywhere."""
    built = ROOT / "build" / "clock.so"
    if not built.exists() or built.stat().st_mtime < SOURCE.stat().st_mtime:
        if not find_spec("ziglang"):
            pytest.skip("no ziglang here, which compiles the clock")
        built.parent.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", "-O1", "-o", str(built), str(SOURCE)]
        subprocess.run(command, check=True)
    return str(built)


def environment() -> dict[str, str]:
    """What a program needs in its environment for `set_wrong`."""
    return {PRELOADED: _library()}


def set_wrong(error_s: int) -> None:
    """From now on this process's wall clock is wrong, its plugins' is right; 0: it jumps by an hour at each look."""
    del os.environ[PRELOADED]
    ctypes.CDLL(None).set_clock(ctypes.c_long(error_s or JUMP_S), not error_s)
