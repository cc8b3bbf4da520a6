"""A wall clock that is wrong, in a process of its own."""

from __future__ import annotations

import ctypes

from faults import preload

JUMP_S = 3600


def environment() -> dict[str, str]:
    """What a program needs in its environment for `set_wrong`."""
    return preload.environment("clock")


def set_wrong(error_s: int) -> None:
    """From now on this process's wall clock is wrong, its plugins' is right; 0: it jumps by an hour at each look."""
    preload.keep_from_plugins()
    ctypes.CDLL(None).set_clock(ctypes.c_long(error_s or JUMP_S), not error_s)
