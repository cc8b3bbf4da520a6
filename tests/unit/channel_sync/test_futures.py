"""Calls that run while the caller does something else."""

from __future__ import annotations

import gc
import logging
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from channel_sync.conftest import Service
from waiting import LIMIT


def test_future_has_the_result(channel: Any) -> None:
    future: Any = channel.unary_unary("/t/echo", None, lambda data: [data]).future(b"x", timeout=LIMIT)
    assert future.result() == [b"x"]
    assert future.result(timeout=0) is future.result()
    assert (future.exception(), future.traceback(), future.done(), future.running()) == (None, None, True, False)
    assert (future.code(), future.details(), future.cancelled()) == (grpc.StatusCode.OK, "", False)
    assert tuple(future.initial_metadata()) == (("first", "1"),)
    assert future.trailing_metadata()[0].key == "last"


def test_future_of_a_failure_is_its_own_exception(channel: Any) -> None:
    future: Any = channel.unary_unary("/t/fail").future(b"nothing", timeout=LIMIT)
    assert future.exception() is future
    assert future.traceback() is not None
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as caught:
            future.result()
        assert caught.value is future
    assert (future.code(), future.details()) == (grpc.StatusCode.NOT_FOUND, "nothing")


def test_waiting_has_a_limit(channel: Any, service: Service) -> None:
    future = channel.unary_unary("/t/hold").future(b"x", timeout=LIMIT)
    assert service.reached.wait(LIMIT)
    for ask in (future.result, future.exception, future.traceback):
        with pytest.raises(grpc.FutureTimeoutError):
            ask(timeout=0.01)
    assert (future.done(), future.running(), future.is_active()) == (False, True, True)
    assert 0 < future.time_remaining() <= LIMIT
    service.released.set()
    assert future.result(LIMIT) == b"x"


def test_cancelling_ends_the_call_on_both_sides(channel: Any, service: Service) -> None:
    future = channel.unary_unary("/t/hold").future(b"x", timeout=LIMIT)
    assert service.reached.wait(LIMIT)
    assert (future.cancel(), future.cancel()) == (True, False)
    assert (future.cancelled(), future.done(), future.is_active()) == (True, True, False)
    assert (future.code(), future.details()) == (grpc.StatusCode.CANCELLED, "Locally cancelled by application!")
    for ask in (future.result, future.exception, future.traceback):
        with pytest.raises(grpc.FutureCancelledError):
            ask()
    assert tuple(future.trailing_metadata()) == ()
    assert service.ended.wait(LIMIT)


def test_finished_future_cannot_be_cancelled(channel: Any) -> None:
    future = channel.unary_unary("/t/echo").future(b"x", timeout=LIMIT)
    assert future.result() == b"x"
    assert (future.cancel(), future.cancelled()) == (False, False)


@pytest.mark.parametrize("how", ["result", "failure", "cancel"])
def test_callbacks_run_once_in_order_on_another_thread(how: str, channel: Any, service: Service) -> None:
    future: Any = channel.unary_unary("/t/hold", None, fails if how == "failure" else None).future(b"", timeout=LIMIT)
    assert service.reached.wait(LIMIT)
    called: queue.SimpleQueue[object] = queue.SimpleQueue()
    assert future.add_callback(lambda: called.put(1)) is True
    future.add_done_callback(called.put)
    future.add_done_callback(lambda _: called.put(threading.current_thread()))
    if how == "cancel":
        future.cancel()
    service.released.set()
    assert called.get(timeout=LIMIT) == 1
    assert called.get(timeout=LIMIT) == future
    assert called.get(timeout=LIMIT) is not threading.current_thread()
    assert future.done()
    channel.close()
    assert called.empty()


def fails(_message: object) -> Any:
    raise ArithmeticError


def test_late_callback_runs_at_once(channel: Any) -> None:
    future: Any = channel.unary_unary("/t/echo").future(b"x", timeout=LIMIT)
    first = threading.Event()
    future.add_done_callback(lambda _: first.set())
    assert first.wait(LIMIT)
    called: list[object] = []
    future.add_done_callback(called.append)
    assert called == [future]
    assert future.add_callback(lambda: None) is False


def test_failing_callback_is_logged_and_the_others_run(
    channel: Any, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    future = channel.unary_unary("/t/hold").future(b"", timeout=LIMIT)
    called = threading.Event()
    future.add_done_callback(fails)
    future.add_done_callback(lambda _: called.set())
    with caplog.at_level(logging.ERROR):
        service.released.set()
        assert called.wait(LIMIT)
    assert "allback" in caplog.text


def test_callback_may_use_the_channel(channel: Any) -> None:
    answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    echo = channel.unary_unary("/t/echo")
    future: Any = echo.future(b"x", timeout=LIMIT)
    future.add_done_callback(lambda done: answers.put(done.result() + echo(b"y", timeout=LIMIT)))
    assert answers.get(timeout=LIMIT) == b"xy"


def test_future_that_nobody_holds_is_cancelled(channel: Any, service: Service) -> None:
    # The deadline must not be what ends it.
    future = channel.unary_unary("/t/hold").future(b"", timeout=3 * LIMIT)
    assert service.reached.wait(LIMIT)
    del future
    gc.collect()
    assert service.ended.wait(LIMIT)


def test_callbacks_hold_a_future(channel: Any, service: Service) -> None:
    codes: queue.SimpleQueue[grpc.StatusCode] = queue.SimpleQueue()
    hold = channel.unary_unary("/t/hold")
    hold.future(b"", timeout=LIMIT).add_done_callback(lambda done: codes.put(done.code()))
    assert service.reached.wait(LIMIT)
    gc.collect()
    service.released.set()
    assert codes.get(timeout=LIMIT) is grpc.StatusCode.OK


def test_response_is_read_once_for_all_threads(channel: Any, service: Service) -> None:
    future: Any = channel.unary_unary("/t/hold", None, lambda data: [data]).future(b"x", timeout=LIMIT)
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(future.result) for _ in range(8)]
        service.released.set()
        results = [each.result(LIMIT) for each in waiting]
    assert all(result is results[0] for result in results)


def test_many_futures_at_once(channel: Any) -> None:
    # Of more than a thousand calls that wait for a thread a grpcio server refuses some.
    echo = channel.unary_unary("/t/echo")
    called: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    futures: list[Any] = [echo.future(b"%d" % number, timeout=LIMIT) for number in range(500)]
    for future in futures:
        future.add_done_callback(lambda done: called.put(done.result()))
    assert [future.result() for future in futures] == [b"%d" % number for number in range(500)]
    assert len({called.get(timeout=LIMIT) for _ in futures}) == 500


def test_one_thread_serves_all_futures(native: Any) -> None:
    futures = [native.unary_unary("/t/echo").future(b"", timeout=LIMIT) for _ in range(10)]
    assert [future.result() for future in futures] == [b""] * 10
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("ferrule")]
    assert names == ["ferrule-callbacks"]
