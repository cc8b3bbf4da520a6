"""What a test has left behind: plugins, directories of sockets, threads."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from ferrule import _core
from ferrule._weak_set import WeakSet
from ferrule.pytest_plugin.owners import count_of_plugins, has_owners, is_owned

__all__ = ["LeakCheck", "PluginLeakWarning"]

SETTLE_SECONDS: Final = 2.0
"""Seconds for what ends by itself."""

_SOCKETS: Final = Path("/proc/net/unix")


class PluginLeakWarning(pytest.PytestWarning):
    """A test has left something of a plugin behind."""


class _Seen(NamedTuple):
    plugins: int
    directories: frozenset[Path]
    threads: frozenset[threading.Thread]

    @classmethod
    def now(cls) -> _Seen:
        threads = [thread for thread in threading.enumerate() if _is_watched(thread)]
        return cls(_core.live_plugins() - count_of_plugins(), frozenset(_unused_directories()), frozenset(threads))

    def left(self, before: _Seen, *, in_full: bool = False) -> list[str]:
        """What is here and was not before, in words; in full with the names of plugins."""
        found = []
        if self.plugins > before.plugins:
            count = self.plugins - before.plugins
            names_of_plugins = _names_of_plugins(count) if in_full else ""
            found.append(f"plugins that were never closed: {count}{names_of_plugins}")
        if directories := sorted(map(str, self.directories - before.directories)):
            found.append(f"directories of sockets: {', '.join(directories)}")
        # Threads serve all plugins, also those of fixtures that go on.
        threads = frozenset() if has_owners() else self.threads - before.threads
        if names := sorted(thread.name for thread in threads if thread.is_alive()):
            found.append(f"threads: {', '.join(names)}")
        return found


class LeakCheck:
    """Looks after each test for what it has left behind.

    Args:
        fails: Whether the test fails then; else there is a warning.
    """

    def __init__(self, *, fails: bool) -> None:
        self._fails = fails
        self._before: _Seen | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None]:
        """Looks before the test's fixtures are made."""
        self._before = _Seen.now()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None]:
        """Looks after they are gone."""
        yield
        before, self._before = self._before, None
        if before is None:
            return
        left = _Seen.now().left(before)
        if left:
            # What nobody holds is closed by its collection.
            gc.collect()
        deadline = time.monotonic() + SETTLE_SECONDS
        while left and time.monotonic() < deadline:
            time.sleep(0.01)
            left = _Seen.now().left(before)
        if left:
            left = _Seen.now().left(before, in_full=True) or left
            self._tell(item, f"{item.nodeid} left behind {'; '.join(left)}")

    def _tell(self, item: pytest.Item, message: str) -> None:
        if self._fails:
            pytest.fail(message, pytrace=False)
        item.warn(PluginLeakWarning(message))


_named: WeakSet[Any] = WeakSet()
"""Clients that a message has named: a later one is about others."""


def _names_of_plugins(count: int) -> str:
    """The programs and processes of clients that are started and of no fixture, in brackets; the newest are last."""
    from ferrule._host.plugin_info import PluginInfo

    clients = [each for each in gc.get_objects() if isinstance(each, PluginInfo) and each.is_started]
    left = [each for each in clients if each not in _named and not is_owned(each)][-count:]
    _named.update(left)
    texts = [f"{each.command[0] if each.command else 'reattached'}, process {each.pid}" for each in left]
    return f" ({'; '.join(texts)})" if texts else ""


def _is_watched(thread: threading.Thread) -> bool:
    # A schema is written after its caller has it, and the thread ends by itself.
    return thread.name.startswith("ferrule") and thread.name != "ferrule schema cache"


def _unused_directories() -> list[Path]:
    """Ferrule's directories in which no plugin listens. A plugin that listens may be of another program."""
    try:
        sockets = _SOCKETS.read_text()
    except OSError:
        # Only Linux tells who listens where.
        return []
    found = Path(tempfile.gettempdir()).glob("ferrule-*")
    return [path for path in found if f"{path}/" not in sockets and _is_ours(path)]


def _is_ours(path: Path) -> bool:
    try:
        return path.stat().st_uid == os.getuid()
    except FileNotFoundError:
        # Another process has removed its directory since the listing.
        return False
