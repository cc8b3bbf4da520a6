"""The thread that passes on what plugins say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ferrule.channel.sync.worker import Worker
from ferrule.config import ClientConfig
from ferrule.sync import output
from ferrule.sync.output import THREAD_NAME, ThreadOutputForwarder
from ferrule.sync.session import Session
from sync_client.conftest import Pending
from waiting import LIMIT


class Scripted(ThreadOutputForwarder):
    """A forwarder whose plugin speaks in batches that are functions."""

    def __init__(self, *batches: Callable[[], object]) -> None:
        super().__init__(("plugin",), ClientConfig())
        self.batches = list(batches)
        self.threads: set[str] = set()
        self.start()

    def forward_batch(self) -> bool:
        self.threads.add(threading.current_thread().name)
        if self.batches:
            self.batches.pop(0)()
        return bool(self.batches)


@pytest.fixture(autouse=True)
def own_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A thread of the test's own, which its forwarders only start."""
    monkeypatch.setattr(output, "_thread", None)
    yield
    output._end_thread()
    assert output_threads() == []


def output_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def test_all_is_passed_on_in_order_on_the_one_thread() -> None:
    seen: list[int] = []
    forwarders = [Scripted(*(lambda number=number: seen.append(number) for number in range(100))) for _ in range(2)]
    for forwarder in forwarders:
        forwarder.drain()
    assert sorted(seen) == sorted([*range(100)] * 2)
    assert forwarders[0].threads == forwarders[1].threads == {THREAD_NAME}
    # Nobody listens any more.
    assert output_threads() == []


def test_flood_of_one_plugin_does_not_hold_up_another() -> None:
    stop = threading.Event()
    flood = Scripted()
    flood.forward_batch = lambda: not stop.is_set()  # type: ignore[method-assign]
    flood._receive()
    other = Scripted(lambda: None, lambda: None)
    other.drain()
    assert other.batches == []
    stop.set()
    flood.drain()


def test_job_that_posts_itself_does_not_keep_the_mailbox_waiting(pending: Pending) -> None:
    worker, heard = Worker("ferrule-test"), threading.Event()

    class Heard:
        def done(self) -> bool:
            return False

        def set_result(self, _: Any) -> None:
            heard.set()

    def again() -> None:
        if not heard.is_set():
            worker.post(again)

    pending.begin(worker.mailbox, Heard())
    worker.post(again)
    worker.start()
    pending.finish()
    assert heard.wait(LIMIT)
    worker.stop()
    worker.join(LIMIT)


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(1), KeyboardInterrupt()])
def test_handler_that_raises_does_not_end_the_thread(error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
    seen = []

    def fail() -> None:
        raise error

    forwarder = Scripted(fail, lambda: seen.append("after"))
    forwarder.drain()
    assert seen == ["after"]
    assert "passing on the output of a plugin failed" in caplog.text


def test_draining_gives_up_on_a_handler_that_does_not_return(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_DRAIN_STALL_LIMIT", 0.05)
    entered, released = threading.Event(), threading.Event()
    seen: list[object] = []

    def block() -> None:
        entered.set()
        seen.append(released.wait(LIMIT))

    forwarder = Scripted(block, lambda: seen.append("after"))
    forwarder.drain()
    assert entered.is_set()
    assert seen == []
    released.set()
    forwarder.drain()
    # Nothing is lost, only late.
    assert seen == [True, "after"]


def test_draining_waits_for_handlers_that_are_slow_but_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_DRAIN_STALL_LIMIT", 0.5)
    seen: list[int] = []
    never = threading.Event()

    def slow() -> None:
        never.wait(0.1)
        seen.append(1)

    forwarder = Scripted(*[slow] * 12)
    forwarder.drain()
    assert len(seen) == 12


def test_draining_inside_a_handler_returns_at_once() -> None:
    seen: list[str] = []

    def drain() -> None:
        forwarder.drain()
        seen.append("drained")

    forwarder = Scripted()
    forwarder.batches = [drain, lambda: seen.append("rest")]
    forwarder.drain()
    assert seen == ["drained", "rest"]


def test_at_exit_what_is_left_is_passed_on_by_the_caller() -> None:
    forwarder = Scripted()
    output._end_thread()
    assert output_threads() == []
    seen: list[int] = []
    forwarder.batches = [lambda: seen.append(1)] * 500
    forwarder.start()
    forwarder.drain()
    assert len(seen) == 500
    assert forwarder.threads == {threading.current_thread().name}


def test_pause_of_a_session_that_is_given_up_ends() -> None:
    session = Session()
    assert not session.pause(0.01)
    threading.Timer(0.05, session.give_up).start()
    assert session.pause(LIMIT)
    assert session.pause(LIMIT)


def test_pause_after_giving_up_twice() -> None:
    session = Session()
    session.give_up()
    session.give_up()
    assert session.pause(LIMIT)
