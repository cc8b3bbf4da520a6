"""Start slots: one number for all pools, handed over in turn, on any thread, and after a fork."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrule.pool.machine import SlotShare, StartSlots, this_machine


def nothing() -> None:
    pass


class Pool:
    """A pool that has starts to do."""

    def __init__(self, slots: StartSlots, limit: int | None = None, log: list[Pool] | None = None) -> None:
        self.log = log if log is not None else []
        self.wanted = 0
        self.share: SlotShare = slots.join(self.granted, limit)

    def start(self, number: int = 1) -> None:
        self.wanted += number
        self.take()

    def take(self) -> None:
        while self.wanted and self.share.take():
            self.wanted -= 1
            self.log.append(self)

    def granted(self) -> None:
        self.take()
        self.share.settle()


def test_no_more_than_there_are() -> None:
    slots = StartSlots(2)
    pool = Pool(slots)
    pool.start(5)
    assert (pool.share.held, slots.used, slots.total, pool.wanted) == (2, 2, 2, 3)
    pool.share.give()
    assert (slots.used, pool.wanted) == (2, 2)
    for _ in range(4):
        pool.share.give()
    assert (slots.used, pool.wanted) == (0, 0)


def test_pools_take_turns() -> None:
    slots = StartSlots(1)
    log: list[Pool] = []
    first, second, third = (Pool(slots, log=log) for _ in range(3))
    first.start(4)
    second.start(2)
    third.start(1)
    while slots.used:
        next(pool for pool in (first, second, third) if pool.share.held).share.give()
    assert log == [first, first, second, third, first, second, first]


def test_a_pool_that_waits_is_not_overtaken() -> None:
    slots = StartSlots(1)
    first, second, third = (slots.join(nothing) for _ in range(3))
    assert first.take()
    assert not second.take()
    first.give()
    assert not third.take()
    assert second.take()


def test_what_a_pool_no_longer_wants_goes_to_the_next() -> None:
    slots = StartSlots(1)
    first, second, third = Pool(slots), Pool(slots), Pool(slots)
    first.start()
    second.start()
    third.start()
    second.wanted = 0
    first.share.give()
    assert (second.share.held, second.share.handed, third.share.held) == (0, 0, 1)


def test_a_pool_has_no_more_than_its_own_limit() -> None:
    slots = StartSlots(4)
    small, other = Pool(slots, 1), Pool(slots)
    small.start(3)
    other.start(3)
    assert (small.share.held, other.share.held) == (1, 3)
    small.share.give()
    assert (small.share.held, slots.used) == (1, 4)


def test_the_largest_limit_that_a_pool_sets_is_the_number_of_slots() -> None:
    slots = StartSlots(2)
    pool = Pool(slots)
    large = Pool(slots, 8)
    large.start(10)
    pool.start()
    assert (slots.total, large.share.held, pool.share.held) == (8, 8, 0)
    large.share.resize(9)
    # The pool that waited longest comes first.
    assert (slots.total, large.share.held, pool.share.held) == (9, 9, 0)
    large.share.leave()
    assert (slots.total, slots.used, pool.share.held) == (2, 1, 1)


def test_a_pool_that_is_gone_holds_nothing() -> None:
    slots = StartSlots(1)
    gone, other = Pool(slots), Pool(slots)
    gone.start(2)
    other.start()
    assert other.wanted == 1
    del gone
    gc.collect()
    assert slots.used == 0
    other.take()
    assert other.wanted == 0


def test_a_pool_whose_loop_is_closed_is_passed_over() -> None:
    slots = StartSlots(1)
    loop = asyncio.new_event_loop()
    dead = slots.join(lambda: loop.call_soon_threadsafe(nothing))
    first, last = Pool(slots), Pool(slots)
    first.start()
    assert not dead.take()
    last.start()
    loop.close()
    first.share.give()
    assert (dead.held, dead.handed, last.share.held) == (0, 0, 1)


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["start", "give", "forget", "resize"])), max_size=40),
)
def test_slots_are_used_and_never_overused(total: int, steps: list[tuple[int, str]]) -> None:
    slots = StartSlots(total)
    pools = [Pool(slots) for _ in range(3)]
    for number, step in steps:
        pool = pools[number]
        if step == "start":
            pool.start()
        elif step == "give" and pool.share.held:
            pool.share.give()
        elif step == "forget":
            pool.wanted = 0
        elif step == "resize":
            pool.share.resize(1 + pool.share.limit % 4)
        held = sum(each.share.held for each in pools)
        assert slots.used == held
        # Those that were taken before a limit was lowered stay.
        assert held <= max(4, total)
        assert all(not each.wanted or each.share.held >= each.share.limit or held >= slots.total for each in pools)


def test_pools_of_several_loops() -> None:
    slots = StartSlots(2)
    most = 0
    counted = threading.Lock()

    async def starts(number: int) -> None:
        nonlocal most
        loop = asyncio.get_running_loop()
        free = asyncio.Event()
        share = slots.join(lambda: loop.call_soon_threadsafe(free.set))
        for _ in range(number):
            while not share.take():
                await free.wait()
                free.clear()
            with counted:
                most = max(most, slots.used)
            await asyncio.sleep(0)
            share.give()
        share.settle()
        share.leave()

    threads = [threading.Thread(target=lambda: asyncio.run(starts(200))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert slots.used == 0
    # Threads may happen to take turns.
    assert 1 <= most <= 2


def in_child(check: Callable[[], bool]) -> bool:
    """Whether a check holds in a forked child."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if check() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_slots_of_its_own() -> None:
    machine = this_machine()
    assert machine is this_machine()
    share = machine.start_slots.join(nothing)
    memory = machine.memory.join(nothing)
    assert share.take()
    memory.use(5)

    def check() -> bool:
        own = this_machine()
        share.give()
        memory.use(7)
        fresh = own.start_slots.join(nothing)
        return own is not machine and own.start_slots.used == 0 and own.memory.total == 0 and fresh.take()

    # As if another thread held the locks at the fork.
    with machine.start_slots._lock, machine.memory._lock:
        assert in_child(check)
    assert machine.start_slots.used == 1
    share.leave()
    memory.leave()
    assert machine.memory.total == 0
