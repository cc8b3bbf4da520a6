"""The blocking pool: leases by threads, what is kept between them, calls that move, interrupts, forks and ends."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from ferrule.errors import ConfigError, RPCPluginError
from ferrule.pool import (
    LeaseRevoked,
    LeaseTimeout,
    Limits,
    OutcomeUnknown,
    PluginDied,
    PluginSpec,
    PluginUnavailable,
    PoolError,
)
from ferrule.sync import PluginPool
from ferrule.sync.pool import kept as kept_module
from ferrule.testing import KV_CONFIG, KVStub, plugin_command
from ferrule.testing.kv_pb2 import EchoRequest, GetRequest, PutRequest, WatchRequest
from integration.processes import stop
from peers import go_peer
from waiting import LIMIT, wait_until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks"), pytest.mark.go]


def kv(**settings: Any) -> PluginSpec:
    return PluginSpec([go_peer("kv")], KV_CONFIG, **{"name": "kv", **settings})


def put(lease: Any, key: str = "a", value: bytes = b"1") -> None:
    lease.stub(KVStub).Put(PutRequest(key=key, value=value), timeout=LIMIT)


def get(lease: Any, key: str = "a") -> bytes:
    value: bytes = lease.stub(KVStub).Get(GetRequest(key=key), timeout=LIMIT).value
    return value


def holds(lease: Any) -> int:
    """Leases of a plugin as the policy counts them, with those that are kept."""
    return len(lease._held.plugin.holds)


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


def test_calls_that_had_not_begun_are_made_by_the_replacement() -> None:
    spec = kv()
    with PluginPool() as pool, pool.lease(spec) as lease:
        put(lease)
        stub, first = lease.stub(KVStub), lease.pid
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: lease.client.exit_status is not None, "the end is known")
        put(lease, "b", b"2")
        assert stub.Echo.with_call(EchoRequest(payload=b"x"))[0].payload == b"x"
        assert stub.Echo.future(EchoRequest(payload=b"y")).result(LIMIT).payload == b"y"
        assert len(list(stub.Watch(WatchRequest(count=3, size=1)))) == 3
        assert [each.payload for each in stub.Chat(iter([EchoRequest(payload=b"z")]))] == [b"z"]
        with pool.lease(spec) as second:
            assert second.pid != first
            assert get(second, "b") == b"2"


@contextmanager
def killed_during(lease: Any) -> Iterator[None]:
    """Calls made inside reach a plugin that reads nothing any more, and is killed then."""
    stop(lease.pid)
    killing = threading.Timer(0.1, os.kill, (lease.pid, signal.SIGKILL))
    killing.start()
    yield
    killing.join()


CALLS: dict[str, Any] = {
    "unary": lambda stub: stub.Echo(EchoRequest(payload=b"x")),
    "future": lambda stub: stub.Echo.future(EchoRequest(payload=b"x")).result(),
    "stream": lambda stub: list(stub.Watch(WatchRequest(count=1, size=1))),
    "chat": lambda stub: list(stub.Chat(iter([EchoRequest(payload=b"x")]))),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_had_begun_is_unknown(call: str) -> None:
    with PluginPool() as pool, pool.lease(kv()) as lease:
        put(lease)
        pid = lease.pid
        with killed_during(lease), pytest.raises(OutcomeUnknown, match="had begun") as caught:
            CALLS[call](lease.stub(KVStub))
    error = caught.value
    assert (error.begun, error.exit_status) == (True, -signal.SIGKILL)
    assert error.pid == pid
    assert isinstance(error, grpc.RpcError)
    assert error.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[operator, misc]
    assert error.method.startswith("/kv.KV/")


@pytest.mark.parametrize("call", ["unary", "stream"])
def test_an_idempotent_call_is_made_again(call: str) -> None:
    spec = kv(idempotent={"/kv.KV/Echo", "/kv.KV/Watch"})
    with PluginPool() as pool, pool.lease(spec) as lease:
        put(lease)
        with killed_during(lease):
            assert CALLS[call](lease.stub(KVStub))


@pytest.mark.parametrize("how", ["evict", "close"])
def test_a_lease_that_is_revoked_ends_its_calls(how: str) -> None:
    spec, stop = kv(), threading.Event()

    def requests() -> Iterator[EchoRequest]:
        yield EchoRequest(payload=b"x")
        stop.wait()

    with PluginPool() as pool:
        with pool.lease(spec) as lease:
            stream = lease.stub(KVStub).Chat(requests())
            assert next(stream).payload == b"x"
            if how == "evict":
                pool.evict(spec, force=True)
            else:
                closing = threading.Thread(target=pool.close, kwargs={"force": True})
                closing.start()
            with pytest.raises(LeaseRevoked):
                next(stream)
            stop.set()


def test_without_retries_the_caller_is_told() -> None:
    with PluginPool(Limits(retry_unsent=False)) as pool, pool.lease(kv()) as lease:
        put(lease)
        os.kill(lease.pid, signal.SIGKILL)
        wait_until(lambda: lease.client.exit_status is not None, "the end is known")
        for call in "unary", "future":
            with pytest.raises(PluginDied, match="can be made again") as caught:
                CALLS[call](lease.stub(KVStub))
            assert not caught.value.begun


def test_calls_are_counted() -> None:
    heard: list[Any] = []
    with PluginPool() as pool, pool.lease(kv()) as lease:
        pool.subscribe(heard.append)
        stub = lease.stub(KVStub)
        for _ in range(3):
            put(lease)
        stub.Echo.future(EchoRequest(payload=b"x")).result()
        list(stub.Watch(WatchRequest(count=3, size=1)))
        with pytest.raises(grpc.RpcError):
            stub.Get(GetRequest(key="missing"))
        (row,) = pool.stats().plugins
        assert (row.calls, row.call_seconds.count) == (6, 6)
        with killed_during(lease), pytest.raises(OutcomeUnknown):
            stub.Echo(EchoRequest(payload=b"x"))
        (name,) = pool.stats().names
        assert (name.calls, name.calls_failed, name.calls_unknown) == (7, 2, 1)
        wait_until(lambda: [event for event in heard if event.kind == "call_unknown"], "subscribers hear of it")


def test_what_a_plugin_answers_comes_as_it_came() -> None:
    with PluginPool() as pool, pool.lease(kv()) as lease:
        stub = lease.stub(KVStub)
        missing = GetRequest(key="missing")
        calls: list[Any] = [lambda: stub.Get(missing), lambda: stub.Get.future(missing).result()]
        for call in calls:
            with pytest.raises(grpc.RpcError) as caught:
                call()
            assert isinstance(caught.value, grpc.Call)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        with pytest.raises(ValueError, match="metadata"):
            stub.Get(GetRequest(key="a"), metadata=[("a",)])
        future = stub.Get.future(GetRequest(key="missing"))
        done = threading.Event()
        future.add_done_callback(lambda call: done.set() if call is future else None)
        assert done.wait(LIMIT)
        assert isinstance(future.exception(), grpc.RpcError)
        assert future.traceback() is not None
        assert isinstance(future, grpc.Future)


def test_calls_beyond_the_plugins_number_wait() -> None:
    spec = kv(max_concurrent_calls=1)
    with PluginPool() as pool, pool.lease(spec) as lease, ThreadPoolExecutor(4) as threads:
        stub = lease.stub(KVStub)
        assert len(list(threads.map(lambda _: stub.Echo(EchoRequest(payload=b"x")).payload, range(8)))) == 8
        stream = stub.Watch(WatchRequest(count=100_000, size=100))
        next(stream)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Echo(EchoRequest(payload=b"x"), timeout=0.05)
        assert isinstance(caught.value, grpc.Call)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        stream.cancel()
        assert stub.Echo(EchoRequest(payload=b"y"), timeout=LIMIT).payload == b"y"


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


STORM = """
import signal, sys, threading, os, time
from ferrule.pool import PluginSpec
from ferrule.sync import PluginPool
from ferrule.testing import KV_CONFIG
spec = PluginSpec([sys.argv[1]], KV_CONFIG)
with PluginPool() as pool:
    with pool.lease(spec) as lease:
        plugin = lease._held.plugin
    stop = threading.Event()
    def interrupt():
        while not stop.wait(0.002):
            os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=interrupt)
    thread.start()
    interrupts, deadline = 0, time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            while time.monotonic() < deadline:
                with pool.lease(spec):
                    pass
        except KeyboardInterrupt:
            interrupts += 1
    while True:
        try:
            stop.set()
            thread.join()
            break
        except KeyboardInterrupt:
            pass
    del lease
    while True:
        try:
            deadline = time.monotonic() + 10
            while plugin.holds and time.monotonic() < deadline:
                time.sleep(0.01)
            break
        except KeyboardInterrupt:
            pass
    print(interrupts > 50, len(plugin.holds), plugin.entry.leases)
"""


def test_no_interrupt_loses_a_lease() -> None:
    run = subprocess.run(
        [sys.executable, "-c", STORM, go_peer("kv")], capture_output=True, text=True, check=False, timeout=LIMIT
    )
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


def test_what_is_no_spec_is_refused() -> None:
    with PluginPool() as pool:
        for given in (["kv"], "kv"):
            with pytest.raises(ConfigError, match="expected a PluginSpec"), pool.lease(given):  # type: ignore[arg-type]
                pass
        with pytest.raises(ConfigError, match="the specs are of type PluginSpec, expected several"):
            pool.warm(PluginSpec(["kv"]))  # type: ignore[arg-type]
