"""Memory and CPU time of processes, beside what the kernel says elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ferrule.pool.machine import Memory, SystemMeter
from waiting import wait_until

METER = SystemMeter()
HOLDER = "import sys; held = bytearray(b'x' * 50_000_000); print(flush=True); sys.stdin.read()"


@pytest.fixture(scope="module")
def holder() -> Iterator[int]:
    """The pid of a process that holds 50 MB of its own."""
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate()


@pytest.mark.parametrize("read", [METER.quick, METER.exact])
def test_private_memory_is_what_the_process_alone_has(read: Callable[[int], Memory | None], holder: int) -> None:
    memory = read(holder)
    assert memory is not None
    assert 50_000_000 < memory.private < 90_000_000
    assert 1_000_000 < memory.shared < 50_000_000


def test_both_readings_agree(holder: int) -> None:
    quick, exact = METER.quick(holder), METER.exact(holder)
    assert quick is not None
    assert exact is not None
    assert exact.pss is not None
    assert abs(quick.private - exact.private) <= 2**20
    assert exact.private <= exact.pss <= exact.private + exact.shared


def test_cpu_time_of_this_process() -> None:
    before = os.times()
    found = METER.cpu(os.getpid())
    after = os.times()
    assert found is not None
    assert before.user - 0.02 <= found.user <= after.user + 0.02
    assert before.system - 0.02 <= found.system <= after.system + 0.02


def test_a_process_that_has_ended_is_no_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    wait_until(lambda: METER.quick(process.pid) is None, "a process that nobody has waited for")
    assert METER.exact(process.pid) is None
    process.wait()
    assert (METER.quick(process.pid), METER.exact(process.pid), METER.cpu(process.pid)) == (None, None, None)


def test_a_process_that_may_not_be_looked_into_is_read_by_the_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def refuse(path: Any, *arguments: Any, **more: Any) -> int:
        if str(path).endswith("smaps_rollup"):
            raise PermissionError(path)
        return opened(path, *arguments, **more)

    monkeypatch.setattr(os, "open", refuse)
    memory = METER.exact(os.getpid())
    assert memory is not None
    assert memory.private > 1_000_000
    assert memory.pss is None


def test_the_name_of_a_program_may_hold_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    stat = b"42 (a) S) R 1 2 (x) S 1 2 3 4 5 6 7 8 9 10 300 20 0 0 20 0 1 0\n"
    monkeypatch.setattr("ferrule.pool.machine.processes._read", lambda _path: stat)
    assert METER.cpu(42) == (3.0, 0.2)
