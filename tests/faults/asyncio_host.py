"""What the host does in a row, on an event loop. `blocking_host` has the same without one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from faults.outcomes import outcome_of, text_of
from faults.plugin.messages import BROKERED_ID
from faults.result import Result
from faults.row import WORKS
from ferrule.client import RPCPluginClient
from ferrule.testing import KVStub
from ferrule.testing.kv_pb2 import EchoRequest, PutRequest

CALL_LIMIT = 5.0
"""Seconds of a call's deadline, where the row's fault does not need a short one."""


async def put(client: RPCPluginClient, limit: float) -> None:
    """A unary call."""
    await KVStub(client.grpc_channel).Put(PutRequest(key="k", value=b"v"), timeout=limit)


async def chat(client: RPCPluginClient, limit: float) -> None:
    """A stream both ways: two messages, one after the other, and the end."""
    call = KVStub(client.grpc_channel).Chat(timeout=limit)
    for payload in (b"first", b"second"):
        await call.write(EchoRequest(payload=payload))
        await call.read()
    await call.done_writing()
    await call.read()


async def dial(client: RPCPluginClient, limit: float) -> None:
    """A brokered connection, and a call over it."""
    async with asyncio.timeout(limit), await client.broker.dial(BROKERED_ID) as channel:
        await KVStub(channel).Put(PutRequest(key="k"), timeout=limit)


async def nothing(client: RPCPluginClient, limit: float) -> None:
    """Nothing after the start."""


async def put_after_the_end(client: RPCPluginClient, limit: float) -> None:
    """A unary call once the plugin's process has ended."""
    await client.wait_exited()
    await put(client, limit)


WORK: dict[str, Callable[[RPCPluginClient, float], Awaitable[None]]] = {
    "start": put,
    "stop": nothing,
    "call": put,
    "stream": chat,
    "dial": dial,
    "after the end": put_after_the_end,
}


async def attempt(work: Awaitable[Any], result: Result) -> str:
    """The outcome of something."""
    try:
        await work
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the row says which is right.
        result.texts.append(text_of(error))
        return outcome_of(error)
    return WORKS


async def run(client: RPCPluginClient, job: str, limit: float, again: bool) -> Result:
    """Starts, works, perhaps once more, and ends."""
    result = Result()
    try:
        result.outcome = await attempt(client.start(), result)
        if result.outcome == WORKS:
            result.outcome = await attempt(WORK[job](client, limit), result)
            if again:
                result.then = await attempt(WORK[job](client, limit), result)
            await client.shutdown_plugin()
            report = client.stop_report
            result.end = report.rung if report else ""
    finally:
        await client.close()
    return result
