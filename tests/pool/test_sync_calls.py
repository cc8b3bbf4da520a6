"""Calls of the blocking pool whose plugin is lost, revoked, slow or busy."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from ferrule.pool import (
    LeaseRevoked,
    Limits,
    OutcomeUnknown,
    PluginDied,
)
from ferrule.sync import PluginPool
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import EchoRequest, GetRequest, WatchRequest
from integration.processes import stop
from pool.kv import get, kv, put
from waiting import LIMIT, wait_until

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks"), pytest.mark.go]


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
        with killed_during(lease), pytest.raises(OutcomeUnknown, match="it may have been carried out") as caught:
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
        with pytest.raises(ValueError, match="metadata"):
            stub.Echo.future(EchoRequest(payload=b"x"), metadata=[("a",)])
        assert stub.Echo(EchoRequest(payload=b"y"), timeout=LIMIT).payload == b"y"
