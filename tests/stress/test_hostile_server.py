"""Servers that break the rules, or use them against the client: each call ends in an error, and nothing else suffers.

FERRULE_FLOOD_SECONDS says how long floods last (default 0.4; `make soak` takes 5), FERRULE_SEED repeats random attacks.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from grpc import aio

from conftest import descriptors
from ferrule.channel import Channel, insecure_channel
from integration.usage import thread_names
from stress.attacks import ATTACKS, TOLERATED
from stress.conftest import SEED
from stress.memory import MIB, growth_below
from waiting import LIMIT, pauses, until

FLOOD = float(os.environ.get("FERRULE_FLOOD_SECONDS", "0.4"))
PROMPTLY = 5.0
GROWTH_LIMIT = 64 * MIB
"""For three calls at once. A stream that nobody reads may hold 5 MiB: its window, and what counts as little."""
ROUNDS = {"random_frames": 30, "random_headers": 10, "random_bytes": 5, "random_bytes_after_settings": 5}
OK, LATE = grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED
METHOD = "/hostile/Method"

Kind = Callable[[Channel, float], Awaitable[grpc.StatusCode]]


async def unary(channel: Channel, timeout: float) -> grpc.StatusCode:
    call = channel.unary_unary(METHOD)(b"x", timeout=timeout)
    # What a server says it may say at length, but not without end.
    assert len(await call.details()) < 1000
    return await call.code()


async def read_stream(channel: Channel, timeout: float) -> grpc.StatusCode:
    call = channel.unary_stream(METHOD)(b"x", timeout=timeout)
    try:
        async for _ in call:
            pass
    except aio.AioRpcError as error:
        return error.code()
    return OK


async def unread_stream(channel: Channel, timeout: float) -> grpc.StatusCode:
    return await channel.unary_stream(METHOD)(b"x", timeout=timeout).code()


async def end_of(directory: Path, attack: str, kind: Kind, timeout: float) -> grpc.StatusCode:
    """How a call on a channel of its own ends."""
    async with insecure_channel(f"unix:{directory}/{attack}") as channel:
        return await asyncio.wait_for(kind(channel, timeout), timeout + PROMPTLY)


def sockets() -> int:
    """How many this process has open."""
    return sum(link.startswith("socket:") for link in descriptors().values())


async def others_work(directory: Path) -> None:
    async with insecure_channel(f"unix:{directory}/polite") as channel:
        for _ in range(10):
            assert await asyncio.wait_for(channel.unary_unary(METHOD)(b"x"), PROMPTLY) == b"x"


@pytest.mark.parametrize("attack", ATTACKS)
async def test_attack_ends_in_an_error_and_harms_nobody(attack: str, attacks: Path) -> None:
    print(f"FERRULE_SEED={SEED}")  # noqa: T201 - shown if the test fails.
    # What breaks a rule ends at once.
    timeout = FLOOD if attack in TOLERATED else LIMIT
    with growth_below(GROWTH_LIMIT):
        for _ in range(ROUNDS.get(attack, 1)):
            ends = [end_of(attacks, attack, kind, timeout) for kind in (unary, read_stream, unread_stream)]
            *codes, _ = await asyncio.gather(*ends, others_work(attacks))
            assert OK not in codes
            assert (LATE in codes) == (attack in TOLERATED)
    await others_work(attacks)


@pytest.mark.parametrize("attack", ["gzip_bomb", "deflate_bomb", "announced_4_gib"])
async def test_message_that_is_too_large_is_refused_as_such(attack: str, attacks: Path) -> None:
    assert await end_of(attacks, attack, unary, LIMIT) is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    "attack", ["silence", "settings_flood_unread", "ping_flood", "ping_flood_unread", "pong_flood"]
)
async def test_closed_channel_lets_go_of_its_connection(attack: str, attacks: Path) -> None:
    before = sockets()
    async with insecure_channel(f"unix:{attacks}/{attack}") as channel:
        assert await unary(channel, 0.2) is LATE
        assert sockets() > before
    await until(lambda: sockets() <= before, PROMPTLY)


async def test_channel_that_is_dropped_while_it_connects_lets_go(attacks: Path) -> None:
    before = sockets()
    channel = insecure_channel(f"unix:{attacks}/silence")
    assert await unary(channel, 0.2) is LATE
    del channel
    await until(lambda: sockets() <= before, PROMPTLY)


async def test_call_without_deadline_ends_though_its_server_never_says_anything(attacks: Path) -> None:
    options = [("grpc.min_reconnect_backoff_ms", 200)]
    async with insecure_channel(f"unix:{attacks}/silence", options) as channel:
        code = await asyncio.wait_for(channel.unary_unary(METHOD)(b"x").code(), PROMPTLY)
    assert code is grpc.StatusCode.UNAVAILABLE


async def test_call_without_deadline_ends_though_the_connection_cannot_be_closed_in_order(attacks: Path) -> None:
    """The server breaks a rule, and takes nothing any more: the goodbye to it never gets out."""
    async with insecure_channel(f"unix:{attacks}/deaf_and_wrong") as channel:
        call = channel.unary_unary(METHOD)(bytes(16 * MIB))
        assert await asyncio.wait_for(call.code(), PROMPTLY) is grpc.StatusCode.INTERNAL


async def test_deadline_holds_though_the_server_takes_nothing(attacks: Path) -> None:
    async with insecure_channel(f"unix:{attacks}/deaf") as channel:
        call = channel.unary_unary(METHOD)(bytes(16 * MIB), timeout=0.2)
        assert await asyncio.wait_for(call.code(), PROMPTLY) is LATE


async def test_server_that_ends_each_connection_is_not_called_in_a_tight_loop(attacks: Path) -> None:
    async with insecure_channel(f"unix:{attacks}/goaway_loop") as channel:
        assert await unary(channel, LIMIT) is grpc.StatusCode.UNAVAILABLE
        assert channel.stats()["connections_opened"] <= 10


async def test_late_data_of_a_cancelled_call_is_ignored(attacks: Path) -> None:
    async with insecure_channel(f"unix:{attacks}/late_data") as channel:
        stream = channel.unary_stream(METHOD)(b"x")
        await stream.read()
        stream.cancel()
        for _ in range(10):
            assert await asyncio.wait_for(channel.unary_unary(METHOD)(b"x"), PROMPTLY) == b"x"
        assert channel.stats()["connections_opened"] == 1


async def test_large_compressed_answers_do_not_take_a_thread_each(attacks: Path) -> None:
    most = len(thread_names())
    async with insecure_channel(f"unix:{attacks}/many_bombs") as channel:
        calls = [asyncio.ensure_future(unary(channel, LIMIT)) for _ in range(100)]
        async with asyncio.timeout(LIMIT):
            for pause in pauses():
                most = max(most, len(thread_names()))
                if all(call.done() for call in calls):
                    break
                await asyncio.sleep(pause)
    assert {call.result() for call in calls} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert most < 32
