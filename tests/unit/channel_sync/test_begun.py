"""Whether a failed call had begun: on its error, on the call, and after pickling."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from channel_sync.conftest import Service
from ferrule.channel.sync import SyncChannel, insecure_channel

# A blocking call of each kind, as a function of the channel, the method's name and the call's options.
Kind = Callable[..., Any]
KINDS: dict[str, Kind] = {
    "unary": lambda channel, name, **options: channel.unary_unary(name)(b"1", **options),
    "with_call": lambda channel, name, **options: channel.unary_unary(name).with_call(b"1", **options),
    "future": lambda channel, name, **options: channel.unary_unary(name).future(b"1", **options).result(),
    "stream": lambda channel, name, **options: list(channel.unary_stream(name)(b"1", **options)),
    "stream_unary": lambda channel, name, **options: channel.stream_unary(name)(iter([b"1"]), **options),
    "stream_unary future": lambda channel, name, **options: (
        channel.stream_unary(name).future(iter([b"1"]), **options).result()
    ),
    "stream_stream": lambda channel, name, **options: list(channel.stream_stream(name)(iter([b"1"]), **options)),
}


class PassOn(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(client_call_details, request)

    intercept_unary_stream = intercept_unary_unary
    intercept_stream_unary = intercept_unary_unary  # type: ignore[assignment]
    intercept_stream_stream = intercept_unary_unary  # type: ignore[assignment]


@pytest.fixture(params=[False, True], ids=["plain", "intercepted"])
def wrap(request: pytest.FixtureRequest) -> Callable[[grpc.Channel], grpc.Channel]:
    return lambda channel: grpc.intercept_channel(channel, PassOn()) if request.param else channel


@pytest.fixture
def nowhere(tmp_path: Path, no_leaks: None) -> Iterator[SyncChannel]:
    """A channel to a socket that is not there."""
    with insecure_channel(f"unix:{tmp_path}/absent") as channel:
        yield channel


def failure(work: Callable[[], Any]) -> Any:
    """The error that a call ends with, after a check of its copies."""
    with pytest.raises(grpc.RpcError) as caught:
        work()
    error: Any = caught.value
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (other.begun, other.code()) == (error.begun, error.code())
    return error


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("options", [{}, {"wait_for_ready": True, "timeout": 0.05}], ids=["unavailable", "deadline"])
def test_without_a_connection(nowhere: SyncChannel, wrap: Any, kind: Kind, options: dict[str, Any]) -> None:
    error = failure(lambda: kind(wrap(nowhere), "/t/any", **options))
    assert error.code() is (grpc.StatusCode.DEADLINE_EXCEEDED if options else grpc.StatusCode.UNAVAILABLE)
    assert error.begun is False


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_with_a_status_of_the_server(native: SyncChannel, wrap: Any, kind: Kind) -> None:
    error = failure(lambda: kind(wrap(native), "/t/absent"))
    assert (error.code(), error.begun) == (grpc.StatusCode.UNIMPLEMENTED, True)


def test_at_a_deadline_in_the_server(native: SyncChannel, service: Service) -> None:
    error = failure(lambda: native.unary_unary("/t/hold")(b"", timeout=0.3))
    assert (error.code(), error.begun) == (grpc.StatusCode.DEADLINE_EXCEEDED, True)


def test_calls_that_run_and_succeed(native: SyncChannel, service: Service) -> None:
    future: Any = native.unary_unary("/t/hold").future(b"")
    assert service.reached.wait(10)
    assert future.begun is True
    service.released.set()
    assert (future.result(), future.begun) == (b"", True)
    _, call = native.unary_unary("/t/echo").with_call(b"")
    assert call.begun is True


def test_cancelled_future(nowhere: SyncChannel, native: SyncChannel, service: Service) -> None:
    waiting: Any = nowhere.unary_unary("/t/any").future(b"", wait_for_ready=True)
    running: Any = native.unary_unary("/t/hold").future(b"")
    assert service.reached.wait(10)
    for future, begun in ((waiting, False), (running, True)):
        assert future.cancel()
        with pytest.raises(grpc.FutureCancelledError) as caught:
            future.result()
        assert (caught.value.begun, future.begun) == (begun, begun)  # type: ignore[attr-defined]


def test_closed_channel(nowhere: SyncChannel) -> None:
    nowhere.close()
    for kind in KINDS.values():
        with pytest.raises(ValueError, match="closed channel") as caught:
            kind(nowhere, "/t/any")
        assert caught.value.begun is False  # type: ignore[attr-defined]


def test_functions_of_the_user_that_fail(native: SyncChannel) -> None:
    def refuse(_: bytes) -> bytes:
        raise ValueError("no")

    error = failure(lambda: native.unary_unary("/t/echo", request_serializer=refuse)(b""))
    assert (error.code(), error.begun) == (grpc.StatusCode.INTERNAL, False)
    error = failure(lambda: native.unary_unary("/t/echo", response_deserializer=refuse)(b""))
    assert (error.code(), error.begun) == (grpc.StatusCode.INTERNAL, True)
    error = failure(lambda: list(native.unary_stream("/t/count", response_deserializer=refuse)(b"1")))
    assert (error.code(), error.begun) == (grpc.StatusCode.INTERNAL, True)


def test_error_made_from_text_may_have_begun(nowhere: SyncChannel) -> None:
    error = failure(lambda: nowhere.unary_unary("/t/any")(b""))
    assert type(error)("text of a worker").begun is True
