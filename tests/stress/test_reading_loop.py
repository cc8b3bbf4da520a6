"""While a loop reads a connection's socket itself: what it must not keep waiting, and how it loses the socket again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest

from ferrule import _core
from ferrule._mailbox import mailbox
from ferrule.channel import Channel, insecure_channel
from ferrule.testing.kv_pb2 import GetRequest
from integration.bridge_program import LOOPS
from integration.kv import started
from integration.test_host_forks import in_child
from peers import python_kv
from stress.calls import Run
from stress.pinging_server import Pinging
from waiting import LIMIT, wait_until

METHOD = "/t/echo"
BLOCKED = 2.0
"""Seconds for which the loop does nothing at all."""

LONE_CALLS = 50
"""Enough for the loop to read, whoever decides that."""
ATTEMPTS = 5


async def lone_calls(channel: Channel, count: int = LONE_CALLS) -> None:
    echo: Any = channel.unary_unary(METHOD)
    for number in range(count):
        assert await echo(b"%d" % number) == b"%d" % number


@pytest.mark.usefixtures("reader")
def test_blocked_loop_stops_neither_pings_nor_a_deadline(run: Run, pinging: Pinging) -> None:
    async def main() -> None:
        async with insecure_channel(pinging.target) as channel:
            await lone_calls(channel)
            call: Any = channel.unary_unary(METHOD)(b"hold", timeout=BLOCKED / 4)
            assert pinging.held.wait(LIMIT)
            ping = Thread(target=pinging.ping)
            ping.start()
            time.sleep(BLOCKED)  # noqa: ASYNC251 - the subject of this test
            resumed = time.monotonic()
            ping.join()
            assert pinging.acknowledged is not None
            assert pinging.acknowledged < resumed
            # The deadline was told to the server as well.
            assert pinging.reset.is_set()
            assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await lone_calls(channel)

    run(main())


@pytest.mark.usefixtures("usual_reader")
def test_acknowledgement_of_a_ping_travels_with_the_next_request(run: Run, pinging: Pinging) -> None:
    pinging.pings_with_responses = True
    _core.set_reader("caller")

    async def main() -> None:
        async with insecure_channel(pinging.target) as channel:
            await lone_calls(channel)

    # Not those before the loop had the socket, nor any between which the machine was busy: so more than one attempt.
    for _ in range(ATTEMPTS):
        pinging.joined = 0
        run(main())
        if pinging.joined > LONE_CALLS / 2:
            return
    pytest.fail(f"{pinging.joined} of {LONE_CALLS} requests came with an acknowledgement")


@pytest.mark.usefixtures("reader")
def test_acknowledgement_of_a_ping_waits_for_no_request(run: Run, pinging: Pinging) -> None:
    def is_acknowledged() -> bool:
        return pinging.acknowledged is not None

    async def main() -> None:
        async with insecure_channel(pinging.target) as channel:
            await lone_calls(channel)
            pinging.pings_with_responses = True
            pinging.acknowledged = None
            await lone_calls(channel, 1)
            await asyncio.to_thread(wait_until, is_acknowledged, "the acknowledgement")
            pinging.acknowledged = None
            await lone_calls(channel, 1)
            # The task keeps the loop from its turn.
            wait_until(is_acknowledged, "the acknowledgement")

    run(main())


@pytest.mark.usefixtures("reader")
def test_lone_call_whose_loop_is_blocked_is_over_by_its_deadline(run: Run, pinging: Pinging) -> None:
    async def main() -> None:
        async with insecure_channel(pinging.target) as channel:
            await lone_calls(channel)
            call: Any = channel.unary_unary(METHOD)(b"hold", timeout=0.01)
            # Without a turn of the loop.
            assert pinging.reset.wait(LIMIT)
            assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await lone_calls(channel)

    run(main())


@pytest.mark.usefixtures("reader")
def test_goaway_is_heard_while_the_loop_reads_and_while_it_is_blocked(run: Run, pinging: Pinging) -> None:
    async def main() -> None:
        async with insecure_channel(pinging.target) as channel:
            for goaways in range(1, 4):
                await lone_calls(channel)
                pinging.go_away()
                wait_until(lambda: channel.get_state() is grpc.ChannelConnectivity.IDLE, "the end of readiness")
                await lone_calls(channel)
                assert channel.stats()["connections_opened"] == goaways + 1

    run(main())


@pytest.mark.usefixtures("reader")
def test_lost_connection_is_heard_while_the_loop_is_blocked(run: Run, pinging: Pinging) -> None:
    async def main() -> None:
        async with insecure_channel(pinging.target) as channel:
            await lone_calls(channel)
            call: Any = channel.unary_unary(METHOD)(b"hold")
            assert pinging.held.wait(LIMIT)
            pinging.hang_up()
            wait_until(lambda: channel.get_state() is not grpc.ChannelConnectivity.READY, "the end of readiness")
            assert await call.code() is grpc.StatusCode.UNAVAILABLE
            await lone_calls(channel)

    run(main())


@pytest.mark.usefixtures("reader", "no_leaks")
async def test_plugin_that_is_killed_while_the_loop_is_blocked() -> None:
    async with started(python_kv()) as (client, kv):
        for _ in range(LONE_CALLS):
            with contextlib.suppress(grpc.aio.AioRpcError):
                await kv.Get(GetRequest(key="k"))
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        channel = client.grpc_channel
        assert channel is not None
        wait_until(lambda: channel.get_state() is not grpc.ChannelConnectivity.READY, "the end of readiness")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await kv.Get(GetRequest(key="k"))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "SIGKILL" in (caught.value.details() or "")


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("loop_name", LOOPS)
def test_loop_closed_while_it_reads_leaves_the_connection_to_the_next(loop_name: str, pinging: Pinging) -> None:
    """Several loops use one connection, as the faces of one plugin may."""
    shared = insecure_channel(pinging.target)
    with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
        first = Channel(shared._core, secure=False)
        runner.run(lone_calls(first))

        async def begin() -> Any:
            return first.unary_unary(METHOD)(b"hold")

        call = runner.run(begin())
    # The loop is closed, with a call under way.
    pinging.ping()
    with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
        second = Channel(shared._core, secure=False)
        runner.run(lone_calls(second))
        assert not call.done()
        assert shared.stats()["connections_opened"] == 1
        runner.run(shared.close())


@pytest.mark.usefixtures("reader")
def test_two_loops_take_turns_on_one_connection(pinging: Pinging) -> None:
    shared = insecure_channel(pinging.target)

    # A channel that is forgotten closes the connection.
    channels = [Channel(shared._core, secure=False) for _ in range(3)]
    failures: list[BaseException] = []

    def work(channel: Channel) -> None:
        try:
            asyncio.run(lone_calls(channel, 10 * LONE_CALLS))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test is to hear of it
            failures.append(error)

    threads = [Thread(target=work, args=(channel,)) for channel in channels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)
    assert shared.stats()["calls_succeeded"] == 30 * LONE_CALLS
    asyncio.run(shared.close())


@pytest.mark.usefixtures("reader")
def test_fork_while_the_loop_reads(pinging: Pinging) -> None:
    async def main() -> None:
        async with insecure_channel(pinging.target) as channel:
            await lone_calls(channel)

            def use_in_child() -> None:
                with pytest.raises(RuntimeError, match="forked"):
                    channel._core.connect()

            assert in_child(use_in_child) == 0
            await lone_calls(channel)
            pinging.ping()

    asyncio.run(main())


def test_unknown_reader() -> None:
    with pytest.raises(ValueError, match='reader is "nobody", expected one of automatic, io_thread, caller, random'):
        _core.set_reader("nobody")


@pytest.mark.usefixtures("usual_reader")
def test_idle_loop_gives_the_socket_back(run: Run, pinging: Pinging) -> None:
    """Seen from its set of sockets, which the kernel shows."""

    async def main() -> None:
        async with insecure_channel(pinging.target) as channel:
            await lone_calls(channel)
            sockets = mailbox().sockets_fileno()

            def watched() -> int:
                return Path(f"/proc/self/fdinfo/{sockets}").read_text().count("tfd:")

            wait_until(lambda: watched() == 0, "the return of the socket")
            _core.set_reader("caller")
            async with asyncio.timeout(LIMIT):
                # A thread that waits for a processor for some milliseconds finds the socket taken back.
                while watched() != 1:
                    await lone_calls(channel, 2)
            _core.set_reader("io_thread")
            await asyncio.gather(*(channel.unary_unary(METHOD)(b"many") for _ in range(16)))
            wait_until(lambda: watched() == 0, "the return of the socket")

    run(main())
