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


def named_threads() -> dict[str, str]:
    """Names of all threads by their ids, native ones included."""
    names = {}
    for task in Path("/proc/self/task").iterdir():
        try:
            names[task.name] = (task / "comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue  # It ended meanwhile.
    return names


def thread_names() -> list[str]:
    """Names of all threads, native ones included."""
    return list(named_threads().values())


def own_named_threads() -> dict[str, str]:
    """Threads that are neither of grpcio's pool nor of the kernel, for a loop of libuv's: ours, and Python's."""
    threads = named_threads().items()
    return {key: name for key, name in threads if name not in GRPC_THREADS and not name.startswith("iou-")}


def own_threads() -> int:
    """How many `own_named_threads` there are."""
    return len(own_named_threads())


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
