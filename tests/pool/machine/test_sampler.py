"""When processes are measured, with a clock and a meter of the test's."""

from __future__ import annotations

from collections import Counter

from ferrule.pool.machine import CpuTime, Memory, Sampler
from ferrule.pool.machine.sampler import BATCH

MIB = 2**20


class Meter:
    """Processes of which each has 10 MiB of its own."""

    def __init__(self) -> None:
        self.time = 100.0
        self.private = 10 * MIB
        self.cpu_seconds = 1.0
        self.ended: set[int] = set()
        self.read: Counter[str] = Counter()

    def now(self) -> float:
        return self.time

    def quick(self, pid: int) -> Memory | None:
        self.read["quick"] += 1
        return None if pid in self.ended else Memory(self.private, 30 * MIB)

    def exact(self, pid: int) -> Memory | None:
        self.read["exact"] += 1
        return None if pid in self.ended else Memory(self.private, 30 * MIB, self.private + MIB)

    def cpu(self, pid: int) -> CpuTime | None:
        return None if pid in self.ended else CpuTime(self.cpu_seconds, 0.5)


def test_without_a_limit_nothing_is_measured_unless_somebody_asks() -> None:
    meter = Meter()
    sampler = Sampler(meter, meter.now)
    sampler.add(1, "kv")
    assert meter.read == {"quick": 1}
    meter.time += 1_000
    assert sampler.next_time() is None
    assert sampler.tick() == []
    assert meter.read == {"quick": 1}
    sampler.refresh()
    sampler.refresh()
    assert meter.read == {"quick": 2}
    meter.time += 2
    sampler.refresh()
    assert meter.read == {"quick": 3}


def test_with_a_limit_each_is_measured_every_ten_seconds() -> None:
    meter = Meter()
    sampler = Sampler(meter, meter.now, limit=100_000 * MIB)
    assert sampler.next_time() is None
    for pid in range(40):
        sampler.add(pid, "kv", owner=f"plugin {pid}")
    assert meter.read == {"exact": 40}
    assert sampler.next_time() == 100.4
    measured: Counter[str] = Counter()
    while (time := sampler.next_time()) is not None and time < 110 + 30:
        meter.time = time
        batch = sampler.tick()
        assert len(batch) <= BATCH
        measured.update(sample.owner for sample in batch)
    assert set(measured) == {f"plugin {pid}" for pid in range(40)}
    assert set(measured.values()) <= {3, 4}
    assert meter.read["exact"] == 40


def test_a_tick_before_its_time_does_nothing() -> None:
    meter = Meter()
    sampler = Sampler(meter, meter.now, limit=100 * MIB)
    sampler.add(1, "kv")
    meter.time += 0.5
    assert sampler.tick() == []
    # Once soon after its start, then every ten seconds.
    meter.time += 0.5
    assert [sample.pid for sample in sampler.tick()] == [1]
    meter.time += 9
    assert sampler.tick() == []
    meter.time += 1
    assert [sample.pid for sample in sampler.tick()] == [1]


def test_close_to_the_limit_processes_are_measured_exactly() -> None:
    meter = Meter()
    sampler = Sampler(meter, meter.now, limit=100 * MIB)
    for pid in range(8):
        sampler.add(pid, "kv")
    meter.time += 10
    sampler.tick()
    assert meter.read == {"exact": 8, "quick": 8}
    sampler.add(8, "kv")
    meter.time += 10
    (sample, *_) = sampler.tick()
    assert meter.read == {"exact": 18, "quick": 8}
    assert sample.memory is not None
    assert sample.memory.pss == 11 * MIB


def test_close_to_the_limit_each_is_measured_every_second() -> None:
    meter = Meter()
    sampler = Sampler(meter, meter.now, limit=350 * MIB)
    for pid in range(32):
        sampler.add(pid, "kv")
    assert sampler.next_time() == 100.5
    measured: Counter[int] = Counter()
    while (time := sampler.next_time()) is not None and time < 103:
        meter.time = time
        measured.update(sample.pid for sample in sampler.tick())
    assert set(measured.values()) == {2, 3}
    meter.private = MIB
    for _ in range(4):
        meter.time = sampler.next_time() or 0.0
        sampler.tick()
    assert sampler.next_time() == meter.time + 5


def test_what_processes_share_counts_once_for_each_program() -> None:
    meter = Meter()
    sampler = Sampler(meter, meter.now)
    assert (sampler.private, sampler.total) == (0, 0)
    for pid, program in enumerate(["kv", "kv", "aws"]):
        sampler.add(pid, program)
    assert (sampler.private, sampler.total) == (30 * MIB, 90 * MIB)


def test_a_process_that_has_ended_keeps_its_last_sample() -> None:
    meter = Meter()
    sampler = Sampler(meter, meter.now, limit=MIB)
    sample = sampler.add(1, "kv")
    meter.ended.add(1)
    meter.time += 10
    assert sampler.tick() == []
    assert sample.memory == Memory(10 * MIB, 30 * MIB, 11 * MIB)
    assert sampler.remove(1) == CpuTime(1.0, 0.5)
    assert (sampler.remove(1), sampler.total, sampler.next_time()) == (CpuTime(), 0, None)


def test_the_last_reading_of_cpu_time_is_that_of_the_end() -> None:
    meter = Meter()
    sampler = Sampler(meter, meter.now)
    sampler.add(1, "kv")
    meter.cpu_seconds = 7.0
    assert sampler.remove(1) == CpuTime(7.0, 0.5)
