"""Calls through a pool whose real plugins are killed, stopped or closed under them."""

from __future__ import annotations

import asyncio
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from ferrule.channel import AioRpcError
from ferrule.pool import LeaseRevoked, Limits, OutcomeUnknown, PluginPool, PluginSpec
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import EchoRequest, GetRequest, PutRequest, WatchRequest
from integration.processes import is_running, stop
from peers import go_kv, kv_config
from waiting import until

pytestmark = [pytest.mark.go, pytest.mark.timeout(60), pytest.mark.usefixtures("no_leaks")]


def kv_spec(**settings: Any) -> PluginSpec:
    return PluginSpec(go_kv(), kv_config(shutdown_timeout=0.5, kill_timeout=0.5, connect_timeout=0.5), **settings)


async def requests() -> Any:
    yield EchoRequest(payload=b"x")
    await asyncio.Event().wait()


async def test_kill_with_calls_in_flight_and_the_next_calls() -> None:
    async with PluginPool() as pool, pool.lease(kv_spec()) as lease:
        kv, pid = lease.stub(KVStub), lease.pid
        await kv.Echo(EchoRequest())
        stop(pid)
        calls = [kv.Put(PutRequest(key="a", value=b"1")), kv.Watch(WatchRequest(count=1)), kv.Chat(requests())]
        await until(lambda: all(call.begun for call in calls))
        os.kill(pid, signal.SIGKILL)
        for call in calls:
            with pytest.raises(OutcomeUnknown, match="SIGKILL") as caught:
                await (call if call is calls[0] else anext(aiter(call)))
            assert (caught.value.pid, caught.value.exit_status) == (pid, -9)
        # The lease goes on, with a plugin that has none of what the other one was told.
        assert (await kv.Echo(EchoRequest(payload=b"still"))).payload == b"still"
        with pytest.raises(AioRpcError) as missing:
            await kv.Get(GetRequest(key="a"))
        assert missing.value.code() is grpc.StatusCode.NOT_FOUND
        assert [each.payload async for each in kv.Watch(WatchRequest(count=2, size=1))] != []
        chat = kv.Chat()
        await chat.write(EchoRequest(payload=b"ping"))
        assert (await chat.read()).payload == b"ping"
        chat.cancel()
        assert pool.stats().calls_unknown == 3


async def test_kill_while_idle_and_calls_right_after_it() -> None:
    async with PluginPool() as pool, pool.lease(kv_spec()) as lease:
        kv = lease.stub(KVStub)
        await kv.Echo(EchoRequest())
        os.kill(lease.pid, signal.SIGKILL)
        outcomes = await asyncio.gather(*(kv.Echo(EchoRequest()) for _ in range(20)), return_exceptions=True)
        # Those that were on their way already are not known; no other error, and nobody waits for nothing.
        assert {type(each).__name__ for each in outcomes} <= {"EchoResponse", "OutcomeUnknown"}


async def test_idempotent_calls_survive_each_kill() -> None:
    async with PluginPool(Limits(failures=1_000)) as pool:
        spec = kv_spec(idempotent={"/kv.KV/Echo"})
        for _ in range(3):
            async with pool.lease(spec) as lease:
                kv = lease.stub(KVStub)
                await kv.Echo(EchoRequest())
                stop(lease.pid)
                call = kv.Echo(EchoRequest(payload=b"again"))
                await until(partial(getattr, call, "begun"))
                os.kill(lease.pid, signal.SIGKILL)
                assert (await call).payload == b"again"


async def test_plugin_that_is_stopped_in_the_middle_of_a_call() -> None:
    async with PluginPool() as pool:
        stuck = kv_spec(name="stuck")
        other = PluginSpec(go_kv(), kv_config(env={"APART": "1"}), name="other")
        async with pool.lease(stuck) as lease, pool.lease(other) as apart:
            pid, kv = lease.pid, lease.stub(KVStub)
            stop(pid)
            with pytest.raises(AioRpcError) as caught:
                await kv.Echo(EchoRequest(), timeout=0.2)
            assert (caught.value.code(), caught.value.begun) == (grpc.StatusCode.DEADLINE_EXCEEDED, True)
            await apart.stub(KVStub).Echo(EchoRequest())
            # It answers no health check either, and is ended.
            await until(lambda: not is_running(pid))
            await kv.Echo(EchoRequest())
            assert pool.stats().names[0].exits == {"crash": 1}


async def test_closed_pool_under_calls_fails_the_task_group() -> None:
    async def work(pool: PluginPool) -> None:
        async with pool.lease(kv_spec()) as lease:
            kv = lease.stub(KVStub)
            chat = kv.Chat(requests())
            await chat.read()
            has_begun.set()
            await chat.read()

    async def group_of(pool: PluginPool) -> None:
        async with asyncio.TaskGroup() as group:
            tasks.append(group.create_task(work(pool)))
            await has_begun.wait()
            # The group, which learns of the lost call, cancels this wait.
            await pool.close(force=True)

    tasks: list[asyncio.Task[None]] = []
    has_begun = asyncio.Event()
    async with PluginPool() as pool:
        with pytest.raises(ExceptionGroup) as caught:
            await group_of(pool)
    assert [type(error) for error in caught.value.exceptions] == [LeaseRevoked]
    assert not tasks[0].cancelled()
    assert tasks[0].cancelling() == 0


async def test_failing_iterator_fails_the_call_and_leaves_the_plugin() -> None:
    async def failing() -> Any:
        yield EchoRequest(payload=b"x")
        raise ValueError("no more")

    async with PluginPool() as pool, pool.lease(kv_spec()) as lease:
        kv, pid = lease.stub(KVStub), lease.pid
        with pytest.raises(AioRpcError, match="Exception iterating requests!") as caught:
            async for _ in kv.Chat(failing()):
                pass
        assert caught.value.code() is grpc.StatusCode.UNKNOWN
        assert str(caught.value.__cause__) == "no more"
        assert (await kv.Echo(EchoRequest(payload=b"still"))).payload == b"still"
        assert lease.pid == pid


async def test_memory_soft_limit_and_environment_reach_the_plugin() -> None:
    async with PluginPool() as pool, pool.lease(kv_spec(memory_soft_limit=64 * 2**20)) as lease:
        given = Path(f"/proc/{lease.pid}/environ").read_bytes().split(b"\0")
        assert b"GOMEMLIMIT=67108864" in given


async def test_stock_channel_of_a_client_does_not_hide_what_had_begun() -> None:
    spec = PluginSpec(go_kv(), kv_config(channel="grpcio"))
    async with PluginPool() as pool, pool.lease(spec) as lease:
        kv = lease.stub(KVStub)
        await kv.Echo(EchoRequest())
        stop(lease.pid)
        call = kv.Echo(EchoRequest())
        await until(lambda: call.begun)
        os.kill(lease.pid, signal.SIGKILL)
        with pytest.raises(OutcomeUnknown):
            await call
        await kv.Echo(EchoRequest())
