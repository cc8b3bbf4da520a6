"""The native channel against grpcio: each wire case on both, compared with the answers that grpcio gave."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from conformance.differences import DIFFERENCES, RACES
from conformance.wire_cases import CASES
from conformance.wire_run import Answer, Factory, mismatches, observe
from conformance.wire_scripts import SCRIPTS
from conformance.wire_server import serving
from ferrule import channel
from reference import WITH_GRPCIO

GRPCIO: dict[str, Answer] = json.loads(Path(__file__).with_name("grpcio_answers.json").read_text())
"""What grpcio 1.85.1 answered, without ports, addresses and texts that nobody compares."""

WINDOW = 4 * 1024 * 1024
"""Bytes; grpcio's windows."""


def grpcio_answers(name: str) -> list[Answer]:
    others = RACES[name].others if name in RACES else ()
    return [GRPCIO[name], *({**GRPCIO[name], **other} for other in others)]


def ferrule_answers(name: str) -> list[Answer]:
    if name in DIFFERENCES:
        return [{**GRPCIO[name], **DIFFERENCES[name].instead}]
    if name in RACES and RACES[name].ferrule_too:
        return grpcio_answers(name)
    return [GRPCIO[name]]


async def check(name: str, factory: Factory, allowed: list[Answer]) -> None:
    events = min(len(answer.get("wire", ())) for answer in allowed)
    seen = await observe(CASES[name], factory, events)
    found = [mismatches(seen, answer) for answer in allowed]
    assert {} in found, f"{found[0]}; all that was seen: {seen}"


@pytest.mark.parametrize("name", CASES)
async def test_ferrule(name: str) -> None:
    await check(name, channel.insecure_channel, ferrule_answers(name))


@WITH_GRPCIO
@pytest.mark.parametrize("name", CASES)
async def test_grpcio(name: str) -> None:
    """The recorded answers are grpcio's, and the peer and the comparison make it through all of them."""
    await check(name, grpc.aio.insecure_channel, grpcio_answers(name))


def test_every_case_has_an_answer() -> None:
    assert len(CASES) == 195
    assert CASES.keys() == GRPCIO.keys()
    assert DIFFERENCES.keys() <= GRPCIO.keys()
    assert RACES.keys() <= GRPCIO.keys()


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_differs(name: str) -> None:
    """A difference that has gone must leave the table."""
    [answer] = ferrule_answers(name)
    assert mismatches(answer, GRPCIO[name])


async def test_announced_settings() -> None:
    """As wide as grpcio's: a narrower window would make a large message wait for round trips."""
    async with serving(SCRIPTS) as peer:
        async with channel.insecure_channel(peer.target) as native:
            await native.unary_unary("/t/ok")(b"ping")
            await peer.settle(0)
            [connection] = peer.connections
            announced = connection.http2.remote_settings
            assert announced.enable_push == 0
            assert announced.initial_window_size >= WINDOW
            assert connection.http2.outbound_flow_control_window > WINDOW - 1024
            assert announced.max_header_list_size is not None
            assert announced.max_header_list_size >= 16 * 1024
