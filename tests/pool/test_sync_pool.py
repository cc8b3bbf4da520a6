"""The blocking pool: leases by threads, what is kept between them, refusals, events."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ferrule.errors import ConfigError, RPCPluginError
from ferrule.pool import (
    LeaseTimeout,
    Limits,
    PluginSpec,
    PluginUnavailable,
    PoolError,
)
from ferrule.sync import PluginPool
from ferrule.sync.pool import kept as kept_module
from ferrule.testing import KV_CONFIG, KVStub
from pool.kv import get, holds, kv, put
from waiting import LIMIT, wait_until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks"), pytest.mark.go]


def test_threads_share_a_plugin_and_its_stubs() -> None:
    spec = kv()

    def work(number: int) -> tuple[int, bytes, int]:
        with pool.lease(spec) as lease:
            put(lease, str(number), b"%d" % number)
            return lease.pid, get(lease, str(number)), id(lease.stub(KVStub))

    with PluginPool() as pool, ThreadPoolExecutor(8) as threads:
        done = list(threads.map(work, range(40)))
        assert [value for _, value, _ in done] == [b"%d" % number for number in range(40)]
        assert len({(pid, stub) for pid, _, stub in done}) == 1
        assert pool.run(spec, get, "7") == b"7"
        (row,) = pool.stats().plugins
        assert (row.name, row.state, row.leases) == ("kv", "ready", 0)
        pool.resize(Limits(max_plugins=1))
        assert pool.limits.max_plugins == 1
        assert "1 plugins" in repr(pool)


def test_a_lease_that_was_given_back_is_kept_for_a_moment() -> None:
    spec = kv()
    with PluginPool() as pool:
        with pool.lease(spec) as first:
            plugin = first._held.plugin
        for _ in range(20):
            with pool.lease(spec) as lease:
                assert lease.channel is first_channel(pool, lease)
                assert (lease.calls <= 2, holds(lease) <= 2, lease.is_shared) == (True, True, False)
                with pool.lease(spec) as second:
                    assert (lease.is_shared, second.is_shared) == (True, True)
                assert not lease.is_shared
        wait_until(lambda: not plugin.holds, "leases that nobody uses go back")
        # Each use has counted.
        assert plugin.calls == 41


def first_channel(pool: PluginPool, lease: Any) -> Any:
    assert pool._backstage is not None
    return pool._backstage._channels[lease.client]


def test_uses_count_for_what_replaces_plugins() -> None:
    spec = kv(max_calls=32)
    with PluginPool() as pool:
        for _ in range(9):
            with pool.lease(spec) as lease:
                plugin = lease._held.plugin
        # One is kept for two uses at most.
        wait_until(lambda: plugin.calls >= 8, "the policy hears of uses")
        assert kept_module.SHARE_OF_MAX_CALLS == 16


@pytest.mark.parametrize("settings", [{"max_concurrent_calls": 1}, {"group": "account"}])
def test_nothing_is_kept_from_those_who_wait(settings: dict[str, Any]) -> None:
    limits = Limits(max_concurrent_calls_per_group=1)
    one, other = kv(**settings), kv(**settings, memory_soft_limit=2**30)
    turns: list[str] = []
    with PluginPool(limits) as pool:
        with pool.lease(one) as lease:
            put(lease)
        # Kept, and the only one that may be.
        specs = [one, other] if "group" in settings else [one, one]

        def work(spec: PluginSpec) -> None:
            for _ in range(5):
                with pool.lease(spec, timeout=LIMIT):
                    turns.append(str(id(spec)))

        threads = [threading.Thread(target=work, args=(spec,)) for spec in specs]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(turns) == 10
        assert time.monotonic() - begin < LIMIT / 2
        with pool.lease(one), pytest.raises(LeaseTimeout):
            with pool.lease(specs[1], timeout=0.01):
                pass


def test_a_lease_that_is_dropped_is_given_back() -> None:
    spec = kv(max_concurrent_calls=1)
    with PluginPool() as pool:
        lease = pool.lease(spec).__enter__()
        plugin = lease._held.plugin
        del lease
        gc.collect()
        wait_until(lambda: not plugin.holds, "the lease is given back")


def test_refusals_have_names() -> None:
    pool = PluginPool()
    with pytest.raises(PoolError, match="not open"):
        pool.lease(kv())
    with pool:
        pool.open()
        lease = pool.lease(kv())
        with pytest.raises(PoolError, match="has not begun"):
            lease.channel  # noqa: B018
        assert "not begun" in repr(lease)
        with pool.lease(kv()) as twice:
            assert f"pid {twice.pid}" in repr(twice)
            assert twice.age >= 0
            with pytest.raises(PoolError, match="used before"):
                twice.__enter__()
        with pytest.raises(PluginUnavailable, match="does not start") as caught:
            with pool.lease(PluginSpec(["/nowhere/kv"], KV_CONFIG)):
                pass
        assert caught.value.__cause__ is not None
    with pytest.raises(PoolError, match="the pool is closed"):
        lease.__enter__()
    pool.close()


def test_events_come_on_the_pools_thread_which_cannot_wait_for_itself() -> None:
    heard: list[tuple[str, str]] = []
    refused: list[BaseException] = []

    def hear(event: Any) -> None:
        heard.append((event.kind, threading.current_thread().name))
        try:
            pool.warm([])
        except RPCPluginError as error:
            refused.append(error)

    with PluginPool() as pool:
        end = pool.subscribe(hear)
        pool.warm([kv()])
        assert ("ready", "ferrule-pool") in heard
        end()
        count = len(heard)
        pool.evict(kv())
    assert len(heard) == count
    assert "own thread" in str(refused[0])


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_no_function_of_the_user_ends_the_pools_thread(error: type[BaseException]) -> None:
    def leave(_: object) -> None:
        raise error

    async def leave_too(_: object) -> None:
        raise error

    with PluginPool() as pool:
        pool.subscribe(leave)
        with pytest.raises(PluginUnavailable), pool.lease(kv(on_start=leave_too), timeout=LIMIT):
            pass
        with pool.lease(kv(), timeout=LIMIT) as lease:
            assert lease.pid


def test_what_is_no_spec_is_refused() -> None:
    with PluginPool() as pool:
        for given in (["kv"], "kv"):
            with pytest.raises(ConfigError, match="expected a PluginSpec"), pool.lease(given):  # type: ignore[arg-type]
                pass
        with pytest.raises(ConfigError, match="the specs are of type PluginSpec, expected several"):
            pool.warm(PluginSpec(["kv"]))  # type: ignore[arg-type]
