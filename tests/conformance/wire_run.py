"""Runs a wire case against a channel and tells what the caller and the peer saw."""

from __future__ import annotations

import asyncio
import contextlib
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import grpc

from conformance.wire_cases import Case
from conformance.wire_scripts import SCRIPTS
from conformance.wire_server import Peer, serving

Factory = Callable[..., grpc.aio.Channel]

Answer = dict[str, Any]
"""What happened, in values that JSON has."""

LIMIT = 15.0
"""Seconds for a whole case, more than any deadline in it."""

KINDS = (grpc.aio.UsageError, grpc.aio.InternalError, TypeError, ValueError)
"""What a caller catches; subclasses count as these."""

LEGAL_TIMEOUT = re.compile(r"0*[1-9]\d{0,7}[HMSmun]")

WHOLE_TEXT = 100
"""Characters from which a text is compared by its length and checksum."""


async def observe(case: Case, factory: Factory, expected_events: int) -> Answer:
    """Runs one case; `expected_events` is how many wire events the peer should wait for."""
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(LIMIT))
        peer = await stack.enter_async_context(serving(SCRIPTS, case.unix)) if case.target is None else None
        channel = factory(case.target if peer is None else peer.target, options=case.options)
        stack.push_async_callback(channel.close)
        for _ in range(case.calls):
            answer = await call(channel, case)
        answer["state_after"] = channel.get_state().name
        if peer is not None:
            await peer.settle(expected_events)
            answer |= peer_saw(peer)
        return answer


async def call(channel: grpc.aio.Channel, case: Case) -> Answer:
    method = f"/t/{case.script}"
    received: list[str | None] = []
    try:
        multicallable: Any = channel.unary_stream(method) if case.streaming else channel.unary_unary(method)
        started = multicallable(case.request, **case.arguments)
    except Exception as error:  # noqa: BLE001 - Its kind is what is asked for.
        return {"raised": kind(error), "at": "call"}
    try:
        async for message in messages(started):
            received.append(brief(message))
    except grpc.aio.AioRpcError as error:
        answer = {
            "raised": "AioRpcError",
            "code": error.code().name,
            "details": brief(error.details()),
            "initial": plain(error.initial_metadata()),
            "trailing": plain(error.trailing_metadata()),
        }
        return {**answer, "got": received} if case.streaming else answer
    except Exception as error:  # noqa: BLE001
        return {"raised": kind(error), "at": "await", "details": str(error)}
    return {
        "result": received if case.streaming else received[0],
        "code": (await started.code()).name,
        "details": brief(await started.details()),
        "initial": plain(await started.initial_metadata()),
        "trailing": plain(await started.trailing_metadata()),
    }


async def messages(started: Any) -> AsyncIterator[Any]:
    """The response or the responses of either kind of call."""
    if isinstance(started, grpc.aio.UnaryStreamCall):
        async for message in started:
            yield message
    else:
        yield await started


def peer_saw(peer: Peer) -> Answer:
    last = peer.requests[-1] if peer.requests else None
    return {
        "wire": [list(event) for event in peer.wire],
        "streams": len(peer.requests),
        "headers": None if last is None else by_key((name, normal(name, value, peer)) for name, value in last),
    }


def normal(name: str, value: str, peer: Peer) -> str | None:
    """The value of a request header without what differs from run to run, or from one program to another."""
    if name == ":authority":
        socket = peer.target.removeprefix("unix:/").replace("/", "%2F")
        return value.replace(peer.target, "HOST:PORT").replace(socket, "SOCKET")
    if name == "user-agent":
        return re.sub(r"^(me/1 )?\S.*?( you/2)?$", r"\1AGENT\2", value)
    if name == "grpc-timeout" and LEGAL_TIMEOUT.fullmatch(value):
        return "LEGAL"
    return brief(value)


def kind(error: Exception) -> str:
    """The class that a caller would catch."""
    return next((known.__name__ for known in KINDS if isinstance(error, known)), type(error).__name__)


def plain(metadata: Iterable[tuple[str, str | bytes]] | None) -> list[list[str | None]] | None:
    if metadata is None:
        return None
    return by_key((key, brief(value) if isinstance(value, str) else f"0x{value.hex()}") for key, value in metadata)


def by_key(pairs: Iterable[tuple[str, str | None]]) -> list[list[str | None]]:
    """Pairs in an order of their own: only that of equal keys has a meaning."""
    return [list(pair) for pair in sorted(pairs, key=lambda pair: pair[0])]


def brief(value: str | bytes | None) -> str | None:
    """A text or a message as it is, or its beginning, length and checksum."""
    if value is None:
        return None
    data = value.encode() if isinstance(value, str) else value
    if len(data) < WHOLE_TEXT:
        return data.decode(errors="replace")
    return f"{data[:8].decode(errors='replace')}... of {len(data)} bytes, crc32 {zlib.crc32(data):08x}"


def mismatches(seen: Answer, expected: Answer) -> dict[str, tuple[Any, Any]]:
    """The fields of an expected answer that were seen otherwise: `{field: (seen, expected)}`."""
    compared = {"raised": None, **expected}
    return {name: (seen.get(name), value) for name, value in compared.items() if seen.get(name) != value}
