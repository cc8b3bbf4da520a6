"""Looking at processes from outside: whether they run, what they were given, and when they end; and stopping them."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from waiting import LIMIT, wait_until


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie, which an orphan can remain where nobody reaps it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def group(leader: int) -> set[int]:
    """Process ids of all who run in a process group, by its leader's."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _, member_of = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(member_of) == leader and state not in "ZX":
            found.add(int(entry.name))
    return found


def given_the_directory_of(plugin: int) -> set[int]:
    """Process ids of all who run and were given the same directory for sockets as a plugin."""
    wanted = environment_of(plugin)["PLUGIN_UNIX_SOCKET_DIR"]
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            given = environment_of(int(entry.name)).get("PLUGIN_UNIX_SOCKET_DIR")
        except OSError:
            continue
        if given == wanted:
            found.add(int(entry.name))
    return found


def watchers(host: int) -> set[int]:
    """Process ids of those who wait for the end of a host, at the other end of one of its pipes."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            is_watcher = b"ferrule-watcher" in (entry / "cmdline").read_bytes()
            pipe = (entry / "fd" / "0").readlink() if is_watcher else None
        except (FileNotFoundError, ProcessLookupError):
            continue
        if pipe in {each.readlink() for each in Path(f"/proc/{host}/fd").iterdir() if is_watcher and each.is_symlink()}:
            found.add(int(entry.name))
    return found


def environment_of(pid: int) -> dict[str, str]:
    """The variables that a process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


def sleeps(pid: int) -> bool:
    """Whether the main thread of a child waits in a system call."""
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] not in {"running", "-1"}


def stop(pid: int) -> None:
    """Stops a process by SIGSTOP, and returns when each of its threads is stopped."""

    def is_stopped() -> bool:
        states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
        return set(states) == {"T"}

    os.kill(pid, signal.SIGSTOP)
    wait_until(is_stopped, f"stop of process {pid}")


async def ended(pid: int, limit: float = LIMIT) -> None:
    """Returns when a process has ended, whosever child it is.

    Raises:
        TimeoutError: It still runs after the limit, in seconds.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, over.set)
    try:
        await asyncio.wait_for(over.wait(), limit)
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
