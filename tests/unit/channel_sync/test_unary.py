"""Blocking calls with one response."""

from __future__ import annotations

import ast
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from channel_sync.conftest import Factory, Service
from ferrule import __version__
from ferrule.channel.sync import insecure_channel
from waiting import LIMIT

Ending = tuple[grpc.StatusCode, str]


def ending(call: Callable[[], Any]) -> Ending:
    """How a call fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error.code(), error.details()


def test_call_returns_the_response(channel: Any) -> None:
    echo = channel.unary_unary("/t/echo")
    assert echo(b"hello", LIMIT) == b"hello"
    assert echo(b"", timeout=LIMIT, metadata=(), credentials=None, wait_for_ready=False, compression=None) == b""


def test_messages_are_serialized_both_ways(channel: Any) -> None:
    echo: Any = channel.unary_unary("/t/echo", lambda number: b"%d" % number, lambda data: int(data) + 1)
    assert echo(41, timeout=LIMIT) == 42


def test_method_may_be_bytes_and_registered(channel: Any) -> None:
    assert channel.unary_unary(b"/t/echo", None, None)(b"x", timeout=LIMIT) == b"x"
    assert channel.unary_unary("/t/echo", None, None, True)(b"x", timeout=LIMIT) == b"x"
    assert channel.unary_unary("/t/echo", _registered_method=True)(b"x", timeout=LIMIT) == b"x"


def test_with_call_gives_metadata_and_status(channel: Any) -> None:
    call: Any
    response, call = channel.unary_unary("/t/echo").with_call(b"x", timeout=LIMIT)
    assert (response, call.code(), call.details()) == (b"x", grpc.StatusCode.OK, "")
    assert tuple(call.initial_metadata()) == (("first", "1"),)
    assert [(entry.key, entry.value) for entry in call.trailing_metadata()] == [("last", "2"), ("last-bin", b"\0\xff")]
    assert (call.done(), call.is_active(), call.cancelled(), call.cancel()) == (True, False, False, False)
    assert (call.result(), call.exception(), call.traceback()) == (b"x", None, None)
    assert call.add_callback(lambda: None) is False
    assert isinstance(call, grpc.Call)


def test_failure_is_error_call_and_future_in_one(channel: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/t/fail")(b"no such thing", timeout=LIMIT)
    error: Any = caught.value
    assert {grpc.Call, grpc.Future} <= set(type(error).__mro__)
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no such thing")
    assert tuple(error.trailing_metadata()) == (("why", "because"),)
    assert tuple(error.initial_metadata()) == ()
    assert "no such thing" in error.debug_error_string()
    assert (error.done(), error.running(), error.cancelled(), error.cancel()) == (True, False, False, False)
    assert error.exception() is error
    assert error.traceback() is not None
    with pytest.raises(grpc.RpcError) as again:
        error.result()
    assert again.value == error
    called: list[object] = []
    error.add_done_callback(called.append)
    assert called == [error]


@pytest.mark.parametrize("show", [str, repr])
def test_failure_tells_its_status_when_printed(show: Callable[[object], str], channel: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/t/fail")(b"no such thing", timeout=LIMIT)
    assert "status = StatusCode.NOT_FOUND" in show(caught.value)
    assert 'details = "no such thing"' in show(caught.value)


def test_failure_can_be_pickled(native: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        native.unary_unary("/t/fail")(b"no such thing", timeout=LIMIT)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.code(), copy.details()) == (grpc.StatusCode.NOT_FOUND, "no such thing")
    assert tuple(copy.trailing_metadata()) == (("why", "because"),)


def test_deadline_ends_the_call_on_both_sides(channel: Any, service: Service) -> None:
    hold = channel.unary_unary("/t/hold")
    assert ending(lambda: hold(b"", timeout=0.2)) == (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
    assert service.ended.wait(LIMIT)


def test_deadline_in_the_past_fails_at_once(channel: Any, service: Service) -> None:
    hold = channel.unary_unary("/t/hold")
    assert ending(lambda: hold(b"", timeout=-1)) == (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
    assert not service.reached.is_set()


def test_infinite_timeout_is_none(native: Any) -> None:
    assert native.unary_unary("/t/echo")(b"x", timeout=float("inf")) == b"x"


def test_timeout_must_be_a_number(channel: Any) -> None:
    with pytest.raises(TypeError):
        channel.unary_unary("/t/echo")(b"x", timeout="1")


def fails(_message: object) -> Any:
    raise ArithmeticError


@pytest.mark.parametrize("function", [fails, lambda _message: None])
def test_message_that_cannot_be_converted_is_an_internal_error(function: Any, channel: Any) -> None:
    sent = channel.unary_unary("/t/echo", request_serializer=function)
    received = channel.unary_unary("/t/echo", response_deserializer=function)
    not_sent = (grpc.StatusCode.INTERNAL, "Exception serializing request!")
    not_read = (grpc.StatusCode.INTERNAL, "Exception deserializing response!")
    assert ending(lambda: sent(b"x", timeout=LIMIT)) == not_sent
    assert ending(lambda: sent.future(b"x", timeout=LIMIT)) == not_sent
    assert ending(lambda: received(b"x", timeout=LIMIT)) == not_read
    assert ending(lambda: received.future(b"x", timeout=LIMIT).result()) == not_read


@pytest.mark.parametrize("request_", ["text", bytearray(b"x"), memoryview(b"x"), 5])
def test_request_must_be_bytes(request_: Any, channel: Any) -> None:
    with pytest.raises(TypeError):
        channel.unary_unary("/t/echo")(request_, timeout=LIMIT)


def test_metadata_arrives(channel: Any) -> None:
    sent = [("x-a", "1"), ("x-a", "2"), ("x-b-bin", b"\0\xff"), ("x-c", b"ascii")]
    received = channel.unary_unary("/t/metadata")(b"", metadata=sent, timeout=LIMIT)
    own = [pair for pair in ast.literal_eval(received.decode()) if pair[0].startswith("x-")]
    assert own == [("x-a", "1"), ("x-a", "2"), ("x-b-bin", b"\0\xff"), ("x-c", "ascii")]


@pytest.mark.parametrize("pair", [("X-A", "1"), ("x a", "1"), ("", "1"), (":a", "1"), ("x-a", "1\n"), ("x-a", "é")])
def test_illegal_metadata_is_an_internal_error(pair: tuple[str, str], channel: Any) -> None:
    echo = channel.unary_unary("/t/echo")
    invalid = (grpc.StatusCode.INTERNAL, "Invalid metadata")
    assert ending(lambda: echo(b"", metadata=(pair,), timeout=LIMIT)) == invalid
    assert ending(lambda: echo.future(b"", metadata=(pair,), timeout=LIMIT).result()) == invalid


@pytest.mark.parametrize("metadata", [[("a", 5)], [("a-bin", "text")], 5])
def test_metadata_of_a_wrong_type_is_refused(metadata: Any, channel: Any) -> None:
    with pytest.raises(TypeError):
        channel.unary_unary("/t/echo")(b"", metadata=metadata, timeout=LIMIT)


@pytest.mark.parametrize("metadata", [[("a",)], [("a", "1", "2")], {"a": "1"}])
def test_metadata_must_be_pairs(metadata: Any, channel: Any) -> None:
    with pytest.raises(ValueError, match=r"unpack|pairs"):
        channel.unary_unary("/t/echo")(b"", metadata=metadata, timeout=LIMIT)


@pytest.mark.parametrize("compression", list(grpc.Compression))
def test_compressed_requests_arrive(compression: grpc.Compression, channel: Any) -> None:
    message = bytes(100_000)
    assert channel.unary_unary("/t/echo")(message, compression=compression, timeout=LIMIT) == message


def test_call_fails_fast_unless_told_to_wait(factory: Factory, temporary_directory: Path, no_leaks: None) -> None:
    address = f"unix:{temporary_directory}/later"
    options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 100)]
    with factory(address, options=options) as channel, ThreadPoolExecutor(1) as pool:
        echo = channel.unary_unary("/t/echo")
        assert ending(lambda: echo(b"", timeout=LIMIT))[0] is grpc.StatusCode.UNAVAILABLE
        waiting = pool.submit(echo, b"x", timeout=LIMIT, wait_for_ready=True)
        server = grpc.server(ThreadPoolExecutor(1), handlers=[Service()])
        server.add_insecure_port(address)
        server.start()
        assert waiting.result(LIMIT) == b"x"
    server.stop(None).wait(LIMIT)


def test_many_threads_share_one_channel(channel: Any) -> None:
    echo = channel.unary_unary("/t/echo")
    messages = [b"%d" % number for number in range(1000)]
    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(lambda message: echo(message, timeout=LIMIT), messages)) == messages


def test_other_threads_run_while_one_is_blocked(channel: Any, service: Service) -> None:
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(channel.unary_unary("/t/hold"), b"x", timeout=LIMIT)
        assert service.reached.wait(LIMIT)
        assert channel.unary_unary("/t/echo")(b"y", timeout=LIMIT) == b"y"
        assert not held.done()
        service.released.set()
        assert held.result(LIMIT) == b"x"


def test_blocking_calls_need_no_thread(native: Any) -> None:
    native.unary_unary("/t/echo")(b"x", timeout=LIMIT)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("ferrule")] == []


def test_stats_count_calls_and_messages(native: Any) -> None:
    before = native.stats()
    native.unary_unary("/t/echo")(b"x", timeout=LIMIT)
    after = native.stats()
    assert {name for name in after if after[name] > before[name]} >= {"calls_started", "messages_sent"}


def test_message_limits_are_obeyed(factory: Factory, target: str) -> None:
    options = [("grpc.max_receive_message_length", 100), ("grpc.max_send_message_length", 200)]
    with factory(target, options=options) as channel:
        echo = channel.unary_unary("/t/echo")
        assert echo(bytes(100), timeout=LIMIT) == bytes(100)
        assert ending(lambda: echo(bytes(101), timeout=LIMIT))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert ending(lambda: echo(bytes(201), timeout=LIMIT))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_malformed_options_are_refused(factory: Factory) -> None:
    for options in ({"a": 1}, [("a",)], "abc"):
        with pytest.raises(ValueError, match=r"unpack|option"):
            factory("unix:/nowhere", options=options)


def test_user_agent_names_the_project(target: str) -> None:
    options = [("grpc.primary_user_agent", "mine"), ("grpc.secondary_user_agent", "theirs")]
    with insecure_channel(target, options) as channel:
        received = channel.unary_unary("/t/metadata")(b"", timeout=LIMIT)
    assert dict(ast.literal_eval(received.decode()))["user-agent"] == f"mine grpc-python-ferrule/{__version__} theirs"
