"""The life of a channel: states, subscribers, closing, threads."""

from __future__ import annotations

import gc
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from channel_sync.conftest import Factory, Service
from channel_sync.test_unary import ending
from conftest import descriptors
from ferrule.channel.sync import insecure_channel
from reference import REGISTERED
from waiting import LIMIT, wait_until

State = grpc.ChannelConnectivity


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("ferrule")}


def until(states: queue.SimpleQueue[Any], wanted: State) -> list[State]:
    """What a subscriber was told, up to a state."""
    told = []
    while wanted not in told:
        told.append(states.get(timeout=LIMIT))
    return told


def test_subscriber_is_told_the_state_at_once_and_each_change(channel: Any) -> None:
    states: queue.SimpleQueue[State] = queue.SimpleQueue()
    channel.subscribe(states.put)
    assert states.get(timeout=LIMIT) is State.IDLE
    assert states.empty()
    channel.unary_unary("/t/echo")(b"", timeout=LIMIT)
    assert until(states, State.READY)[-1] is State.READY


def test_subscriber_can_have_the_channel_connect(channel: Any) -> None:
    states: queue.SimpleQueue[State] = queue.SimpleQueue()
    channel.subscribe(states.put, try_to_connect=True)
    until(states, State.READY)
    late: queue.SimpleQueue[State] = queue.SimpleQueue()
    channel.subscribe(late.put, False)
    assert late.get(timeout=LIMIT) is State.READY


def test_subscriber_hears_of_failures(factory: Factory, temporary_directory: Path, no_leaks: None) -> None:
    states: queue.SimpleQueue[State] = queue.SimpleQueue()
    with factory(f"unix:{temporary_directory}/nobody") as channel:
        channel.subscribe(states.put, try_to_connect=True)
        until(states, State.TRANSIENT_FAILURE)


def test_failing_subscriber_does_not_harm_others(channel: Any, caplog: pytest.LogCaptureFixture) -> None:
    states: queue.SimpleQueue[State] = queue.SimpleQueue()
    channel.subscribe(lambda _: 1 / 0)
    channel.subscribe(states.put, try_to_connect=True)
    until(states, State.READY)
    assert "ZeroDivisionError" in caplog.text


def test_channel_ready_future(channel: Any) -> None:
    ready = grpc.channel_ready_future(channel)
    ready.result(timeout=LIMIT)
    assert ready.done()


def test_channel_ready_future_waits(factory: Factory, temporary_directory: Path, no_leaks: None) -> None:
    with factory(f"unix:{temporary_directory}/nobody") as channel:
        ready = grpc.channel_ready_future(channel)
        with pytest.raises(grpc.FutureTimeoutError):
            ready.result(timeout=0.1)
        ready.cancel()


def test_thread_of_subscribers_ends_with_the_last(native: Any) -> None:
    states: queue.SimpleQueue[State] = queue.SimpleQueue()
    native.subscribe(states.put)
    native.unsubscribe(print)
    assert states.get(timeout=LIMIT) is State.IDLE
    assert threads() == {"ferrule-connectivity"}
    native.unsubscribe(states.put)
    wait_until(lambda: not threads(), "the end of the thread")
    native.subscribe(states.put, try_to_connect=True)
    until(states, State.READY)
    assert threads() == {"ferrule-connectivity"}


def test_subscribers_hear_of_the_end(native: Any) -> None:
    states: queue.SimpleQueue[State] = queue.SimpleQueue()
    native.subscribe(states.put, try_to_connect=True)
    until(states, State.READY)
    native.close()
    assert states.get(timeout=LIMIT) is State.SHUTDOWN
    assert threads() == set()
    native.subscribe(states.put)
    assert states.get(timeout=LIMIT) is State.SHUTDOWN
    wait_until(lambda: not threads(), "the end of the thread")


def endless(gate: threading.Event) -> Iterator[bytes]:
    yield b""
    gate.wait(LIMIT)


def test_closing_cancels_all_calls(channel: Any, service: Service) -> None:
    # grpcio puts words around the details of some.
    gate = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        blocked = pool.submit(ending, lambda: channel.unary_unary("/t/hold")(b"", timeout=LIMIT))
        calls: list[Any] = [
            channel.unary_unary("/t/hold").future(b"", timeout=LIMIT),
            channel.unary_stream("/t/count_and_hold")(b"0", timeout=LIMIT),
            channel.stream_unary("/t/hold_unread").future(endless(gate), timeout=LIMIT),
            channel.stream_stream("/t/chat")(endless(gate), timeout=LIMIT),
        ]
        assert next(calls[3]) == b""
        assert service.reached.wait(LIMIT)
        wait_until(lambda: not blocked.done(), "a blocked call")
        channel.close()
        gate.set()
        assert blocked.result(LIMIT)[0] is grpc.StatusCode.CANCELLED
    for call in calls:
        assert call.code() is grpc.StatusCode.CANCELLED
        assert "Channel closed!" in call.details()
        assert call.cancelled() is False
    wait_until(lambda: not threads(), "the end of the threads")


def test_closed_channel_refuses_calls(channel: Any) -> None:
    before = channel.unary_unary("/t/echo")
    channel.close()
    channel.close()
    calls: list[tuple[Any, Any]] = [
        (before, b""),
        (before.future, b""),
        (channel.unary_unary("/t/echo").with_call, b""),
        (channel.unary_stream("/t/count"), b""),
        (channel.stream_unary("/t/join"), iter(())),
        (channel.stream_stream("/t/chat"), iter(())),
    ]
    for call, requests in calls:
        with pytest.raises(ValueError, match="Cannot invoke RPC"):
            call(requests)


def test_callbacks_have_run_when_closing_returns(native: Any, service: Service) -> None:
    codes: list[grpc.StatusCode] = []
    calls: list[Any] = [native.unary_unary("/t/hold").future(b"", timeout=LIMIT) for _ in range(10)]
    for call in calls:
        call.add_done_callback(lambda done: codes.append(done.code()))
    assert service.reached.wait(LIMIT)
    native.close()
    assert codes == [grpc.StatusCode.CANCELLED] * 10
    assert threads() == set()


def test_callback_may_close_the_channel(native: Any) -> None:
    closed = threading.Event()
    future: Any = native.unary_unary("/t/echo").future(b"", timeout=LIMIT)

    def close(_done: object) -> None:
        native.close()
        closed.set()

    future.add_done_callback(close)
    assert closed.wait(LIMIT)
    wait_until(lambda: not threads(), "the end of the thread")


def test_callback_that_waits_for_the_closing_thread_delays_it_only(native: Any, service: Service) -> None:
    gate = threading.Event()
    future: Any = native.unary_unary("/t/hold").future(b"", timeout=LIMIT)
    future.add_done_callback(lambda _: gate.wait(LIMIT))
    assert service.reached.wait(LIMIT)
    native.close()
    assert threads() == {"ferrule-callbacks"}
    gate.set()
    wait_until(lambda: not threads(), "the end of the thread")


def test_collected_channel_leaves_nothing(target: str) -> None:
    with insecure_channel(target) as channel:
        # What the server and the I/O thread keep.
        channel.unary_unary("/t/echo")(b"", timeout=LIMIT)
    del channel
    before = descriptors()
    channel = insecure_channel(target)
    states: queue.SimpleQueue[State] = queue.SimpleQueue()
    # The future's callback holds the channel, and the channel the callback.
    ready = grpc.channel_ready_future(channel)
    ready.result(timeout=LIMIT)
    channel.subscribe(states.put)
    channel.unary_unary("/t/echo").future(b"", timeout=LIMIT).result()
    assert threads() == {"ferrule-callbacks", "ferrule-connectivity"}
    del channel, ready
    gc.collect()
    wait_until(lambda: not threads(), "the end of the threads")
    wait_until(lambda: len(descriptors()) <= len(before), "the end of the connection")


@pytest.mark.parametrize("is_subscribed", [True, False])
def test_closed_channel_that_is_kept_holds_no_descriptor(target: str, is_subscribed: bool) -> None:
    """A program may keep its channels, as a client does for its statistics."""
    with insecure_channel(target) as channel:
        # What the server and the I/O thread keep.
        channel.unary_unary("/t/echo")(b"", timeout=LIMIT)
    before = descriptors()
    channel = insecure_channel(target)
    states: queue.SimpleQueue[State] = queue.SimpleQueue()
    channel.subscribe(states.put)
    assert channel.unary_unary("/t/echo").future(b"", timeout=LIMIT).result() == b""
    if not is_subscribed:
        channel.unsubscribe(states.put)
    channel.close()
    wait_until(lambda: len(descriptors()) <= len(before), "the end of the connection and of the threads")
    assert channel.stats()["calls_succeeded"] == 1


def test_stub_keeps_the_channel_open(factory: Factory, target: str) -> None:
    echo = factory(target).unary_unary("/t/echo")
    gc.collect()
    assert echo(b"x", timeout=LIMIT) == b"x"
    del echo
    gc.collect()


class AddMetadata(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Counts calls of each kind."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def _pass_on(self, kind: str, continuation: Any, details: Any, requests: Any) -> Any:
        self.seen.append(kind)
        return continuation(details, requests)

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return self._pass_on("unary_unary", continuation, client_call_details, request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return self._pass_on("unary_stream", continuation, client_call_details, request)

    def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return self._pass_on("stream_unary", continuation, client_call_details, request_iterator)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return self._pass_on("stream_stream", continuation, client_call_details, request_iterator)


def test_interceptors_see_calls_of_all_kinds(channel: Any) -> None:
    interceptor = AddMetadata()
    intercepted: Any = grpc.intercept_channel(channel, interceptor)
    echo = intercepted.unary_unary("/t/echo", **REGISTERED)
    assert echo(b"x", timeout=LIMIT) == b"x"
    assert echo.with_call(b"x", timeout=LIMIT)[1].code() is grpc.StatusCode.OK
    assert echo.future(b"x", timeout=LIMIT).result() == b"x"
    assert ending(lambda: intercepted.unary_unary("/t/fail")(b"no", timeout=LIMIT)) == (grpc.StatusCode.NOT_FOUND, "no")
    assert list(intercepted.unary_stream("/t/count")(b"2", timeout=LIMIT)) == [b"0", b"1"]
    assert intercepted.stream_unary("/t/join")(iter([b"a", b"b"]), timeout=LIMIT) == b"a,b"
    assert list(intercepted.stream_stream("/t/chat")(iter([b"a"]), timeout=LIMIT)) == [b"a"]
    assert interceptor.seen == ["unary_unary"] * 4 + ["unary_stream", "stream_unary", "stream_stream"]
