"""One call at a time on a channel: its request is written on the caller's own thread, which many may do at once.

FERRULE_LONE_CALLS says how many each caller makes (default 1000).
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from ferrule.channel import insecure_channel
from ferrule.channel.sync import SyncChannel
from ferrule.channel.sync import insecure_channel as sync_channel
from waiting import LIMIT

pytestmark = [pytest.mark.go, pytest.mark.timeout(600)]

CALLS = int(os.environ.get("FERRULE_LONE_CALLS", "1000"))
METHOD = "/bench.Echo/Unary"
SIZES = [0, 1, 16, 1000, 16_000, 70_000]
"""The last one is too large to be written by its caller."""

THREADS = 4


def call_from_a_thread(seed: int, channel: SyncChannel) -> None:
    choices, echo = random.Random(seed), channel.unary_unary(METHOD)
    for _ in range(CALLS):
        message, fate = bytes(choices.choice(SIZES)), choices.random()
        if fate < 0.05:
            # Whichever comes first, its time or its answer.
            call = echo.future(message, timeout=choices.random() / 2000)
            assert call.code() in {grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED}
        elif fate < 0.1:
            echo.future(message).cancel()
        else:
            assert echo(message, timeout=LIMIT) == message


async def call_from_a_loop(channel: Any) -> None:
    choices, echo = random.Random(THREADS), channel.unary_unary(METHOD)
    for _ in range(CALLS):
        message, fate = bytes(choices.choice(SIZES)), choices.random()
        if fate < 0.1:
            call = echo(message)
            for _ in range(choices.randrange(3)):
                await asyncio.sleep(0)
            call.cancel()
        else:
            assert await asyncio.wait_for(echo(message), LIMIT) == message


async def test_lone_calls_from_threads_and_a_loop_are_all_answered(echo: str) -> None:
    with sync_channel(echo) as shared, ThreadPoolExecutor(THREADS) as threads:
        own = [sync_channel(echo) for _ in range(THREADS // 2)]
        loop = asyncio.get_running_loop()
        calls = [
            loop.run_in_executor(threads, call_from_a_thread, seed, channel)
            for seed, channel in enumerate([*own, *[shared] * (THREADS // 2)])
        ]
        async with insecure_channel(echo) as channel:
            await asyncio.gather(call_from_a_loop(channel), *calls)
        for each in own:
            each.close()


def test_exit_while_threads_write_their_requests(echo: str) -> None:
    program = """
import sys, threading
from ferrule.channel.sync import insecure_channel
echo = insecure_channel(sys.argv[1]).unary_unary(sys.argv[2])
begun = threading.Barrier(5)
def call():
    echo(b"x")
    begun.wait()
    while True:
        echo(b"x")
for _ in range(4):
    threading.Thread(target=call, daemon=True).start()
begun.wait()
"""
    for _ in range(5):
        run = subprocess.run(
            [sys.executable, "-c", program, echo, METHOD], capture_output=True, text=True, check=False, timeout=LIMIT
        )
        assert (run.returncode, run.stderr) == (0, "")
