"""What this process holds at a moment."""

from __future__ import annotations

import asyncio
import gc
import resource
from pathlib import Path
from typing import NamedTuple

from conftest import children, descriptors
from ferrule import _core

# grpcio's own pool, which grows with load up to a bound of its own and shrinks when idle.
GRPC_THREADS = frozenset({"event_engine", "grpc_global_tim", "lifeguard"})


def thread_names() -> list[str]:
    """Names of all threads, native ones included."""
    names = []
    for task in Path("/proc/self/task").iterdir():
        try:
            names.append((task / "comm").read_text().strip())
        except (FileNotFoundError, ProcessLookupError):
            continue  # It ended meanwhile.
    return names


def own_threads() -> int:
    """Threads that are neither of grpcio's pool nor of the kernel, for a loop of libuv's: ours, and Python's."""
    return sum(name not in GRPC_THREADS and not name.startswith("iou-") for name in thread_names())


class Usage(NamedTuple):
    """What this process holds."""

    descriptors: int
    threads: int
    tasks: int
    children: int
    live_plugins: int
    resident_bytes: int

    @classmethod
    def now(cls) -> Usage:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            len(descriptors()),
            own_threads(),
            len(asyncio.all_tasks()),
            len(children()),
            _core.live_plugins(),
            pages * resource.getpagesize(),
        )
