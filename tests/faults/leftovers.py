"""What a row left behind in this process, on its machine, and in its directory for sockets."""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from conftest import children, descriptors
from ferrule import _core
from integration.usage import GRPC_THREADS, thread_names
from waiting import wait_until

MEMORY_BYTES = 32 << 20
"""What a row may add to the resident memory, most of it the allocator's and other rows'."""

SETTLING_SECONDS = 10.0


@dataclass(frozen=True)
class Holdings:
    """What this process holds at a moment."""

    descriptors: Counter[str]
    threads: Counter[str]
    children: frozenset[int]
    plugins: int
    files: frozenset[str]
    resident_bytes: int

    @classmethod
    def now(cls, directory: Path) -> Holdings:
        gc.collect()
        threads = Counter(name for name in thread_names() if name not in GRPC_THREADS and not name.startswith("iou-"))
        kinds = Counter(target.partition(":")[0] for target in descriptors().values())
        files = frozenset(str(path.relative_to(directory)) for path in directory.rglob("*"))
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
        return cls(kinds, threads, frozenset(children()), _core.live_plugins(), files, resident)

    def more_than(self, before: Holdings) -> list[str]:
        """What is held now and was not before, in words."""
        found = [f"descriptor of {kind}" for kind in (self.descriptors - before.descriptors).elements()]
        found += [f"thread {name}" for name in (self.threads - before.threads).elements()]
        found += [f"process {pid}" for pid in self.children - before.children]
        found += [f"{self.plugins - before.plugins} plugins"] if self.plugins > before.plugins else []
        found += [f"file {name}" for name in sorted(self.files - before.files)]
        grown = self.resident_bytes - before.resident_bytes
        return found + ([f"{grown >> 20} MiB of memory"] if grown > MEMORY_BYTES else [])


def left_since(before: Holdings, directory: Path) -> list[str]:
    """What is left once all that ends by itself has ended."""

    def nothing_left() -> bool:
        # A directory may go while it is listed.
        with contextlib.suppress(FileNotFoundError):
            return not Holdings.now(directory).more_than(before)
        return False

    try:
        wait_until(nothing_left, "leftovers", SETTLING_SECONDS)
    except TimeoutError:
        return Holdings.now(directory).more_than(before)
    return []
