"""Calls of the Go server, and ways to wait for what becomes of them."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ferrule.channel import Channel
from waiting import LIMIT

UNARY, STREAM = "/bench.Echo/Unary", "/bench.Echo/Stream"

Run = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine on a loop, with a limit."""


def unary(channel: Channel, request: bytes = b"x", **options: Any) -> Any:
    return channel.unary_unary(UNARY)(request, **options)


def stream_of(channel: Channel, count: int, size: int) -> Any:
    return channel.unary_stream(STREAM)(struct.pack(">II", count, size))


async def cancelled(task: asyncio.Future[Any]) -> None:
    with pytest.raises(asyncio.CancelledError):
        await task


async def in_thread(wait: Callable[[float], bool]) -> None:
    """Waits for an event of another thread, while this loop goes on."""
    assert await asyncio.to_thread(wait, LIMIT)
