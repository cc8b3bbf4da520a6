"""Memory and CPU time of processes.

Resident memory is never summed: it has the pages of the program's file, which all processes of one program share. Of
200 small plugins it would show five times what they take.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple, Protocol

__all__ = ["CpuTime", "Memory", "ProcessMeter", "SystemMeter"]

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """Bytes of one process.

    Attributes:
        private: Memory that would be free without the process: its anonymous pages.
        shared: Pages of files and of shared memory, which count once for all processes of one program.
        pss: The kernel's own account, each shared page divided by its users; None where it was not read.
    """

    private: int
    shared: int
    pss: int | None = None


class CpuTime(NamedTuple):
    """Seconds of CPU that one process has used."""

    user: float = 0.0
    system: float = 0.0


class ProcessMeter(Protocol):
    """What measures processes; None for one that has ended meanwhile."""

    def quick(self, pid: int) -> Memory | None:
        """Memory by the kernel's counters."""

    def exact(self, pid: int) -> Memory | None:
        """Memory page by page, at more than ten times the cost."""

    def cpu(self, pid: int) -> CpuTime | None:
        """Seconds of CPU."""


class SystemMeter:
    """The meter that reads `/proc`; it measures nothing where there is none.

    The counters of `statm` take 18 us, and are off by 32 pages for each CPU at most; `smaps_rollup` takes 250 us.
    """

    def quick(self, pid: int) -> Memory | None:
        """Memory by `statm`."""
        numbers = _read(f"/proc/{pid}/statm").split()
        if len(numbers) < 3:
            return None
        resident, shared = int(numbers[1]), int(numbers[2])
        # The memory of a process that has ended and not been waited for is 0.
        return Memory((resident - shared) * _PAGE_BYTES, shared * _PAGE_BYTES) if resident else None

    def exact(self, pid: int) -> Memory | None:
        """Memory by `smaps_rollup`; by `statm` if that one may not be read, as for programs of another user."""
        kilobytes: dict[bytes, int] = {}
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            name, _, value = line.partition(b":")
            number, _, unit = value.strip().partition(b" ")
            if unit == b"kB":
                kilobytes[name] = int(number)
        if b"Rss" not in kilobytes or b"Anonymous" not in kilobytes:
            return self.quick(pid)
        private = kilobytes[b"Anonymous"] * 1024
        return Memory(private, kilobytes[b"Rss"] * 1024 - private, kilobytes.get(b"Pss", 0) * 1024)

    def cpu(self, pid: int) -> CpuTime | None:
        """Seconds of CPU by `stat`, in steps of 10 ms."""
        # The program's name comes first and may hold anything, parentheses and blanks too.
        values = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        if len(values) < 13:
            return None
        return CpuTime(int(values[11]) / _TICKS_PER_SECOND, int(values[12]) / _TICKS_PER_SECOND)


def _read(path: str) -> bytes:
    """The content of a small file of `/proc`; empty if the process has ended."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 8192)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
