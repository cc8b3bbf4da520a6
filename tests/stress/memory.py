"""How much memory this process takes."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

MIB = 1 << 20


class Growth:
    """By how many bytes the peak of resident memory has grown."""

    def __init__(self) -> None:
        gc.collect()
        # Makes the present size the peak: `man 5 proc_pid_clear_refs`.
        Path("/proc/self/clear_refs").write_text("5")
        self._before = peak_bytes()

    def __int__(self) -> int:
        return peak_bytes() - self._before


def peak_bytes() -> int:
    return _status("VmHWM")


def resident_bytes() -> int:
    return _status("VmRSS")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


@contextlib.contextmanager
def growth_below(limit: int) -> Iterator[None]:
    """Fails if resident memory grows by more than so many bytes, for however short a time."""
    growth = Growth()
    yield
    grown = int(growth)
    assert grown < limit, f"resident memory grew by {grown / MIB:.0f} MiB, the limit is {limit / MIB:.0f} MiB"
