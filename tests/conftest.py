"""What every test gets: a watch on leaks, and on what the event loop could only log."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ferrule import Certificate, _core
from integration.bridge_program import LOOPS
from waiting import LIMIT


def children() -> set[int]:
    """Process ids of this process's children, zombies included."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        # A thread may end while we look.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def descriptors() -> dict[int, str]:
    """Open descriptors and what they point to, without those that libraries keep for the life of the process."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except FileNotFoundError:
            continue
    return found


def pytest_configure() -> None:
    """Has channels read by whom FERRULE_READER names: `caller`, `io_thread`, or `random` for either."""
    _core.set_reader(os.environ.get("FERRULE_READER", "automatic"))


def pytest_collection_finish() -> None:
    """Leaves out what the tests themselves consist of from each collection that looks for what a test left behind."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def temporary_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of the test's own for sockets, short enough for them; must be empty in the end."""
    tmp_path_factory.getbasetemp()  # Before the directory below becomes the default, which would put it inside.
    with tempfile.TemporaryDirectory(prefix="ft-", dir="/tmp") as name:
        monkeypatch.setenv("TMPDIR", name)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)
        left = sorted(str(path.relative_to(name)) for path in Path(name).rglob("*"))
        assert left == [], "files left behind in the temporary directory"


_caches = itertools.count()


@pytest.fixture(autouse=True)
def cache_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place of the test's own, not made yet, for what users would find in their home."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / f"cache-{next(_caches)}"))


THREADS_WITHOUT_OWNER = {"ferrule schema cache", "ferrule-requests"}
"""Threads that end by themselves: one writes a schema after its caller has it, one outlives its call for a moment."""


@pytest.fixture
def no_leaks(temporary_directory: Path) -> Iterator[None]:
    """Fails the test that leaves a child process, a plugin, or a thread behind."""
    before, threads = children(), set(threading.enumerate())
    yield
    gc.collect()
    assert _core.live_plugins() == 0, "plugins that were never closed"
    assert children() - before == set(), "child processes left behind"
    for thread in threading.enumerate():
        if thread.name in THREADS_WITHOUT_OWNER:
            thread.join(LIMIT)
    ours = [thread for thread in set(threading.enumerate()) - threads if thread.name.startswith("ferrule")]
    assert ours == []


def is_grpcio_late(context: dict[str, Any]) -> bool:
    """Whether grpcio's completion queue, one for all loops, found an event for the loop of an earlier test.

    It has no event of its own to wait for before a loop is closed.
    """
    queue = str(context.get("message", "")).startswith("Exception in callback PollerCompletionQueue._handle_events")
    return queue and repr(context.get("exception")) == "RuntimeError('Event loop is closed')"


@pytest_asyncio.fixture(autouse=True)
async def no_loop_errors() -> AsyncIterator[None]:
    """Fails the test whose loop had to report an exception, or which left a task running."""
    loop = asyncio.get_running_loop()
    reported: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: reported.append(context))
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before - {asyncio.current_task()} if not task.done()}
    if left:
        # gRPC's own tasks end a moment after the call that they belong to.
        _, left = await asyncio.wait(left, timeout=LIMIT)
    assert left == set(), "tasks left behind"
    assert [context for context in reported if not is_grpcio_late(context)] == []


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Runs a coroutine on a loop of each kind, with a limit; what the loop could only log fails the test."""
    reported: list[dict[str, Any]] = []

    async def bounded(work: Coroutine[Any, Any, Any]) -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
        async with asyncio.timeout(LIMIT):
            return await work

    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
        yield lambda work: runner.run(bounded(work))
    assert reported == []


@pytest.fixture(scope="module")
def authority() -> Certificate:
    """An authority for certificates of tests."""
    return Certificate.generate(common_name="Example CA", usage="authority", days=3650)
