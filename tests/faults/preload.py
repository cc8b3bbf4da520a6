"""Libraries of C that are loaded before the others: parts of the machine that are wrong, in a process of its own."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from peers import ROOT

PRELOADED = "LD_PRELOAD"


@functools.cache
def _library(name: str) -> str:
    """The library, built where it is not there yet; zig is the C compiler that the project has everywhere."""
    source = Path(__file__).with_name(f"{name}.c")
    built = ROOT / "build" / f"{name}.so"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        if not find_spec("ziglang"):
            pytest.skip(f"no ziglang here, which compiles {source.name}")
        built.parent.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", "-O1", "-o", str(built), str(source)]
        subprocess.run(command, check=True)
    return str(built)


def environment(name: str) -> dict[str, str]:
    """What a program needs in its environment to have the library of `NAME.c`."""
    return {PRELOADED: _library(name)}


def keep_from_plugins() -> None:
    """From now on this process's plugins do not have its library."""
    del os.environ[PRELOADED]
