"""Where the answer of ferrule's channel is not grpcio's, on purpose, and where chance decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from conformance.wire_run import Answer


@dataclass(frozen=True)
class Difference:
    """Fields that take the place of those in grpcio's answer; None stands for a field that is not there."""

    reason: str
    instead: Answer


@dataclass(frozen=True)
class Race:
    """Further answers that grpcio gives, each told by the fields that are not as recorded."""

    reason: str
    others: tuple[Answer, ...]
    ferrule_too: bool = False
    """Whether chance decides here as well."""


def failed(code: str, **fields: Any) -> Answer:
    return {"raised": "AioRpcError", "code": code, "result": None, **fields}


def answered(**fields: Any) -> Answer:
    return {"raised": None, "code": "OK", "result": "pong", **fields}


def headers(changed: dict[str, str | None]) -> Answer:
    """The headers that a request without metadata has, with some of them changed, added, or left out for None."""
    usual = {
        ":authority": "HOST:PORT",
        ":method": "POST",
        ":path": "/t/ok",
        ":scheme": "http",
        "content-type": "application/grpc",
        "grpc-accept-encoding": "identity, deflate, gzip",
        "te": "trailers",
        "user-agent": "AGENT",
    }
    return {"headers": [[name, value] for name, value in sorted((usual | changed).items()) if value is not None]}


ONE_RESPONSE = "A unary call has exactly one response; grpcio returns None for none, and hangs after two."
TWO_RESPONSES = "more than one message answered a call that expects one"
BROKEN_FRAME = "A message that is broken off or has an unknown flag is an error; grpcio returns None."
JOINED = "A binary value may be joined from several by commas, says gRPC's specification."
DELIVERED = "What arrived before the stream broke is handed out; grpcio may discard it."
METADATA_LIMIT = "Between 8 and 16 KiB grpcio decides by chance; here the limit of 16 KiB is the only one."
SHORT_DEADLINE = "The deadline may pass before the request is sent, before the answer comes, or after."
CLOSING = "The kernel may report the closing as a reset."

WITH_TIMEOUT: dict[str, str | None] = {"grpc-timeout": "LEGAL"}


def cardinality() -> Iterator[tuple[str, Difference]]:
    for name in ("zero_msgs (unary)", "trailers_only_ok (unary)", "grpc-status '0'"):
        yield name, Difference(ONE_RESPONSE, failed("UNIMPLEMENTED"))
    yield "two_msgs (unary)", Difference(ONE_RESPONSE, failed("UNIMPLEMENTED", details=TWO_RESPONSES))


def frames() -> Iterator[tuple[str, Difference]]:
    for name in ("flag2", "trunc_msg", "trunc_prefix"):
        yield name, Difference(BROKEN_FRAME, failed("INTERNAL"))


def broken_streams() -> Iterator[tuple[str, Difference]]:
    for code in (0, 2, 7, 8):
        instead = {"initial": [["x-init", "1"]], "got": ["pong"]}
        yield f"RST {code} after headers+message (stream)", Difference(DELIVERED, instead)
    yield "end_no_trailers (stream)", Difference(DELIVERED, {"got": ["pong"]})
    yield "connection closed after message (stream)", Difference(DELIVERED, {"got": ["pong"]})


def received_metadata() -> Iterator[tuple[str, Difference]]:
    joined = [["joined-bin", "0x01"], ["joined-bin", "0x02"]]
    yield "metadata md_joined", Difference(JOINED, answered(initial=joined))
    everything = [
        ["a-bin", "0x010203"],
        ["bad-bin", "0x"],
        ["dup", "1"],
        ["dup", "2"],
        ["empty", ""],
        ["empty-bin", "0x"],
        ["hi", "caf\u00e9"],
        ["joined", "1,2"],
        *joined,
        ["latin", "\u00e9"],
        ["nopad-bin", "0x01"],
        ["pad-bin", "0x01"],
        ["ws", "  x  "],
    ]
    yield "metadata binary/dup/odd", Difference(JOINED, {"initial": everything})
    reason = "HTTP/2 forbids upper case in names: such a block is refused unread, and the connection given up."
    yield "metadata md_upper", Difference(reason, {"initial": [], "wire": [["goaway", 1], ["disconnect"]]})
    for size in (12000, 15000):
        yield f"initial metadata value of {size} bytes", Difference(METADATA_LIMIT, answered())


def requests() -> Iterator[tuple[str, Difference]]:
    reason = "Servers and libraries refuse a percent-encoded path as an authority; grpc-go sends localhost, too."
    yield "SENT unix socket", Difference(reason, headers({":authority": "localhost"}))
    reason = "HTTP/2 forbids `connection`."
    yield "SENT md connection", Difference(reason, headers(WITH_TIMEOUT))
    reason = "Dropped: identity is the default and need not be said."
    yield "SENT md grpc-encoding", Difference(reason, headers(WITH_TIMEOUT))
    reason = "Metadata that are not pairs are refused by the call, whatever they are."
    yield "SENT md dict", Difference(reason, {"at": "call"})
    reason = "A deadline in 317 years is one; grpcio takes it for the past."
    yield "SENT timeout 10000000000.0", Difference(reason, {**answered(details=""), **headers(WITH_TIMEOUT)})


def others() -> Iterator[tuple[str, Difference]]:
    yield "1xx then response", Difference("Interim responses are skipped, as HTTP asks for.", answered())
    reason = "A deadline that has passed ends the call before it begins."
    instead = failed("DEADLINE_EXCEEDED", details="Deadline Exceeded", state_after="IDLE")
    yield "timeout 0", Difference(reason, instead)


GROUPS = (cardinality, frames, broken_streams, received_metadata, requests, others)

DIFFERENCES: dict[str, Difference] = {name: difference for group in GROUPS for name, difference in group()}


def short_deadlines() -> Iterator[tuple[str, Race]]:
    in_time = answered(details="", **headers(WITH_TIMEOUT))
    late = failed("DEADLINE_EXCEEDED", details="Deadline Exceeded")
    answers = (in_time, {**late, "headers": None}, {**late, **headers(WITH_TIMEOUT)})
    for timeout in (1e-07, 0.001, 0.0123):
        yield f"SENT timeout {timeout}", Race(SHORT_DEADLINE, answers, ferrule_too=True)


def races() -> Iterator[tuple[str, Race]]:
    with_headers: Answer = {"initial": [["x-init", "1"]]}
    for code in (0, 2, 7, 8):
        answers: tuple[Answer, ...] = ({"initial": []}, with_headers, {**with_headers, "got": ["pong"]})
        yield f"RST {code} after headers+message (stream)", Race(DELIVERED, answers)
    reset = {"details": "Stream removed (recvmsg:Connection reset by peer (104))"}
    yield "connection closed after message (unary)", Race(CLOSING, (reset,))
    got = {"got": ["pong"]}
    yield "connection closed after message (stream)", Race(CLOSING, (reset, got, {**reset, **got}))
    for size in (12000, 15000):
        yield f"initial metadata value of {size} bytes", Race(METADATA_LIMIT, (answered(),))
    yield "trailing metadata value of 9000 bytes", Race(METADATA_LIMIT, (failed("RESOURCE_EXHAUSTED"),))
    reason = "grpcio goes on reading, and may find the response after the 1xx to break the rules."
    yield "1xx then response", Race(reason, ({"wire": [["disconnect"]]},))
    states = ("IDLE", "CONNECTING", "TRANSIENT_FAILURE")
    late = tuple({"code": "DEADLINE_EXCEEDED", "state_after": state} for state in states)
    yield "timeout 0", Race(SHORT_DEADLINE, late)
    yield from short_deadlines()


RACES: dict[str, Race] = dict(races())
