"""Who gets whose connection when somebody is late, and what is ready before anybody has asked for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.exchange_pb2 import ExchangeRequest, IdentifyRequest
from broker.exchange_pb2_grpc import CounterStub, WitnessStub
from broker.test_matrix import plugin
from broker.witness import Witness, serve_witness
from ferrule.client import RPCPluginClient
from ferrule.errors import ProtocolError
from integration.broker_program import SERVICE
from peers import EXCHANGE_CONFIG, ROOT
from waiting import until

pytestmark = pytest.mark.timeout(60)

LIMIT = 10.0

ways = pytest.mark.parametrize("multiplex", [False, True], ids=["sockets", "multiplexed"])


def program(name: str, *words: str) -> list[str]:
    """Command of a plugin that is a module beside this one."""
    run = (
        "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), run_name='__main__')"
    )
    return [sys.executable, "-c", run, str(ROOT / "tests"), f"integration.{name}", *words]


class Peer:
    """A multiplexed plugin and the tokens of what it serves."""

    def __init__(self, client: RPCPluginClient) -> None:
        self.client = client

    async def offer(self, token: int) -> int:
        """Has the plugin serve a witness; its id."""
        number, server = await serve_witness(self.client.broker, Witness(token))
        async with server:
            request = ExchangeRequest(host_service=number, token=token)
            answer = await CounterStub(self.client.grpc_channel).Exchange(request, timeout=LIMIT)
        return int(answer.plugin_service)

    async def token_of(self, number: int) -> int:
        """The token of who answers under an id."""
        async with await self.client.broker.dial(number) as channel:
            return int((await WitnessStub(channel).Identify(IdentifyRequest(), timeout=LIMIT)).token)

    async def times_out(self, number: int) -> None:
        """Dials while the plugin stands still, until the broker gives up."""
        with pytest.raises(ProtocolError) as caught:
            await self.client.broker.dial(number)
        assert caught.value.code == "broker.timeout"

    async def knocks(self) -> None:
        """Returns when the host has sent something more."""
        sent = self.client.traffic.wire_sent
        await until(lambda: self.client.traffic.wire_sent > sent)

    @contextlib.asynccontextmanager
    async def standing_still(self) -> AsyncIterator[None]:
        """The plugin does nothing meanwhile, in any of its threads."""
        assert self.client.pid is not None
        states = Path(f"/proc/{self.client.pid}/task")
        os.kill(self.client.pid, signal.SIGSTOP)
        try:
            await until(lambda: all(is_stopped(thread) for thread in states.iterdir()))
            yield
        finally:
            os.kill(self.client.pid, signal.SIGCONT)


def is_stopped(thread: Path) -> bool:
    return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"


@contextlib.asynccontextmanager
async def peer(language: str) -> AsyncIterator[Peer]:
    async with RPCPluginClient(plugin(language), {**EXCHANGE_CONFIG, "broker_multiplex": True}) as client:
        yield Peer(client)


async def late_answer(language: str, waiting: bool, caplog: pytest.LogCaptureFixture) -> list[int]:
    """The tokens behind the ids of 2 and 3, after the plugin has answered the knock for 1 too late.

    Args:
        language: Of the plugin.
        waiting: Whether 2 was dialled before that answer came; else it is dialled after.
        caplog: What tells of the answer.
    """
    async with peer(language) as late:
        first, second, third = [await late.offer(token) for token in (1, 2, 3)]
        async with late.standing_still():
            giving_up = asyncio.create_task(late.times_out(first))
            await late.knocks()
            dialling = [asyncio.create_task(late.token_of(second))] if waiting else []
            for _ in dialling:
                await late.knocks()
            await giving_up
        remark = "after its caller had given up"
        await until(lambda: any(remark in record.getMessage() for record in caplog.records))
        found = [await dial for dial in dialling] or [await late.token_of(second)]
        return [*found, await late.token_of(third)]


@pytest.mark.go
async def test_late_answer_to_a_knock_misroutes_nobody(caplog: pytest.LogCaptureFixture) -> None:
    # All at once, because each takes as long as the broker is patient.
    cases = [(language, waiting) for language in ("go", "python") for waiting in (False, True)]
    found = await asyncio.gather(*(late_answer(*case, caplog) for case in cases))
    assert dict(zip(cases, found, strict=True)) == {case: [2, 3] for case in cases}


@ways
async def test_plugin_serves_before_the_host_uses_its_broker(multiplex: bool) -> None:
    config = {**EXCHANGE_CONFIG, "broker_multiplex": multiplex}
    async with RPCPluginClient(program("broker_program"), config) as client:
        channel: Any = client.grpc_channel
        number = int(await channel.unary_unary(f"/{SERVICE}/offer")(b"", timeout=LIMIT))
        async with await client.broker.dial(number) as offered:
            call: Any = offered.unary_unary("/plugin/Echo")
            assert await call(b"x", timeout=LIMIT) == b"plugin: x"
