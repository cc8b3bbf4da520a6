"""Streams of responses and of requests."""

from __future__ import annotations

import gc
import itertools
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from channel_sync.conftest import Service
from channel_sync.test_unary import ending, fails
from waiting import LIMIT, wait_until


def test_responses_come_in_order(channel: Any) -> None:
    call: Any = channel.unary_stream("/t/count", None, int)(b"1000", timeout=LIMIT)
    assert list(call) == list(range(1000))
    assert list(call) == []
    assert (call.code(), call.details(), call.result(), call.exception()) == (grpc.StatusCode.OK, "", None, None)
    assert (call.done(), call.is_active(), call.cancel(), call.cancelled()) == (True, False, False, False)


def test_call_is_its_own_iterator(channel: Any) -> None:
    call = channel.unary_stream("/t/count")(b"2", timeout=LIMIT)
    assert iter(call) is call
    assert (next(call), call.next()) == (b"0", b"1")
    assert isinstance(call, grpc.Call)
    assert isinstance(call, grpc.Future)


def test_failure_comes_after_the_responses_and_is_the_call(channel: Any) -> None:
    call: Any = channel.unary_stream("/t/count_and_fail")(b"3", timeout=LIMIT)
    assert list(itertools.islice(call, 3)) == [b"0", b"1", b"2"]
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        assert caught.value is call
    assert (call.code(), call.details()) == (grpc.StatusCode.DATA_LOSS, "enough")
    assert call.exception() is call


def test_first_responses_are_there_before_the_last(channel: Any, service: Service) -> None:
    call: Any = channel.unary_stream("/t/count_and_hold")(b"1", timeout=LIMIT)
    assert next(call) == b"0"
    assert (call.done(), call.is_active(), call.running()) == (False, True, True)
    assert tuple(call.initial_metadata()) == ()
    service.released.set()
    assert list(call) == []


def test_cancelled_stream_raises_itself(channel: Any, service: Service) -> None:
    call: Any = channel.unary_stream("/t/count_and_hold")(b"5", timeout=LIMIT)
    assert next(call) == b"0"
    assert service.reached.wait(LIMIT)
    assert (call.cancel(), call.cancel(), call.cancelled()) == (True, False, True)
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    assert caught.value == call
    assert (call.code(), call.details()) == (grpc.StatusCode.CANCELLED, "Locally cancelled by application!")
    with pytest.raises(grpc.FutureCancelledError):
        call.result()
    assert service.ended.wait(LIMIT)


def test_stream_can_be_cancelled_while_responses_are_unread(channel: Any) -> None:
    call: Any = channel.unary_stream("/t/count")(b"5", timeout=LIMIT)
    assert next(call) == b"0"
    assert call.cancel() is True
    assert ending(lambda: next(call))[0] is grpc.StatusCode.CANCELLED


def test_deadline_ends_a_stream(channel: Any, service: Service) -> None:
    call: Any = channel.unary_stream("/t/count_and_hold")(b"1", timeout=0.3)
    assert next(call) == b"0"
    code, details = ending(lambda: next(call))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "Deadline Exceeded" in details
    assert call.time_remaining() == 0
    assert service.ended.wait(LIMIT)


@pytest.mark.parametrize("function", [fails, lambda _message: None])
def test_response_that_cannot_be_read_ends_the_stream(function: Any, channel: Any) -> None:
    call: Any = channel.unary_stream("/t/count", None, function)(b"5", timeout=LIMIT)
    for _ in range(2):
        assert ending(lambda: next(call)) == (grpc.StatusCode.INTERNAL, "Exception deserializing response!")


def test_server_learns_that_its_responses_cannot_be_read(native: Any, service: Service) -> None:
    call = native.unary_stream("/t/count_and_hold", None, fails)(b"5", timeout=3 * LIMIT)
    assert service.reached.wait(LIMIT)
    assert ending(lambda: next(call)) == (grpc.StatusCode.INTERNAL, "Exception deserializing response!")
    assert service.ended.wait(LIMIT)


def test_callbacks_of_a_stream_run_at_its_end(channel: Any) -> None:
    called: queue.SimpleQueue[object] = queue.SimpleQueue()
    call: Any = channel.unary_stream("/t/count")(b"3", timeout=LIMIT)
    call.add_done_callback(called.put)
    assert len(list(call)) == 3
    assert called.get(timeout=LIMIT) is call


def test_another_thread_can_end_a_blocked_reader(channel: Any, service: Service) -> None:
    call: Any = channel.unary_stream("/t/count_and_hold")(b"0", timeout=LIMIT)
    assert service.reached.wait(LIMIT)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(ending, lambda: next(call))
        call.cancel()
        assert reading.result(LIMIT)[0] is grpc.StatusCode.CANCELLED


def test_several_threads_may_read_one_stream(native: Any) -> None:
    call = native.unary_stream("/t/count", None, int)(b"5000", timeout=LIMIT)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda _: list(call), range(4)))
    assert sorted(itertools.chain.from_iterable(parts)) == list(range(5000))


def test_stream_that_nobody_holds_is_cancelled(channel: Any, service: Service) -> None:
    # The deadline must not be what ends it.
    call: Any = channel.unary_stream("/t/count_and_hold")(b"1", timeout=3 * LIMIT)
    assert next(call) == b"0"
    assert service.reached.wait(LIMIT)
    del call
    gc.collect()
    assert service.ended.wait(LIMIT)


def test_requests_are_joined(channel: Any) -> None:
    join = channel.stream_unary("/t/join", lambda number: b"%d" % number)
    joined = b",".join(b"%d" % number for number in range(500))
    assert join(iter(range(500)), LIMIT) == joined
    assert join.future(iter(range(500)), LIMIT).result() == joined
    response, call = join.with_call(iter(range(500)), timeout=LIMIT)
    assert (response, call.code()) == (joined, grpc.StatusCode.OK)
    assert join(iter(()), timeout=LIMIT) == b""


def test_any_iterable_of_requests_will_do(native: Any) -> None:
    assert native.stream_unary("/t/join")([b"a", b"b"], timeout=LIMIT) == b"a,b"


def test_requests_and_responses_interleave(channel: Any) -> None:
    requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    call: Any = channel.stream_stream("/t/chat")(iter(requests.get, None), timeout=LIMIT)
    for number in range(100):
        requests.put(b"%d" % number)
        assert next(call) == b"%d" % number
    requests.put(None)
    assert list(call) == []
    assert call.code() is grpc.StatusCode.OK


def test_large_messages_pass_both_ways(channel: Any) -> None:
    messages = [bytes([number]) * 1_000_000 for number in range(20)]
    assert list(channel.stream_stream("/t/chat")(iter(messages), timeout=LIMIT)) == messages


def raising() -> Iterator[bytes]:
    yield b"1"
    raise LookupError


@pytest.mark.parametrize(
    ("serializer", "requests", "expected"),
    [
        (None, raising, (grpc.StatusCode.UNKNOWN, "Exception iterating requests!")),
        (fails, lambda: iter([b"1"]), (grpc.StatusCode.INTERNAL, "Exception serializing request!")),
        (lambda _message: None, lambda: iter([b"1"]), (grpc.StatusCode.INTERNAL, "Exception serializing request!")),
    ],
)
def test_requests_that_cannot_be_had_end_the_call(serializer: Any, requests: Any, expected: Any, channel: Any) -> None:
    join = channel.stream_unary("/t/join", serializer)
    chat = channel.stream_stream("/t/chat", serializer)
    assert ending(lambda: join(requests(), timeout=LIMIT)) == expected
    assert ending(lambda: join.future(requests(), timeout=LIMIT).result()) == expected
    assert ending(lambda: list(chat(requests(), timeout=LIMIT))) == expected


def test_callbacks_run_when_requests_cannot_be_had(channel: Any) -> None:
    codes: queue.SimpleQueue[grpc.StatusCode] = queue.SimpleQueue()
    gate = threading.Event()

    def gated() -> Iterator[bytes]:
        gate.wait(LIMIT)
        yield from raising()

    call: Any = channel.stream_unary("/t/join").future(gated(), timeout=LIMIT)
    call.add_done_callback(lambda done: codes.put(done.code()))
    gate.set()
    assert codes.get(timeout=LIMIT) is grpc.StatusCode.UNKNOWN


def test_answer_does_not_wait_for_the_last_request(channel: Any) -> None:
    pulled = threading.Semaphore(0)
    gate = threading.Event()

    def requests() -> Iterator[bytes]:
        yield b"first"
        pulled.release()
        gate.wait(LIMIT)
        yield b"second"
        pulled.release()
        yield b"third"

    assert channel.stream_unary("/t/first")(requests(), timeout=LIMIT) == b"first"
    gate.set()
    wait_until(lambda: not any(thread.name == "ferrule-requests" for thread in threading.enumerate()), "its end")
    # The answer may even be faster than the pull of the second one.
    pulled.acquire(blocking=False)
    assert not pulled.acquire(blocking=False), "a request was pulled after the end"


def test_server_that_does_not_read_slows_the_requests(channel: Any, service: Service) -> None:
    too_many = threading.Event()

    def requests() -> Iterator[bytes]:
        # 200 MB, which take a fraction of a second to copy.
        yield from itertools.repeat(bytes(1_000_000), 200)
        too_many.set()

    call: Any = channel.stream_unary("/t/hold_unread").future(requests(), timeout=LIMIT)
    assert service.reached.wait(LIMIT)
    assert not too_many.wait(1.0)
    call.cancel()
    assert service.ended.wait(LIMIT)
