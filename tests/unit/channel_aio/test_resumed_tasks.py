"""Tasks that await a call are resumed in the callback of the loop that brings the call's end."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import grpc
import pytest

from ferrule.channel import Channel, insecure_channel
from waiting import LIMIT

NAME: ContextVar[str] = ContextVar("name")


def waiting_call(own: Channel) -> Any:
    """A call that the server answers when it is let go on."""
    return own.unary_unary("/test/uu_wait")(b"x")


async def awaited(call: Any) -> Any:
    return await call


async def test_all_tasks_that_await_a_call_get_its_response(own: Channel, peer: Any) -> None:
    call = waiting_call(own)
    tasks = [asyncio.create_task(awaited(call)) for _ in range(3)]
    await peer.started.wait()
    peer.release.set()
    assert await asyncio.gather(call, *tasks) == [b"x"] * 4


async def test_the_end_of_one_task_ends_the_call_for_all(own: Channel, peer: Any) -> None:
    call = waiting_call(own)
    tasks = [asyncio.create_task(awaited(call)) for _ in range(2)]
    await peer.started.wait()
    tasks[0].cancel("enough")
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
    assert call.cancelled()
    await peer.cancelled.wait()


async def test_a_cancelled_task_is_told_why(own: Channel, peer: Any) -> None:
    async def work() -> str:
        try:
            await waiting_call(own)
        except asyncio.CancelledError as error:
            return str(error)
        return ""

    task = asyncio.create_task(work())
    await peer.started.wait()
    task.cancel("enough")
    assert await task == "enough"


async def test_a_task_that_ends_a_call_goes_on_before_those_that_await_it(own: Channel, peer: Any) -> None:
    call, order = waiting_call(own), []

    async def work() -> None:
        try:
            await call
        finally:
            order.append("awaiting")

    task = asyncio.create_task(work())
    await peer.started.wait()
    assert call.cancel()
    order.append("ending")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order == ["ending", "awaiting"]


async def test_resumed_tasks_have_their_own_context_and_name(own: Channel) -> None:
    async def work(name: str) -> tuple[str, str]:
        NAME.set(name)
        assert await own.unary_unary("/test/uu_echo")(b"x") == b"x"
        task = asyncio.current_task()
        assert task is not None
        return NAME.get(), task.get_name()

    tasks = [asyncio.create_task(work(name), name=name) for name in "abc"]
    assert await asyncio.gather(*tasks) == [(name, name) for name in "abc"]


async def test_an_error_of_one_resumed_task_leaves_the_others_alone(own: Channel) -> None:
    async def work(number: int) -> int:
        await own.unary_unary("/test/uu_echo")(b"x")
        return 1 // number

    outcomes = await asyncio.gather(*map(work, (1, 0, 1)), return_exceptions=True)
    assert [repr(outcome) for outcome in outcomes] == [
        "1",
        "ZeroDivisionError('integer division or modulo by zero')",
        "1",
    ]


async def test_a_task_awaits_a_call_that_has_ended_while_others_still_wait(own: Channel, peer: Any) -> None:
    call = waiting_call(own)
    codes = asyncio.create_task(call.code())
    await peer.started.wait()
    peer.release.set()
    assert await call == b"x"
    assert await call == b"x"
    assert await codes is grpc.StatusCode.OK


async def test_a_deadline_of_asyncio_ends_the_call(own: Channel, peer: Any) -> None:
    call = waiting_call(own)

    async def work() -> None:
        async with asyncio.timeout(None) as limit:
            await peer.started.wait()
            limit.reschedule(asyncio.get_running_loop().time())
            await call

    with pytest.raises(TimeoutError):
        await work()
    assert call.cancelled()
    await peer.cancelled.wait()


async def test_a_task_that_ends_the_loop_leaves_the_others_to_its_next_run(peer: Any) -> None:
    async def work(channel: Channel, ends: bool) -> bytes:
        response: bytes = await channel.unary_unary("/test/uu_echo")(b"x")
        if ends:
            raise SystemExit
        return response

    def calls() -> list[bytes | BaseException]:
        with asyncio.Runner() as runner:
            channel = insecure_channel(peer.target)
            tasks: list[asyncio.Task[bytes]] = []

            async def begin() -> None:
                tasks.extend(asyncio.create_task(work(channel, number == 0)) for number in range(3))
                await asyncio.wait(tasks)

            with pytest.raises(SystemExit):
                runner.run(begin())
            outcomes = runner.run(settled(tasks[1:]))
            runner.run(channel.close())
            return outcomes

    assert await asyncio.to_thread(calls) == [b"x"] * 2


@pytest.mark.parametrize("place", ["deserializer", "done callback"])
async def test_a_function_of_the_users_that_ends_the_loop_leaves_no_task_waiting(place: str, peer: Any) -> None:
    def end(_: object) -> bytes:
        raise SystemExit

    def outcomes() -> list[bytes | BaseException]:
        with asyncio.Runner() as runner:
            channel = insecure_channel(peer.target)
            tasks: list[asyncio.Task[bytes]] = []

            async def begin() -> None:
                deserializer = end if place == "deserializer" else None
                call: Any = channel.unary_unary("/test/uu_echo", response_deserializer=deserializer)(b"x")
                if place == "done callback":
                    call.add_done_callback(end)
                tasks.extend(asyncio.create_task(awaited(call)) for _ in range(2))
                await asyncio.wait(tasks)

            with pytest.raises(SystemExit):
                runner.run(begin())
            settling = asyncio.wait_for(settled(tasks), LIMIT)
            try:
                return runner.run(settling)
            finally:
                runner.run(channel.close())

    ends = await asyncio.to_thread(outcomes)
    if place == "done callback":
        assert ends == [b"x"] * 2
    else:
        for end_of_task in ends:
            assert isinstance(end_of_task, grpc.aio.AioRpcError)
            assert end_of_task.code() is grpc.StatusCode.INTERNAL
            assert isinstance(end_of_task.__cause__, SystemExit)


async def settled(tasks: list[asyncio.Task[bytes]]) -> list[bytes | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)
