"""A panic of the core is an ordinary exception, and says that it is to be reported."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import traceback

import pytest

from ferrule import _core
from ferrule._mailbox import outcome


def test_panic_is_a_runtime_error_that_asks_for_a_report(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError) as failure:
        _core.provoke_panic("what went wrong")
    assert isinstance(failure.value, Exception)
    assert str(failure.value) == "a bug in ferrule's core: what went wrong; please report this"
    (line,) = capfd.readouterr().err.splitlines()
    # Where it happened, in the crate and not on the machine that built it; no backtrace.
    assert line.startswith("a bug in ferrule's core: what went wrong (")
    assert "panics.rs:" in line
    assert "(/" not in line


def test_panics_of_threads_and_of_receivers_are_caught_as_usual(capfd: pytest.CaptureFixture[str]) -> None:
    caught: list[Exception] = []

    def work() -> None:
        try:
            _core.provoke_panic("on a thread")
        except Exception as error:  # noqa: BLE001 - as programs catch what a plugin may do.
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "on a thread" in "".join(traceback.format_exception(caught[0]))
    assert capfd.readouterr().err.count("\n") == 1


async def test_panic_on_the_io_thread_is_the_error_of_its_operation(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConnectionError, match=r"I/O thread: far away \(.*panics.rs:\d+\); please report this"):
        await asyncio.wait_for(outcome(lambda *to: _core.provoke_panic("far away", *to)), 10)
    assert "far away" in capfd.readouterr().err
    # The thread serves on.
    with pytest.raises(ConnectionError, match="again"):
        await asyncio.wait_for(outcome(lambda *to: _core.provoke_panic("again", *to)), 10)


def test_uncaught_panic_ends_a_program_as_any_exception_does() -> None:
    program = "from ferrule import _core; _core.provoke_panic('in a program')"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 1
    assert "please report this" in run.stderr.splitlines()[-1]
