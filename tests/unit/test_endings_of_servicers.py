"""How a method ends its call, whatever it raises, async or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from served_methods import MAKERS, asked, respond, serving
from waiting import LIMIT


def fail(_: Any) -> None:
    raise LookupError("not on this shelf")


def set_status(context: Any) -> None:
    context.set_code(grpc.StatusCode.DATA_LOSS)
    context.set_details("half of it")
    context.set_trailing_metadata((("k", "trailing"),))


STATUSES: dict[str, tuple[Callable[[Any], object], grpc.StatusCode, str]] = {
    "abort": (lambda context: context.abort(grpc.StatusCode.NOT_FOUND, "gone"), grpc.StatusCode.NOT_FOUND, "gone"),
    "set_code": (set_status, grpc.StatusCode.DATA_LOSS, "half of it"),
    "cancel": (lambda context: context.cancel(), grpc.StatusCode.CANCELLED, "cancelled by the servicer"),
    "exception": (fail, grpc.StatusCode.UNKNOWN, "Unexpected <class 'LookupError'>: not on this shelf"),
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("way", STATUSES)
async def test_how_a_method_ends_its_call(way: str, kind: str, temporary_directory: Path) -> None:
    act, code, details = STATUSES[way]
    streams = kind.endswith("stream")
    async with serving(temporary_directory, kind, respond(act, streams)) as (_, stub):
        call = stub(iter(())) if kind.startswith("stream") else stub(b"")
        assert (await asyncio.wait_for(call.code(), LIMIT), await call.details()) == (code, details)
        if way == "set_code":
            assert ("k", "trailing") in tuple(await call.trailing_metadata())


ENDINGS: dict[str, Callable[[], BaseException]] = {
    "StopIteration": lambda: StopIteration("no more"),
    "CancelledError of a thread": CancelledError,
    "CancelledError of asyncio": asyncio.CancelledError,
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "BaseException": lambda: BaseException("of its own kind"),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("several", [asyncio.CancelledError()]),
}
"""Errors to which futures and event loops give a meaning of their own."""

FOR_THE_LOOP = {"SystemExit", "KeyboardInterrupt", "GeneratorExit"}


def raising(way: str) -> Callable[[Any], object]:
    def act(_: Any) -> None:
        raise ENDINGS[way]()

    return act


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("way", ENDINGS)
async def test_call_ends_with_its_method(way: str, kind: str, temporary_directory: Path) -> None:
    method = respond(raising(way), kind.endswith("stream"))
    async with serving(temporary_directory, kind, method) as (channel, stub):
        call = stub(iter(())) if kind.startswith("stream") else stub(b"")
        assert await asyncio.wait_for(call.code(), LIMIT) is grpc.StatusCode.UNKNOWN
        assert way.split(maxsplit=1)[0] in await call.details()
        assert await asked(channel) == b"still there"


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("way", sorted(ENDINGS.keys() - FOR_THE_LOOP))
async def test_call_ends_with_its_async_method(way: str, kind: str, temporary_directory: Path) -> None:
    async def unary(_request: Any, _context: Any) -> bytes:
        raise ENDINGS[way]()

    async def stream(_request: Any, _context: Any) -> AsyncIterator[bytes]:
        yield b"one"
        raise ENDINGS[way]()

    async with serving(temporary_directory, kind, unary if kind.endswith("unary") else stream) as (channel, stub):
        call = stub(iter(())) if kind.startswith("stream") else stub(b"")
        assert await asyncio.wait_for(call.code(), LIMIT) is grpc.StatusCode.UNKNOWN
        assert way.split(maxsplit=1)[0] in await call.details()
        assert await asked(channel) == b"still there"


async def test_async_method_hears_that_its_call_was_cancelled(temporary_directory: Path) -> None:
    begins, cancelled = asyncio.Event(), asyncio.Event()

    async def method(_request: Any, _context: Any) -> bytes:
        begins.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return b""

    async with serving(temporary_directory, "unary_unary", method) as (_, stub):
        call = stub(b"")
        waiting = asyncio.ensure_future(call.code())
        await asyncio.wait_for(begins.wait(), LIMIT)
        call.cancel()
        assert await waiting is grpc.StatusCode.CANCELLED
        await asyncio.wait_for(cancelled.wait(), LIMIT)
