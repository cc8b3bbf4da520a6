"""The thread that runs callbacks: none of them is lost at the thread's beginning or end."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from channel_sync.conftest import Service
from ferrule.channel.sync import insecure_channel
from ferrule.channel.sync.worker import Worker
from ferrule.errors import LaunchError
from waiting import LIMIT


def test_job_that_comes_after_the_end_of_the_thread_runs_at_once() -> None:
    worker, ran = Worker("worker"), list[threading.Thread]()
    worker.post(lambda: ran.append(threading.current_thread()))
    assert ran == []
    worker.start()
    worker.finish()
    worker.join(LIMIT)
    assert [thread.name for thread in ran] == ["worker"]
    worker.post(lambda: ran.append(threading.current_thread()))
    assert ran[1:] == [threading.current_thread()]


def test_job_that_fails_after_the_end_of_the_thread_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker("worker")
    worker.start()
    worker.stop()
    worker.join(LIMIT)
    worker.post(lambda: 1 // 0)
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_callbacks_run_after_a_thread_was_refused(
    service: Service, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "ferrule-callbacks":
            raise RuntimeError("can't start new thread")
        start(thread)

    with insecure_channel(target) as channel:
        call: Any = channel.unary_unary("/t/echo")
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            with pytest.raises(LaunchError):
                call.future(b"x")
        called = threading.Event()
        call.future(b"x").add_done_callback(lambda _: called.set())
        assert called.wait(LIMIT)
