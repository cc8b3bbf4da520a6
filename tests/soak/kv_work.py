"""Work for a KV plugin: each function is one piece, which checks every answer.

The stub is over a channel of `ferrule.channel`, a pool's or a client's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import grpc

from ferrule.testing.kv_pb2 import EchoRequest, GetRequest, NoiseRequest, PutRequest, WatchRequest
from soak.ledger import WrongAnswerError

__all__ = ["KV_WORK", "LIMIT", "Work"]

LIMIT = 30.0
"""Seconds for one call, which no plugin may need that is not in trouble."""
HASTY_SECONDS = 0.003
PAYLOAD_BYTES = (0, 16, 1000, 1000, 20_000, 200_000)
FLOOD_BYTES = 100_000
KEYS = itertools.cycle(range(1000))

Work = Callable[[Any, Random], Awaitable[None]]


def expect(answer: object, expected: object) -> None:
    """Refuses an answer that is not the right one."""
    if answer != expected:
        raise WrongAnswerError(f"{str(answer)[:200]} instead of {str(expected)[:200]}")


async def echo(stub: Any, numbers: Random) -> None:
    """One call there and back."""
    payload = numbers.randbytes(numbers.choice(PAYLOAD_BYTES))
    expect((await stub.Echo(EchoRequest(payload=payload), timeout=LIMIT)).payload, payload)


async def put_and_get(stub: Any, numbers: Random) -> None:
    """A value is stored and read."""
    key, value = f"key-{next(KEYS)}", numbers.randbytes(100)
    await stub.Put(PutRequest(key=key, value=value), timeout=LIMIT)
    expect((await stub.Get(GetRequest(key=key), timeout=LIMIT)).value, value)


async def burst(stub: Any, numbers: Random) -> None:
    """Calls at once."""
    ends = await asyncio.gather(*(echo(stub, numbers) for _ in range(8)), return_exceptions=True)
    for end in ends:
        if end is not None:
            raise end


async def watch(stub: Any, numbers: Random) -> None:
    """A stream of responses, which is read to its end, or left in the middle."""
    count, size = numbers.randrange(1, 40), numbers.choice((1, 1000, 30_000))
    last = numbers.choice((count, numbers.randrange(count + 1)))
    stream, read = stub.Watch(WatchRequest(count=count, size=size), timeout=LIMIT), 0
    while read < last:
        response = await stream.read()
        if response is grpc.aio.EOF:
            # Tells why, where the stream has failed.
            await stream.code()
            break
        expect(len(response.payload), size)
        read += 1
    expect(read, last)
    stream.cancel()


async def chat(stub: Any, numbers: Random) -> None:
    """A stream both ways."""
    stream = stub.Chat(timeout=LIMIT)
    for _ in range(5):
        payload = numbers.randbytes(100)
        # Of a stream that has ended, reading says why.
        with contextlib.suppress(asyncio.InvalidStateError):
            await stream.write(EchoRequest(payload=payload))
        expect((await stream.read()).payload, payload)
    with contextlib.suppress(asyncio.InvalidStateError):
        await stream.done_writing()
    expect(await stream.read(), grpc.aio.EOF)
    expect(await stream.code(), grpc.StatusCode.OK)


async def hasty(stub: Any, numbers: Random) -> None:
    """A call whose deadline is too near as often as not."""
    payload = numbers.randbytes(1000)
    try:
        answer = await stub.Echo(EchoRequest(payload=payload), timeout=numbers.uniform(0, HASTY_SECONDS))
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
    else:
        expect(answer.payload, payload)


async def cancelled(stub: Any, numbers: Random) -> None:
    """A call that is cancelled before it is sent, on its way out, on its way back, or after its end."""
    payload = numbers.randbytes(1000)
    call = stub.Echo(EchoRequest(payload=payload), timeout=LIMIT)
    for _ in range(numbers.choice((0, 1, 2, 5, 20))):
        await asyncio.sleep(0)
    if call.cancel():
        try:
            await call
        except asyncio.CancelledError:
            return
        raise WrongAnswerError(f"{call} was cancelled, and has an answer")
    expect((await call).payload, payload)


async def flood(stub: Any, numbers: Random) -> None:
    """Log lines, and output that the plugin sends over gRPC."""
    noise = NoiseRequest(
        stdout_bytes=numbers.randrange(FLOOD_BYTES),
        stderr_bytes=numbers.randrange(FLOOD_BYTES),
        stderr_line_bytes=numbers.choice((0, 200_000)),
        synced_stdout="a line of output\n" * numbers.randrange(500),
        synced_stderr="a line of errors\n" * numbers.randrange(500),
    )
    await stub.Noise(noise, timeout=LIMIT)


KV_WORK: dict[Work, int] = {
    echo: 40, put_and_get: 15, burst: 10, watch: 10, chat: 8, hasty: 8, cancelled: 8, flood: 1,
}  # fmt: skip
"""Pieces of work and how often they are chosen."""
