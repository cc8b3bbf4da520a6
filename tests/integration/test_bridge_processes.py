"""Host programs that end with something under way, and ones that fork: quiet, successful, and nothing left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from integration.bridge_program import LOOPS, MOMENTS
from integration.processes import ended
from peers import ROOT, go_kv

LIMIT = 30.0
PROMPTLY = 5.0
ENDINGS = ("exit", "close", "run")
# What the plugin must be like for a moment to last.
WORDS = {"starting": ["hang"], "stopping": ["ignore-shutdown", "ignore-sigterm"], "closing": ["ignore-sigterm"]}

pytestmark = pytest.mark.go


async def run_host(word: str, loop_name: str, command: list[str]) -> list[str]:
    """Runs a host program, which must succeed and say nothing on its standard error; the lines of its output."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "tests"),
        # grpcio would announce on standard error that its own handlers of forks do nothing.
        "GRPC_ENABLE_FORK_SUPPORT": "0",
    }
    # From Python 3.12 on a fork of a process with threads is warned of.
    interpreter = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "integration.bridge_program"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *interpreter, word, loop_name, *command, stdout=pipe, stderr=pipe, env=environment
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


@pytest.mark.parametrize("loop_name", LOOPS)
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("moment", MOMENTS)
async def test_host_may_end_at_any_moment(moment: str, ending: str, loop_name: str, temporary_directory: Path) -> None:
    (plugin,) = await run_host(f"{moment},{ending}", loop_name, go_kv(*WORDS.get(moment, [])))
    try:
        await ended(int(plugin), PROMPTLY)
    except TimeoutError:
        os.kill(int(plugin), signal.SIGKILL)
        raise
    assert list(temporary_directory.iterdir()) == []


@pytest.mark.parametrize("loop_name", LOOPS)
async def test_forked_child_is_told_the_cure_and_harms_nobody(loop_name: str) -> None:
    *attempts, close, leave, child, parent = await run_host("fork", loop_name, go_kv())
    assert len(attempts) == 4
    # There is nothing to give back: the plugin is the parent's.
    assert (close, leave) == ("no error", "no error")
    for line in attempts:
        assert line.startswith("RuntimeError")
        # The client says it of plugins, the core of channels as well.
        assert "Start plugins" in line
        assert "after the fork" in line
    assert (child, parent) == ("child 0", "parent well")


@pytest.mark.parametrize("loop_name", LOOPS)
async def test_child_of_multiprocessing_is_told_the_cure(loop_name: str) -> None:
    attempt, child, parent = await run_host("fork-by-multiprocessing", loop_name, go_kv())
    assert attempt.startswith("RuntimeError")
    assert 'start method "spawn"' in attempt
    assert (child, parent) == ("child 0", "parent well")


@pytest.mark.parametrize("loop_name", LOOPS)
async def test_fork_before_the_first_use_is_harmless(loop_name: str) -> None:
    lines = await run_host("fork-first", loop_name, go_kv())
    assert lines == ["parent well", "parent well", "child 0"]
