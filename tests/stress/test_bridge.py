"""Between an event loop and the I/O thread: several who wait for one call, and calls that are cancelled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc import aio

from ferrule._mailbox import mailbox
from ferrule.channel import insecure_channel
from stress.calls import Run, cancelled, in_thread, unary
from stress.watched_server import Watched
from waiting import LIMIT, until

PROMPTLY = 5.0
OK, CANCELLED, LATE = grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.go
def test_two_awaiters_get_the_same_response(run: Run, echo: str) -> None:
    async def main() -> None:
        async with insecure_channel(echo) as channel:
            call = unary(channel, b"one")

            async def awaits() -> bytes:
                response: bytes = await call
                return response

            first, second = await asyncio.gather(awaits(), awaits())
            assert first is second is await call
            assert first == b"one"

    run(main())


def test_cancelled_awaiter_cancels_the_call_and_the_other_awaiter(run: Run, watched: Callable[..., Watched]) -> None:
    server = watched()

    async def main() -> None:
        async with insecure_channel(server.target) as channel:
            call = unary(channel)

            async def awaits() -> None:
                await call

            first, second = asyncio.create_task(awaits()), asyncio.create_task(awaits())
            await asyncio.sleep(0)
            await in_thread(server.requested.wait)
            first.cancel()
            await cancelled(first)
            await cancelled(second)
            assert await call.code() is CANCELLED
            await in_thread(server.reset.wait)

    run(main())


def test_cancel_before_there_is_a_connection_sends_nothing(run: Run, attacks: Path) -> None:
    async def main() -> None:
        async with insecure_channel(f"unix:{attacks}/silence") as channel:
            calls = [unary(channel) for _ in range(100)]
            assert all(call.cancel() for call in calls)
            assert not any(call.cancel() for call in calls)
            for call in calls:
                await cancelled(call)
                assert await call.details() == "Locally cancelled by application!"
            assert len(mailbox()) == 0
            await until(lambda: channel.stats()["calls_active"] == 0)
            assert channel.stats()["streams_opened"] == 0

    run(main())


@pytest.mark.go
def test_cancel_at_once_ends_calls_one_way_or_the_other(run: Run, echo: str) -> None:
    """Without a turn of the loop in between; the I/O thread may be faster all the same."""

    async def main() -> None:
        async with insecure_channel(echo) as channel:
            await channel.channel_ready()
            for call in [unary(channel) for _ in range(100)]:
                if call.cancel():
                    await cancelled(call)
                else:
                    assert await call == b"x"
            assert await unary(channel) == b"x"
            assert len(mailbox()) == 0

    run(main())


def test_cancel_in_flight_reaches_the_server(run: Run, watched: Callable[..., Watched]) -> None:
    server = watched()

    async def main() -> None:
        async with insecure_channel(server.target) as channel:
            task = asyncio.ensure_future(unary(channel))
            # The task begins to wait: without the lock, what a thread has done by then may come first.
            await asyncio.sleep(0)
            await in_thread(server.requested.wait)
            assert not server.reset.is_set()
            task.cancel()
            await cancelled(task)
            await in_thread(server.reset.wait)

    run(main())


@pytest.mark.go
def test_cancel_after_the_answer_changes_nothing(run: Run, echo: str) -> None:
    async def main() -> None:
        async with insecure_channel(echo) as channel:
            call = unary(channel)
            assert await call == b"x"
            assert call.cancel() is False
            assert await call == b"x"
            assert await call.code() is OK

    run(main())


@pytest.mark.go
def test_cancel_as_the_answer_arrives_is_one_or_the_other(run: Run, echo: str) -> None:
    """The answer is in the mailbox, and the loop has not looked: whoever cancels gets one consistent end."""

    async def main() -> None:
        async with insecure_channel(echo) as channel:
            await channel.channel_ready()
            for _ in range(100):
                before = channel.stats()["calls_succeeded"]
                call = unary(channel)
                deadline = time.monotonic() + LIMIT
                while channel.stats()["calls_succeeded"] == before:
                    assert time.monotonic() < deadline
                if call.cancel():
                    await cancelled(call)
                    assert call.cancelled()
                else:
                    assert await call == b"x"
                assert call.done()
            assert await unary(channel) == b"x"

    run(main())


def test_error_is_new_each_time_and_says_what_happened(run: Run, temporary_directory: Path) -> None:
    async def main() -> None:
        async with insecure_channel(f"unix:{temporary_directory}/nobody") as channel:
            call = unary(channel)
            errors = []
            for _ in range(2):
                with pytest.raises(aio.AioRpcError) as raised:
                    await call
                errors.append(raised.value)
            assert errors[0] is not errors[1]
            assert errors[0].details() == errors[1].details()
            assert "nobody" in (errors[0].details() or "")

    run(main())
