"""The end of the blocking pool: closes, interrupts, forks, the end of the interpreter."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ferrule.errors import ConfigError
from ferrule.pool import (
    PluginSpec,
    PoolError,
)
from ferrule.sync import PluginPool
from ferrule.sync.pool import loop_thread
from ferrule.sync.pool import pool as pool_module
from ferrule.sync.pool.backstage import Backstage
from ferrule.testing import KV_CONFIG, plugin_command
from peers import ROOT, go_peer
from pool.kv import get, kv, put
from waiting import LIMIT, wait_until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks"), pytest.mark.go]


def test_a_close_by_another_thread_ends_waits_and_is_waited_for_by_all() -> None:
    spec = kv(max_concurrent_calls=1)
    outcomes: list[BaseException] = []
    with PluginPool() as pool:
        lease = pool.lease(spec).__enter__()

        def wait() -> None:
            try:
                pool.lease(spec).__enter__()
            except PoolError as error:
                outcomes.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_until(lambda: lease._held.plugin.entry.waiters, "somebody waits")
        closing = [threading.Thread(target=pool.close) for _ in range(3)]
        for thread in closing:
            thread.start()
        waiting.join()
        # A lease that is held goes on during the close.
        put(lease)
        lease.__exit__(None, None, None)
        for thread in closing:
            thread.join(LIMIT)
    assert "closed" in str(outcomes[0])


def test_a_close_in_the_middle_of_another_is_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of another thread, or of a signal's handler."""
    pool = PluginPool()
    pool.open()
    backstage = pool._backstage
    assert backstage is not None
    closings = iter([pool.close])

    def close() -> None:
        for close_all in closings:
            close_all()

    monkeypatch.setattr(backstage._kept, "close", close)
    pool.close()
    assert not backstage.thread._thread.is_alive()


def test_who_asks_at_the_very_end_is_told_that_the_pool_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool was open a moment ago, and its loop has ended meanwhile."""
    pool = PluginPool()
    pool.open()
    backstage = pool._backstage
    assert backstage is not None
    pool.close()
    monkeypatch.setattr(backstage, "check", lambda: None)
    for ask in (lambda: pool.lease(kv()).__enter__(), lambda: pool.warm([kv()])):
        with pytest.raises(PoolError, match="closed"):
            ask()


@pytest.mark.parametrize("work", [asyncio.sleep, asyncio.Future], ids=["short", "without end"])
def test_what_a_loop_never_came_to_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, work: Any) -> None:
    """It was asked for between the loop's last turn and its close."""
    stopped, asked = threading.Event(), threading.Event()

    class Slow(asyncio.Runner):  # type: ignore[misc]
        def close(self) -> None:
            stopped.set()
            assert asked.wait(LIMIT)
            super().close()

    async def wait() -> None:
        await (work(0) if work is asyncio.sleep else work())

    monkeypatch.setattr(asyncio, "Runner", Slow)
    thread = loop_thread.LoopThread()
    thread.call(thread.stop_loop)
    assert stopped.wait(LIMIT)
    begun = thread.begin(wait)
    asked.set()
    outcomes: list[object] = []

    def outcome() -> None:
        try:
            outcomes.append(thread.outcome(begun))
        except RuntimeError as error:
            outcomes.append(str(error))

    waiting = threading.Thread(target=outcome, daemon=True)
    waiting.start()
    waiting.join(LIMIT)
    # The short one may have been done.
    assert outcomes in (
        [["the pool's thread has ended"], [None]] if work is asyncio.sleep else [["the pool's thread has ended"]]
    )


def test_a_pool_that_two_threads_open_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = PluginPool()
    errors: list[BaseException] = []

    def open_too() -> None:
        try:
            pool.open()
        except BaseException as error:  # noqa: BLE001 - told by the test's thread.
            errors.append(error)

    second = threading.Thread(target=open_too)

    def make(inner: Any) -> Backstage:
        monkeypatch.undo()
        second.start()
        return Backstage(inner)

    monkeypatch.setattr(pool_module, "Backstage", make)
    with pool:
        second.join(LIMIT)
        assert errors == []


def test_a_pool_that_does_not_open_leaves_no_thread(temporary_directory: Path) -> None:
    with pytest.raises(ConfigError):
        PluginPool(metrics_socket=temporary_directory / "missing" / "socket").open()


def interrupt_soon(seconds: float = 0.1) -> threading.Timer:
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    return timer


def test_ctrl_c_ends_a_wait_and_takes_nothing_along() -> None:
    spec = kv(max_concurrent_calls=1)
    with PluginPool() as pool:
        with pool.lease(spec) as lease:
            plugin = lease._held.plugin
            timer = interrupt_soon()
            with pytest.raises(KeyboardInterrupt):
                pool.lease(spec).__enter__()
            timer.join()
            wait_until(lambda: not plugin.entry.waiters, "nobody waits any more")
            timer = interrupt_soon()
            with pytest.raises(KeyboardInterrupt):
                pool.close()
            timer.join()
        # The closing goes on, and the end of the block waits for it.
    assert plugin.state == "gone"


def test_no_interrupt_loses_a_lease() -> None:
    command = [sys.executable, "-m", "pool.interrupts", go_peer("kv")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert run.stdout.strip() == "True 0 0", run.stderr


UNCLOSED = """
import sys
from ferrule.pool import PluginSpec
from ferrule.sync import PluginPool
from ferrule.testing import KV_CONFIG
pool = PluginPool()
pool.open()
lease = pool.lease(PluginSpec([sys.argv[1]], KV_CONFIG)).__enter__()
print(lease.pid, flush=True)
"""


def test_an_open_pool_ends_with_the_interpreter() -> None:
    run = subprocess.run(
        [sys.executable, "-c", UNCLOSED, go_peer("kv")], capture_output=True, text=True, check=False, timeout=LIMIT
    )
    assert (run.returncode, run.stderr) == (0, "")
    with pytest.raises(ProcessLookupError):
        os.kill(int(run.stdout), 0)


def test_a_pool_that_is_dropped_says_so_and_ends() -> None:
    pool = PluginPool()
    pool.open()
    with pool.lease(PluginSpec(plugin_command(), KV_CONFIG)) as lease:
        pid = lease.pid
    del lease
    pools = [pool]
    del pool
    with pytest.warns(ResourceWarning, match="never closed"):
        pools.clear()
    wait_until(lambda: not [each for each in threading.enumerate() if each.name == "ferrule-pool"], "the thread ends")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_forked_child_has_no_pool() -> None:
    spec = kv()
    with PluginPool() as pool, pool.lease(spec) as lease:
        put(lease)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with pytest.raises(PoolError, match="fork"):
                    pool.lease(spec).__enter__()
                lease.__exit__(None, None, None)
                pool.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert get(lease) == b"1"
