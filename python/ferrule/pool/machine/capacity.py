"""How many plugins this machine has room for: each takes descriptors of the host, and threads of its own.

A live plugin takes 4 descriptors in its host, and 7 threads in its own process; threads count as process ids.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ferrule.errors import ConfigError
from ferrule.pool.machine.cgroup import read_cgroup, read_text

__all__ = ["DEFAULT_MAX_PLUGINS", "Room", "check_max_plugins", "default_max_plugins", "raise_descriptors", "room"]

DEFAULT_MAX_PLUGINS: Final = 500
"""The limit of plugins on a machine that has room for more."""

DESCRIPTORS_PER_PLUGIN: Final = 4
"""Descriptors that a live plugin takes in the host."""

OTHER_DESCRIPTORS: Final = 64
"""Descriptors for all else in the host."""

PIDS_PER_PLUGIN: Final = 8
"""Process ids that a live plugin takes: one for each thread of a program in Go, and one to spare."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many plugins fit, and what allows no more.

    Attributes:
        plugins: The number of plugins.
        limit: The name of the limit, such as `RLIMIT_NOFILE`; empty where nothing limits.
        value: Its value.
        need: What `n` plugins need of it.
        hint: What to try for more.
    """

    plugins: int
    limit: str
    value: int
    need: str
    hint: str


def room(root: str = "/") -> Room:
    """The narrowest limit of this machine.

    The soft limit of descriptors does not count, for `raise_descriptors` takes it up to the hard one.

    Args:
        root: Where `proc` and `sys` are.
    """
    unlimited = Room(10**9, "", 10**9, "", "")
    return min((unlimited, *_descriptors(), *_pids(root)), key=lambda each: each.plugins)


def default_max_plugins(root: str = "/") -> int:
    """The limit of plugins where none is set: `DEFAULT_MAX_PLUGINS`, or what the machine has room for.

    Raises:
        ConfigError: There is no room for a single plugin.
    """
    found = room(root)
    number = min(DEFAULT_MAX_PLUGINS, found.plugins)
    _check(max(number, 1), found)
    return number


def check_max_plugins(max_plugins: int, root: str = "/") -> None:
    """Refuses a number of plugins for which the machine has no room, and raises the limit of descriptors to it.

    Raises:
        ConfigError: The machine has no room; the message names the limit, its value, and what it allows.
    """
    _check(max_plugins, room(root))


def _check(max_plugins: int, found: Room) -> None:
    if max_plugins > found.plugins:
        message = (
            f"setting max_plugins is {max_plugins}, and {found.limit} is {found.value}: {found.need} for n plugins, "
            f"expected at most {max(found.plugins, 0)}"
        )
        raise ConfigError(message, found.hint, "config.machine")
    raise_descriptors(max_plugins)


def raise_descriptors(max_plugins: int) -> None:
    """Raises the soft limit of descriptors to what a number of plugins needs, if it is lower."""
    needed = DESCRIPTORS_PER_PLUGIN * max_plugins + OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    except (OSError, ValueError) as error:
        message = (
            f"setting max_plugins is {max_plugins}, and RLIMIT_NOFILE is {soft}: the system refuses to raise it to "
            f"{needed} ({error})"
        )
        raise ConfigError(message, "Raise it before this process starts: ulimit -n.", "config.machine") from None


def _descriptors() -> Iterator[Room]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        plugins = (hard - OTHER_DESCRIPTORS) // DESCRIPTORS_PER_PLUGIN
        need = f"{DESCRIPTORS_PER_PLUGIN} n + {OTHER_DESCRIPTORS} descriptors"
        yield Room(
            plugins, "RLIMIT_NOFILE", hard, need, "Ask for fewer plugins, or raise it: ulimit -Hn, LimitNOFILE=."
        )


def _pids(root: str) -> Iterator[Room]:
    for limit, value, hint in _pid_limits(root):
        need = f"{PIDS_PER_PLUGIN} n processes and threads"
        yield Room(value // PIDS_PER_PLUGIN, limit, value, need, f"Ask for fewer plugins, or raise it: {hint}.")


def _pid_limits(root: str) -> Iterator[tuple[str, int, str]]:
    for text in read_cgroup("pids", "pids.max", root):
        if text.isdigit():
            yield "pids.max of the control group", int(text), "docker run --pids-limit, TasksMax="
    for name in ("pid_max", "threads-max"):
        text = read_text(f"{root}/proc/sys/kernel/{name}") or ""
        if text.isdigit():
            yield f"kernel.{name}", int(text), f"sysctl kernel.{name}"
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    # The kernel spares root.
    if soft != resource.RLIM_INFINITY and os.geteuid() != 0:
        yield "RLIMIT_NPROC", soft, "ulimit -u, LimitNPROC="
