"""The memory of all pools, and what a start is taken to need."""

from __future__ import annotations

import gc

from ferrule.pool.machine import UNKNOWN_PROGRAM_BYTES, Memory, MemoryBudget
from ferrule.pool.machine.memory_budget import MAX_PROGRAMS


def test_pools_share_the_memory() -> None:
    budget = MemoryBudget()
    told: list[str] = []
    first = budget.join(lambda: told.append("first"))
    second = budget.join(lambda: told.append("second"))
    first.use(70)
    assert (second.others, budget.total) == (70, 70)
    assert second.fits(30, limit=100)
    assert not second.fits(31, limit=100)
    first.use(75)
    assert told == []
    first.use(60)
    assert told == ["second"]
    first.use(50)
    assert told == ["second"]
    assert second.fits(31, limit=100)


def test_a_pool_that_leaves_or_is_gone_uses_nothing() -> None:
    budget = MemoryBudget()
    told: list[str] = []
    first, second = budget.join(lambda: None), budget.join(lambda: told.append("second"))
    first.use(100)
    assert not second.fits(1, limit=100)
    first.leave()
    assert (told, budget.total) == (["second"], 0)
    third = budget.join(lambda: None)
    third.use(10)
    del third
    gc.collect()
    assert budget.total == 0


def test_a_pool_that_cannot_be_told_takes_part_no_longer() -> None:
    budget = MemoryBudget()

    def closed() -> None:
        raise RuntimeError("Event loop is closed")

    dead, other = budget.join(closed), budget.join(lambda: None)
    dead.use(10)
    other.use(90)
    assert not dead.fits(1, limit=100)
    other.use(80)
    assert budget.total == 80


def test_a_program_is_taken_to_need_the_most_that_it_had() -> None:
    share = MemoryBudget().join(lambda: None)
    assert share.estimate("kv") == UNKNOWN_PROGRAM_BYTES
    share.learn("kv", Memory(3, 12))
    assert share.estimate("kv") == 3
    share.learn("kv", Memory(71, 12))
    share.learn("kv", Memory(5, 12))
    assert share.estimate("kv") == 71


def test_programs_that_were_not_measured_for_long_are_forgotten() -> None:
    budget = MemoryBudget()
    for number in range(MAX_PROGRAMS):
        budget.learn(str(number), Memory(1, 1))
    budget.learn("0", Memory(1, 1))
    budget.learn("new", Memory(1, 1))
    assert budget.estimate("0") == 1
    assert budget.estimate("1") == UNKNOWN_PROGRAM_BYTES
