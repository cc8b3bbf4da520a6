"""What the brokers of both faces share."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ferrule import _broker_common
from waiting import LIMIT


class Server:
    """Starts when it is told to, as a server on a busy loop."""

    def __init__(self) -> None:
        self.begun, self.released, self.is_started = asyncio.Event(), asyncio.Event(), False

    async def start(self) -> None:
        self.begun.set()
        await self.released.wait()
        self.is_started = True


@pytest.mark.parametrize("cancellations", [0, 1, 2])
async def test_start_of_a_server_is_not_broken_half_way(cancellations: int) -> None:
    server: Any = Server()
    starting = asyncio.create_task(_broker_common.start_server(server))
    await asyncio.wait_for(server.begun.wait(), LIMIT)
    for _ in range(cancellations):
        starting.cancel()
        await asyncio.sleep(0)
    assert not starting.done()
    server.released.set()
    await asyncio.wait([starting], timeout=LIMIT)
    assert (server.is_started, starting.cancelled()) == (True, cancellations > 0)
