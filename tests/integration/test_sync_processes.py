"""Programs around the blocking client: Ctrl-C, forks, and interpreters that end with a client open."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ferrule import _core
from integration.kv import both_plugins
from integration.processes import ended, is_running
from integration.sync_kv import sync_client
from peers import ROOT, Command, go_kv
from waiting import wait_until

LIMIT = 30.0
PROMPTLY = 5.0

pytestmark = [pytest.mark.timeout(120), pytest.mark.go]


def run_program(word: str, command: list[str], *flags: str) -> tuple[list[str], str]:
    """Runs a program, which must succeed; the lines of its output, and what it said on standard error."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT / "tests/unit")]),
        # grpcio would announce on standard error that its own handlers of forks do nothing.
        "GRPC_ENABLE_FORK_SUPPORT": "0",
    }
    # From Python 3.12 on a fork of a process with threads is warned of.
    interpreter = [sys.executable, "-W", "ignore::DeprecationWarning", *flags, "-m", "integration.sync_program"]
    result = subprocess.run(
        [*interpreter, word, *command], env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert (result.returncode, result.stderr if not flags else "") == (0, "")
    return result.stdout.splitlines(), result.stderr


@both_plugins
def test_interrupted_start_leaves_no_process(plugin: Command, temporary_directory: Path) -> None:
    lines, _ = run_program("interrupt-start", plugin("hang"))
    assert lines == ["interrupted", "left 0 0 False"]
    assert list(temporary_directory.iterdir()) == []


def test_start_interrupted_again_while_it_cleans_up_can_be_closed(temporary_directory: Path) -> None:
    lines, _ = run_program("interrupt-close", go_kv("hang"))
    assert lines == ["interrupted", "left 0 0 False"]
    assert list(temporary_directory.iterdir()) == []


@pytest.mark.parametrize("word", ["interrupt-wait", "interrupt-call"])
def test_interrupt_ends_the_wait_and_the_client_ends_well(word: str) -> None:
    (_, *lines), _ = run_program(word, go_kv())
    assert lines == ["interrupted", "left 0 0"]


def test_handler_of_a_signal_may_close_what_it_interrupts() -> None:
    lines, _ = run_program("handler-closes", go_kv("hang"))
    assert lines == ["closed True", "left 0"]


def test_forked_child_is_told_the_cure_and_harms_nobody() -> None:
    (*attempts, close, leave, threads, child, parent), _ = run_program("fork", go_kv())
    assert len(attempts) == 4
    # There is nothing to give back: the plugin is the parent's.
    assert (close, leave) == ("no error", "no error")
    for line in attempts:
        assert line.startswith("RuntimeError")
        assert "Start plugins" in line
        assert "after the fork" in line
    assert (threads, child, parent) == ("threads 1 1", "child 0", "parent well")


def test_child_of_multiprocessing_is_told_the_cure() -> None:
    (attempt, child, parent), _ = run_program("fork-by-multiprocessing", go_kv())
    assert attempt.startswith("RuntimeError")
    assert 'start method "spawn"' in attempt
    assert (child, parent) == ("child 0", "parent well")


def test_fork_before_the_first_use_is_harmless() -> None:
    lines, _ = run_program("fork-first", go_kv())
    assert lines == ["parent well", "parent well", "child 0"]


LEAVING = {
    "leave": [],
    "leave-starting": ["hang"],
    "leave-waiting": [],
    "leave-stopping": ["ignore-shutdown", "ignore-sigterm"],
    "leave-flooding": [],
    "leave-a-stuck-handler": [],
    "leave-in-a-loop": [],
}


@pytest.mark.parametrize(("word", "modes"), LEAVING.items(), ids=LEAVING.keys())
async def test_interpreter_may_end_at_any_moment(word: str, modes: list[str], temporary_directory: Path) -> None:
    (plugin,), _ = run_program(word, go_kv(*modes))
    try:
        await ended(int(plugin), PROMPTLY)
    except TimeoutError:
        os.kill(int(plugin), signal.SIGKILL)
        raise
    assert list(temporary_directory.iterdir()) == []


def test_open_client_at_the_end_is_warned_of_if_asked_for() -> None:
    (plugin,), errors = run_program("leave", go_kv(), "-W", "default::ResourceWarning")
    assert f"pid {plugin}> was never closed" in errors
    assert "Traceback" not in errors


@both_plugins
def test_forgotten_client_warns_and_its_plugin_ends(plugin: Command) -> None:
    client = sync_client(plugin())
    client.start()
    pid = client.pid or 0
    with pytest.warns(ResourceWarning, match=rf"pid {pid}.* was never closed"):
        del client
    wait_until(lambda: not is_running(pid) and _core.live_plugins() == 0, "the end of the plugin")


def test_example_runs() -> None:
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "sync_script.py")]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT)
    assert (result.returncode, result.stderr) == (0, "")
    assert "8 threads, 8 right answers" in result.stdout
