"""While a thread that waits for a blocking call reads the socket itself: who ends the wait, and what goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Thread, get_ident, main_thread
from typing import Any

import grpc
import pytest

from ferrule import _core
from ferrule.channel.sync import SyncChannel, insecure_channel
from integration.test_host_forks import in_child
from stress.pinging_server import Pinging
from waiting import LIMIT, wait_until

METHOD = "/t/echo"
LONE_CALLS = 50
"""Enough for the thread to read, whoever decides that."""

PAUSE = 0.5
"""Seconds for which a thread that reads does something else."""


@pytest.fixture
def channel(pinging: Pinging) -> Iterator[SyncChannel]:
    with insecure_channel(pinging.target) as channel:
        yield channel


def lone_calls(channel: SyncChannel, count: int = LONE_CALLS) -> None:
    echo: Any = channel.unary_unary(METHOD)
    for number in range(count):
        assert echo(b"%d" % number) == b"%d" % number


def failure_of(channel: SyncChannel, timeout: float | None = None) -> Any:
    """The error of a call that the server holds, on this thread."""
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(METHOD)(b"hold", timeout=timeout)
    return caught.value


@pytest.mark.usefixtures("reader")
def test_deadline_ends_the_wait(channel: SyncChannel, pinging: Pinging) -> None:
    for timeout in (0.001, 0.05):
        lone_calls(channel)
        assert failure_of(channel, timeout).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert pinging.reset.wait(LIMIT)
    lone_calls(channel)


@pytest.mark.usefixtures("reader")
def test_close_on_another_thread_ends_the_wait(channel: SyncChannel, pinging: Pinging) -> None:
    lone_calls(channel)

    def close() -> None:
        assert pinging.held.wait(LIMIT)
        channel.close()

    thread = Thread(target=close)
    thread.start()
    assert failure_of(channel).code() is grpc.StatusCode.CANCELLED
    thread.join(LIMIT)


@pytest.mark.usefixtures("reader")
def test_lost_connection_ends_the_wait(channel: SyncChannel, pinging: Pinging) -> None:
    lone_calls(channel)

    def hang_up() -> None:
        assert pinging.held.wait(LIMIT)
        pinging.hang_up()

    thread = Thread(target=hang_up)
    thread.start()
    assert failure_of(channel).code() is grpc.StatusCode.UNAVAILABLE
    thread.join(LIMIT)
    lone_calls(channel)


@pytest.mark.usefixtures("reader")
def test_signal_is_handled_while_the_thread_waits(channel: SyncChannel, pinging: Pinging) -> None:
    assert get_ident() == main_thread().ident
    lone_calls(channel)

    def interrupt() -> None:
        assert pinging.held.wait(LIMIT)
        os.kill(os.getpid(), signal.SIGINT)

    thread = Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        channel.unary_unary(METHOD)(b"hold", timeout=LIMIT)
    thread.join(LIMIT)
    assert pinging.reset.wait(LIMIT)
    lone_calls(channel)


@pytest.mark.usefixtures("reader")
def test_pings_are_answered_while_the_thread_does_something_else(channel: SyncChannel, pinging: Pinging) -> None:
    lone_calls(channel)
    thread = Thread(target=pinging.ping)
    thread.start()
    time.sleep(PAUSE)  # The subject of this test.
    resumed = time.monotonic()
    thread.join(LIMIT)
    assert pinging.acknowledged is not None
    assert pinging.acknowledged < resumed


@pytest.mark.usefixtures("reader")
def test_pings_are_answered_while_the_thread_waits(channel: SyncChannel, pinging: Pinging) -> None:
    lone_calls(channel)

    def ping_and_hang_up() -> None:
        assert pinging.held.wait(LIMIT)
        pinging.ping()
        pinging.hang_up()

    thread = Thread(target=ping_and_hang_up)
    thread.start()
    assert failure_of(channel).code() is grpc.StatusCode.UNAVAILABLE
    thread.join(LIMIT)


@pytest.mark.usefixtures("reader")
def test_threads_take_turns_on_one_connection(channel: SyncChannel) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: lone_calls(channel, 10 * LONE_CALLS), range(4)))
    assert channel.stats()["calls_succeeded"] == 40 * LONE_CALLS


@pytest.mark.usefixtures("reader")
def test_a_call_that_two_threads_wait_for(channel: SyncChannel, pinging: Pinging) -> None:
    """One of them reads; the other is woken as well."""
    lone_calls(channel)
    core = channel._call_factory._core.call(None, None, METHOD, b"hold", True, None, None, False, None)
    assert pinging.held.wait(LIMIT)
    with ThreadPoolExecutor(2) as threads:
        waits = [threads.submit(core.wait, 16, LIMIT) for _ in range(2)]
        pinging.hang_up()
        assert [wait.result(LIMIT) for wait in waits] == [True, True]


@pytest.mark.usefixtures("reader")
def test_fork_while_the_thread_reads(channel: SyncChannel, pinging: Pinging) -> None:
    lone_calls(channel)

    def use_in_child() -> None:
        with pytest.raises(RuntimeError, match="forked"):
            channel.unary_unary(METHOD)(b"x")

    assert in_child(use_in_child) == 0
    lone_calls(channel)
    pinging.ping()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(("calls", "limit"), [(1, 4), (10, 2 * 64 + 4)], ids=["one call each", "many calls each"])
def test_many_threads_leave_the_descriptors_to_others(channel: SyncChannel, calls: int, limit: int) -> None:
    """As many threads as a web server may have, which all live on."""
    lone_calls(channel)
    before = descriptors()
    count = 200
    parting = Barrier(count + 1, timeout=LIMIT)

    def work() -> None:
        lone_calls(channel, calls)
        parting.wait()

    with ThreadPoolExecutor(count) as threads:
        works = [threads.submit(work) for _ in range(count)]
        wait_until(lambda: parting.n_waiting == count, "the end of the calls")
        opened = descriptors() - before
        parting.wait()
        for each in works:
            each.result(LIMIT)
    assert opened <= limit


@pytest.mark.usefixtures("usual_reader")
def test_descriptors_of_a_thread_end_with_it(channel: SyncChannel) -> None:
    _core.set_reader("caller")

    lone_calls(channel)
    before = descriptors()
    for _ in range(3):
        thread = Thread(target=lone_calls, args=(channel,))
        thread.start()
        thread.join(LIMIT)
    # The connection holds the sockets of the thread that read last, until another thread reads.
    wait_until(lambda: descriptors() <= before, "the end of the threads' descriptors")
