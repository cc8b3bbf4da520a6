"""Programs that end with calls in flight, and ones that fork: quiet, successful, and prompt."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from integration.bridge_program import LOOPS
from peers import ROOT
from stress.bridge_program import MOMENTS
from waiting import LIMIT

ENDINGS = ("exit", "close", "run")
CURE = "after the fork"


async def run_program(word: str, loop_name: str, target: str) -> list[str]:
    """Runs a program, which must succeed and say nothing on its standard error; the lines of its output."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "tests"),
        # grpcio would announce on standard error that its own handlers of forks do nothing.
        "GRPC_ENABLE_FORK_SUPPORT": "0",
    }
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        # From Python 3.12 on a fork of a process with threads is warned of.
        *(sys.executable, "-W", "ignore::DeprecationWarning", "-m", "stress.bridge_program", word, loop_name, target),
        stdout=pipe,
        stderr=pipe,
        env=environment,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), LIMIT)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert errors.decode() == ""
    assert process.returncode == 0
    return output.decode().splitlines()


@pytest.mark.go
@pytest.mark.parametrize("loop_name", LOOPS)
@pytest.mark.parametrize("moment", MOMENTS)
async def test_process_may_end_with_calls_in_flight(moment: str, loop_name: str, echo: str) -> None:
    programs = (run_program(f"{moment},{ending}", loop_name, echo) for ending in ENDINGS)
    assert await asyncio.gather(*programs) == [["begun"]] * len(ENDINGS)


@pytest.mark.parametrize("attack", ["silence", "silence_after_settings", "ping_flood", "messages_of_16_kib"])
async def test_process_may_end_whatever_the_server_does(attack: str, attacks: Path) -> None:
    assert await run_program("one,exit", "asyncio", f"unix:{attacks}/{attack}") == ["begun"]


async def test_process_may_end_while_a_thread_is_blocked_in_a_call(attacks: Path) -> None:
    assert await run_program("thread", "asyncio", f"unix:{attacks}/silence_after_settings") == ["begun"]


@pytest.mark.go
@pytest.mark.parametrize("loop_name", LOOPS)
async def test_forked_child_is_told_the_cure_and_harms_nobody(loop_name: str, echo: str) -> None:
    used, *others, child, parent = await run_program("fork", loop_name, echo)
    assert "attached to a different loop" in used
    assert len(others) == 4
    for line in others:
        assert line.startswith("RuntimeError")
        assert CURE in line
    assert (child, parent) == ("child 0", "parent well")


@pytest.mark.go
@pytest.mark.parametrize("loop_name", LOOPS)
async def test_fork_before_the_first_use_is_harmless(loop_name: str, echo: str) -> None:
    assert await run_program("fork-first", loop_name, echo) == ["well", "well", "child 0"]
