"""Between an event loop and the I/O thread: a loop that is flooded, busy, foreign or closed; what nobody holds."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterable
from typing import Any

import grpc
import pytest

from ferrule._mailbox import mailbox
from ferrule.channel import Channel, insecure_channel
from integration.bridge_program import LOOPS
from integration.usage import own_named_threads
from stress.calls import STREAM, Run, in_thread, stream_of, unary
from stress.memory import MIB
from stress.watched_server import Watched, sends_without_end
from waiting import LIMIT

PROMPTLY = 5.0
OK, CANCELLED, LATE = grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.go
def test_thousands_of_calls_at_once_do_not_starve_the_loop(run: Run, echo: str) -> None:
    async def main() -> None:
        async with insecure_channel(echo) as channel:
            calls = [unary(channel, b"%d" % number) for number in range(10_000)]
            finished_per_turn = []
            while not all(call.done() for call in calls):
                finished_per_turn.append(sum(call.done() for call in calls))
                await asyncio.sleep(0)
            assert [await call for call in calls] == [b"%d" % number for number in range(10_000)]
            # Other callbacks had their turn in between: a turn of the loop has 1,024 of them at most.
            assert len(set(finished_per_turn)) >= 10
            assert channel.stats()["connections_opened"] == 1

    run(main())


@pytest.mark.go
def test_call_from_another_loop_is_refused(run: Run, echo: str) -> None:
    channel = run(made_on_this_loop(echo))

    async def main() -> None:
        with pytest.raises(RuntimeError, match="attached to a different loop"):
            unary(channel)
        with pytest.raises(RuntimeError, match="attached to a different loop"):
            stream_of(channel, 1, 1)

    asyncio.run(main())

    async def again() -> None:
        assert await unary(channel) == b"x"
        await channel.close()

    run(again())


async def made_on_this_loop(target: str) -> Channel:
    channel = insecure_channel(target)
    assert await unary(channel) == b"x"
    return channel


def test_blocked_loop_stops_neither_a_stream_nor_a_deadline(run: Run, watched: Callable[..., Watched]) -> None:
    """While the loop does nothing at all, megabytes arrive, and the deadline is told to the server in time."""
    server = watched(sends_without_end)

    async def main() -> None:
        async with insecure_channel(server.target) as channel:
            await channel.channel_ready()
            begun = time.monotonic()
            call: Any = channel.unary_stream(STREAM)(b"x", timeout=0.5)
            assert server.reset.wait(LIMIT)
            assert 0.5 <= time.monotonic() - begun < 0.5 + PROMPTLY / 2
            assert server.sent >= 4 * MIB
            assert await call.code() is LATE

    run(main())


@pytest.mark.go
def test_forgotten_channel_goes_away_after_its_calls(run: Run, watched: Callable[..., Watched]) -> None:
    server = watched()

    async def main() -> None:
        channel = insecure_channel(server.target)
        call = unary(channel)
        await in_thread(server.requested.wait)
        del channel
        gc.collect()
        # The call holds it.
        assert not call.done()
        assert not server.gone.is_set()
        call.cancel()
        del call
        gc.collect()
        await in_thread(server.gone.wait)
        assert server.reset.is_set()
        assert len(mailbox()) == 0

    run(main())


def test_forgotten_stream_is_cancelled_and_its_channel_goes_away(run: Run, watched: Callable[..., Watched]) -> None:
    server = watched(sends_without_end)

    async def main() -> None:
        channel = insecure_channel(server.target)
        call: Any = channel.unary_stream(STREAM)(b"x")
        await call.read()
        del channel, call
        gc.collect()
        await in_thread(server.gone.wait)
        assert server.reset.is_set()

    run(main())


@pytest.mark.go
def test_rapid_cancels_leave_a_connection_that_works(run: Run, echo: str) -> None:
    async def main() -> None:
        async with insecure_channel(echo) as channel:
            await channel.channel_ready()
            for _ in range(100):
                calls = [unary(channel) for _ in range(100)]
                # Half of them have gone out by then.
                await calls[50].wait_for_connection()
                for call in calls:
                    call.cancel()
            assert await unary(channel) == b"x"
            stats = channel.stats()
            assert stats["connections_opened"] == 1
            assert stats["calls_started"] == 10_001
            assert len(mailbox()) == 0

    run(main())


def cores_own(threads: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the core, of which none comes and none goes."""
    return {(key, name) for key, name in threads if name.startswith("ferrule-")}


@pytest.mark.go
def test_any_number_of_calls_and_channels_takes_one_thread(run: Run, echo: str) -> None:
    async def main() -> None:
        channels = [insecure_channel(echo) for _ in range(20)]
        assert await unary(channels[0]) == b"x"
        before = own_named_threads().items()
        calls = [unary(channel, bytes(1000)) for channel in channels for _ in range(100)]
        streams = [stream_of(channel, 10, 100_000) for channel in channels]
        during = own_named_threads().items()
        await asyncio.gather(*calls)
        for stream in streams:
            assert [len(response) async for response in stream] == [100_000] * 10
        # One of a test before this one may end meanwhile.
        after = own_named_threads().items()
        assert during <= before
        assert after <= before
        assert cores_own(before) == cores_own(during) == cores_own(after)
        for channel in channels:
            await channel.close()

    run(main())


@pytest.mark.parametrize("loop_name", LOOPS)
def test_loop_closed_with_calls_in_flight_gives_everything_back(
    loop_name: str, watched: Callable[..., Watched]
) -> None:
    server = watched(sends_without_end)
    loop = LOOPS[loop_name]()
    reported: list[Any] = []
    loop.set_exception_handler(lambda _loop, context: reported.append(context))
    channel = insecure_channel(server.target)
    calls: list[Any] = []

    async def begin(channel: Channel) -> None:
        # To the first one, more answers come than it takes; the last one's deadline passes.
        calls.append(unary(channel))
        await in_thread(server.requested.wait)
        calls.extend((channel.unary_stream(STREAM)(b"x"), unary(channel, timeout=0.1)))

    loop.run_until_complete(begin(channel))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    # They end with nobody to hear of it.
    limit = time.monotonic() + LIMIT
    while channel.stats()["calls_failed"] < 2:
        assert time.monotonic() < limit
    for call in calls:
        call.cancel()
    del call, channel
    calls.clear()
    del loop

    async def anything() -> None:
        mailbox()

    # The next loop's mailbox makes the closed one's go away.
    asyncio.run(anything())
    gc.collect()
    assert server.gone.wait(PROMPTLY)
    assert reported == []
