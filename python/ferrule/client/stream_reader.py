"""asyncio's StreamReader on top of a stream of the core: one buffer, the core's, for it and for direct readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ferrule import _core

__all__ = ["StreamReader"]

# asyncio's own default for lines, in bytes.
_LINE_LIMIT = 64 * 1024
# One read of `read(-1)`, in bytes.
_BLOCK_BYTES = 256 * 1024


class StreamReader(asyncio.StreamReader):
    """Its methods are asyncio's; see `asyncio.StreamReader`. Bytes that came before an error are read before it is."""

    def __init__(self, stream: _core.Stream, watch: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(_LINE_LIMIT, loop)
        self._stream = stream
        self._watch = watch

    async def read(self, n: int = -1) -> bytes:
        if n >= 0:
            return await self._take(n)
        blocks = []
        while block := await self._take(_BLOCK_BYTES):
            blocks.append(block)
        return b"".join(blocks)

    async def readexactly(self, n: int) -> bytes:
        if n < 0:
            raise ValueError("readexactly size can not be less than zero")
        there = await self._wait_for(n)
        data = await self._take(n)
        if not there:
            raise asyncio.IncompleteReadError(data, n)
        return data

    async def readuntil(self, separator: bytes = b"\n") -> bytes:  # type: ignore[override]
        if not separator:
            raise ValueError("Separator should be at least one-byte string")
        searched = 0
        while (found := self._stream.find(separator, searched)) is None:
            unread = self._stream.unread
            searched = max(0, unread + 1 - len(separator))
            if searched > _LINE_LIMIT:
                raise asyncio.LimitOverrunError("Separator is not found, and chunk exceed the limit", searched)
            if not await self._wait_for(unread + 1):
                raise asyncio.IncompleteReadError(await self._take(unread), None)
        if found > _LINE_LIMIT:
            raise asyncio.LimitOverrunError("Separator is found, but chunk is longer than limit", found)
        return await self._take(found + len(separator))

    async def readline(self) -> bytes:
        try:
            return await self.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            return error.partial
        except asyncio.LimitOverrunError as error:
            # As asyncio does: a line that is too long is dropped, with its end if that is there.
            end = self._stream.find(b"\n", error.consumed)
            await self._take(self._stream.unread if end is None else end + 1)
            raise ValueError(error.args[0]) from None

    def at_eof(self) -> bool:
        return self._stream.input_ended and self._stream.unread == 0

    async def _take(self, size: int) -> bytes:
        """Up to `size` bytes, waiting for the first; none at the end."""
        if size > 0:
            await self._wait_for(1)
        return self._stream.take(size) or b""

    async def _wait_for(self, count: int) -> bool:
        """Waits until so many bytes are unread; False when the end comes before."""
        while (there := self._stream.fill(count)) is None:
            # Before there is a receiver: a loop that refuses would leave it there for ever.
            self._watch()
            await self._stream.arrival(count)
        return there
