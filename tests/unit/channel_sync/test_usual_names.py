"""Failures are caught by the classes that grpcio's tracebacks show, and answer as ours."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc import _channel

from channel_sync.conftest import Factory
from ferrule.channel.sync.calls import FailedCall, Failure, UnaryCall, grpcio_class
from ferrule.channel.sync.stream_response import StreamCall
from waiting import LIMIT

INACTIVE, RENDEZVOUS = "_InactiveRpcError", "_MultiThreadedRendezvous"

CALLS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "unary": (INACTIVE, lambda channel: channel.unary_unary("/t/fail")(b"why", timeout=LIMIT)),
    "with_call": (INACTIVE, lambda channel: channel.unary_unary("/t/fail").with_call(b"why", timeout=LIMIT)),
    "future": (RENDEZVOUS, lambda channel: channel.unary_unary("/t/fail").future(b"why", timeout=LIMIT).result()),
    "stream": (RENDEZVOUS, lambda channel: list(channel.unary_stream("/t/count_and_fail")(b"1", timeout=LIMIT))),
    "requests": (INACTIVE, lambda channel: channel.stream_unary("/t/none")(iter(()), timeout=LIMIT)),
    "requests with_call": (INACTIVE, lambda channel: channel.stream_unary("/t/none").with_call(iter(()), LIMIT)),
    "requests future": (RENDEZVOUS, lambda channel: channel.stream_unary("/t/none").future(iter(()), LIMIT).result()),
    "both": (RENDEZVOUS, lambda channel: list(channel.stream_stream("/t/none")(iter(()), timeout=LIMIT))),
}


@pytest.mark.parametrize("kind", CALLS)
def test_failure_is_caught_by_its_usual_name(kind: str, channel: Any) -> None:
    name, call = CALLS[kind]
    # A channel that somebody intercepts passes the same on.
    for used in (channel, grpc.intercept_channel(channel)):
        with pytest.raises(getattr(_channel, name)) as failed:
            call(used)
        error: Any = failed.value
        assert not isinstance(error, getattr(_channel, RENDEZVOUS if name == INACTIVE else INACTIVE))
        assert isinstance(error.code(), grpc.StatusCode)
        assert error.details()
        assert f"{error.code()}" in str(error)


def test_failure_from_another_process_has_the_usual_name(native: Any) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        native.unary_unary("/t/fail")(b"why", timeout=LIMIT)
    copy = pickle.loads(pickle.dumps(failed.value))
    assert isinstance(copy, getattr(_channel, INACTIVE))
    assert (copy.code(), copy.details()) == (grpc.StatusCode.NOT_FOUND, "why")


def test_failure_can_be_made_anew_from_its_text(channel: Any) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/t/fail")(b"why", timeout=LIMIT)
    anew = type(failed.value)(str(failed.value))
    assert anew.code() is grpc.StatusCode.INTERNAL
    assert "why" in str(anew.details())


def test_future_is_no_iterator(factory: Factory, target: str) -> None:
    with factory(target) as channel:
        future = channel.unary_unary("/t/echo").future(b"x", timeout=LIMIT)
        assert future.result() == b"x"
    if isinstance(future, UnaryCall):
        with pytest.raises(TypeError, match="not iterable"):
            iter(future)  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", [FailedCall, StreamCall, UnaryCall])
def test_nothing_public_of_grpcios_classes_is_used(kind: type) -> None:
    # They would look for a state that ours do not have.
    theirs = [base for base in kind.__mro__ if base.__module__ == "grpc._channel"]
    for base in theirs:
        for name in vars(base):
            is_used = name.startswith("__") and name in {
                "__init__",
                "__del__",
                "__repr__",
                "__str__",
                "__iter__",
                "__next__",
            }
            if is_used or not name.startswith("_"):
                owner = next(owner for owner in kind.__mro__ if name in vars(owner))
                assert owner.__module__.startswith("ferrule."), f"{name} is that of {owner.__name__}"
    assert theirs


@pytest.mark.parametrize("name", ["_NoSuchName", "_LOGGER", "_RPCState"])
def test_release_without_the_name_has_what_it_stood_for(name: str) -> None:
    assert grpcio_class(name) is Failure
