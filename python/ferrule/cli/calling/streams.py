"""Standard input and output on the loop: a signal ends what waits for them, and calls go on meanwhile."""

import asyncio
import io
import os
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

from ferrule._console import write
from ferrule.errors import ConfigError

__all__ = ["STANDARD_INPUT", "input_lines", "input_text", "write_soon"]

STANDARD_INPUT: Final = "-"

READ_BYTES: Final = 65_536
WRITE_CHARACTERS: Final = 1_000
"""A pipe that takes anything takes 4,096 bytes: a piece of this size never waits, in UTF-8."""


async def input_text() -> str:
    """All of standard input.

    Raises:
        ConfigError: Standard input cannot be read, or is not UTF-8.
    """
    return _decoded(b"".join([chunk async for chunk in _chunks()]), "standard input")


async def input_lines() -> AsyncIterator[tuple[int, str]]:
    """The lines of standard input that are not empty, each with its number.

    Raises:
        ConfigError: Standard input cannot be read, or is not UTF-8.
    """
    number, rest = 0, b""
    async for chunk in _chunks():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number += 1
            if line.strip():
                yield number, _decoded(line, f"line {number} of standard input")
    if rest.strip():
        yield number + 1, _decoded(rest, f"line {number + 1} of standard input")


async def write_soon(text: str) -> bool:
    """Writes to standard output when that has room; returns whether it may have a reader still."""
    descriptor = _descriptor(sys.stdout)
    for start in range(0, len(text), WRITE_CHARACTERS):
        if descriptor is not None:
            await _ready(descriptor, "writer")
        if not write(text[start : start + WRITE_CHARACTERS]):
            return False
    return True


async def _chunks() -> AsyncIterator[bytes]:
    descriptor = _descriptor(sys.stdin)
    if descriptor is None:
        yield sys.stdin.read().encode()
        return
    while True:
        await _ready(descriptor, "reader")
        try:
            chunk = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            continue
        except OSError as error:
            raise ConfigError(f"standard input cannot be read: {error.strerror}", code="config.invalid") from None
        if not chunk:
            return
        yield chunk


async def _ready(descriptor: int, side: str) -> None:
    """Waits until reading or writing does not block; what cannot be waited for, as a file on a disk, never does."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    try:
        getattr(loop, f"add_{side}")(descriptor, tell)
    except PermissionError:
        return
    try:
        await ready
    finally:
        getattr(loop, f"remove_{side}")(descriptor)


def _descriptor(stream: Any) -> int | None:
    try:
        return int(stream.fileno())
    except (AttributeError, io.UnsupportedOperation, ValueError):
        return None


def _decoded(data: bytes, place: str) -> str:
    try:
        # A byte order mark is how some editors begin a file.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{place} is not UTF-8: byte {error.start} is {data[error.start]:#04x}", code="config.invalid"
        ) from None
