"""Threads that wait for one operation of the core."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from conftest import descriptors
from ferrule._host import operation
from ferrule._host.operation import Operation
from sync_client.conftest import Pending
from waiting import LIMIT, wait_until


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def event_descriptors() -> int:
    return sum("eventfd" in target for target in descriptors().values())


def test_all_threads_get_the_outcome_of_what_was_begun_once(pending: Pending, threads: ThreadPoolExecutor) -> None:
    shared, ready = Operation(pending.begin), threading.Barrier(9)
    shared.begin()

    def wait() -> Any:
        ready.wait(LIMIT)
        return shared.result(LIMIT)

    waiting = [threads.submit(wait) for _ in range(8)]
    ready.wait(LIMIT)
    pending.finish()
    assert [each.result(LIMIT) for each in waiting] == [None] * 8
    assert pending.begun == 1
    assert shared.result(0) is None


def test_limit_passes_and_the_operation_goes_on(pending: Pending) -> None:
    shared = Operation(pending.begin)
    for limit in (0, 0.01):
        with pytest.raises(TimeoutError, match=f"after {limit} s"):
            shared.result(limit)
    pending.finish()
    assert shared.result(LIMIT) is None
    assert pending.begun == 1


def test_thread_whose_limit_passes_leaves_the_watch_to_another(pending: Pending, threads: ThreadPoolExecutor) -> None:
    shared = Operation(pending.begin)
    short, long = threads.submit(shared.result, 0.2), threads.submit(shared.result, LIMIT)
    with pytest.raises(TimeoutError):
        short.result(LIMIT)
    assert not long.done()
    pending.finish()
    assert long.result(LIMIT) is None


def test_waiting_often_takes_no_more_descriptors(pending: Pending) -> None:
    shared = Operation(pending.begin)
    before = event_descriptors()
    for _ in range(20):
        with pytest.raises(TimeoutError):
            shared.result(0)
    assert event_descriptors() == before + 1
    pending.finish()
    shared.result(LIMIT)
    # The I/O thread lets go of its end a moment after the outcome.
    wait_until(lambda: event_descriptors() == before, "the descriptor given back")


def test_beginning_that_fails_is_tried_again(pending: Pending) -> None:
    failures = [RuntimeError("not yet")]

    def begin(mailbox: Any, future: Any) -> None:
        if failures:
            raise failures.pop()
        pending.begin(mailbox, future)

    shared = Operation(begin)
    with pytest.raises(RuntimeError, match="not yet"):
        shared.begin()
    shared.begin()
    pending.finish()
    assert shared.result(LIMIT) is None
    assert pending.begun == 1


class InterruptedMailbox:
    """One whose first drain is interrupted after it took the outcome out."""

    interrupts = 1

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.write(self._writer, b"x")

    def __del__(self) -> None:
        os.close(self._reader)
        os.close(self._writer)

    def fileno(self) -> int:
        return self._reader

    def drain(self) -> None:
        if InterruptedMailbox.interrupts:
            InterruptedMailbox.interrupts -= 1
            raise KeyboardInterrupt
        self.future.set_result("heard")

    future: Any


def test_outcome_that_an_interrupt_lost_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "Mailbox", InterruptedMailbox)
    begun = []

    def begin(mailbox: Any, future: Any) -> None:
        begun.append(mailbox)
        mailbox.future = future

    shared = Operation(begin)
    with pytest.raises(KeyboardInterrupt):
        shared.result(LIMIT)
    assert shared.result(LIMIT) == "heard"
    assert len(begun) == 2


def test_handler_of_a_signal_may_wait_for_the_same(pending: Pending) -> None:
    shared, seen = Operation(pending.begin), []
    shared.begin()

    def handle(_number: int, _frame: object) -> None:
        pending.finish()
        seen.append(shared.result(LIMIT))

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        sender = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
        sender.start()
        assert shared.result(LIMIT) is None
        sender.join(LIMIT)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [None]
