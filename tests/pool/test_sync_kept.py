"""Which leases of threads are kept, and when they go back, with a clock and a loop that tests put forward."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ferrule.pool import PluginSpec
from ferrule.pool.policy import Entry, Hold, Plugin, State
from ferrule.sync.pool import kept as kept_module
from ferrule.sync.pool.kept import KEEP_SECONDS, MAX_SECONDS, MAX_USES, WATCH_SECONDS, KeptLease, KeptLeases


class Loop:
    """The loop's thread and its loop: does what is asked for when the test lets the time pass."""

    def __init__(self) -> None:
        self.time = 100.0
        self._timers: list[tuple[float, Callable[[], object]]] = []
        self.loop = self

    def call(self, function: Callable[..., object], *args: Any) -> None:
        self.call_later(0, lambda: function(*args))

    def call_later(self, seconds: float, function: Callable[[], object]) -> None:
        self._timers.append((self.time + seconds, function))

    def advance(self, seconds: float = 0.0) -> None:
        end = self.time + seconds
        while due := [timer for timer in self._timers if timer[0] <= end]:
            first = min(due, key=lambda timer: timer[0])
            self._timers.remove(first)
            self.time = max(self.time, first[0])
            first[1]()
        self.time = end


class Leases:
    """Leases of one plugin, as the asyncio pool gives them."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.kept = KeptLeases(loop, lambda: None)  # type: ignore[arg-type]
        self.ended: list[Hold] = []

    def new(self, spec: PluginSpec) -> KeptLease:
        plugin = Plugin(Entry(b"key", spec, None), 1, self.loop.time)
        plugin.state, plugin.calls = State.LEASED, 1
        hold = Hold(plugin, self.loop.time, None)

        async def give_back(*_: object) -> None:
            self.ended.append(hold)

        lease: Any = SimpleNamespace(_held=hold, __aexit__=give_back)
        return self.kept.new(lease, SimpleNamespace())  # type: ignore[arg-type]

    def used(self, spec: PluginSpec) -> KeptLease:
        """A lease that was used once and is kept."""
        lease = self.new(spec)
        self.kept.put(spec, lease)
        self.loop.advance()
        assert self.ended == []
        return lease


class Changing(deque[KeptLease]):
    """A deque into which another thread puts something while it is read."""

    def __iter__(self) -> Iterator[KeptLease]:
        for kept in super().__iter__():
            self.append(kept)
            yield kept


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr(kept_module, "monotonic", lambda: loop.time)
    return loop


@pytest.fixture
def leases(loop: Loop) -> Leases:
    return Leases(loop)


def spec(**settings: Any) -> PluginSpec:
    return PluginSpec(["kv"], name="kv", **settings)


def test_a_lease_is_kept_while_threads_use_it(loop: Loop, leases: Leases) -> None:
    kv, place = spec(), (test_a_lease_is_kept_while_threads_use_it.__code__, 7)
    lease = leases.used(kv)
    loop.advance(KEEP_SECONDS / 2)
    assert leases.kept.take(kv, place) is lease
    assert leases.kept.take(kv, place) is None
    assert (lease.ending.hold.place, lease.ending.hold.since) == (place, loop.time)
    loop.advance(KEEP_SECONDS)
    leases.kept.put(kv, lease)
    loop.advance(KEEP_SECONDS / 2)
    assert leases.ended == [], "its time out of use begins anew"
    loop.advance(2 * KEEP_SECONDS)
    assert leases.ended == [lease.ending.hold]
    assert lease.plugin.calls == 2
    assert leases.kept.take(kv, None) is None


def test_a_lease_goes_back_after_some_uses(loop: Loop, leases: Leases) -> None:
    for settings, most in ({}, MAX_USES), ({"max_calls": 64}, 4):
        kv = spec(**settings)
        lease = leases.used(kv)
        for _ in range(most - 1):
            assert leases.kept.take(kv, None) is lease
            leases.kept.put(kv, lease)
        loop.advance()
        assert leases.ended == [lease.ending.hold]
        assert lease.plugin.calls == most
        leases.ended.clear()


def test_a_lease_goes_back_after_some_time(loop: Loop, leases: Leases) -> None:
    kv = spec()
    lease = leases.used(kv)
    assert leases.kept.take(kv, None) is lease
    loop.advance(MAX_SECONDS)
    leases.kept.put(kv, lease)
    loop.advance()
    assert leases.ended == [lease.ending.hold]


def test_a_lease_of_a_plugin_that_serves_no_more_goes_back(loop: Loop, leases: Leases) -> None:
    kv = spec()
    kept, used = leases.used(kv), leases.new(kv)
    for lease in kept, used:
        lease.plugin.state = State.DRAINING
    assert leases.kept.take(kv, None) is None
    leases.kept.put(kv, used)
    loop.advance()
    assert leases.ended == [kept.ending.hold, used.ending.hold]


@pytest.mark.parametrize("group", [None, "account"])
def test_nothing_is_kept_from_those_who_wait(loop: Loop, leases: Leases, group: str | None) -> None:
    kv = spec(group=group)
    wanted = kv if group is None else spec(group=group)
    kept, used = leases.used(kv), leases.new(kv)
    other = spec(group="another")
    of_another = leases.new(other)
    leases.kept.want(wanted)
    assert leases.ended == [kept.ending.hold]
    leases.kept.put(kv, used)
    leases.kept.put(other, of_another)
    loop.advance()
    assert leases.ended == [kept.ending.hold, used.ending.hold]
    leases.ended.clear()
    leases.kept.have(wanted)
    leases.used(kv)


def test_nothing_is_kept_by_a_pool_that_closes(loop: Loop, leases: Leases) -> None:
    kv = spec()
    kept, used = leases.used(kv), leases.new(kv)
    leases.kept.close()
    leases.kept.put(kv, used)
    loop.advance()
    assert leases.ended == [kept.ending.hold, used.ending.hold]


def test_a_lease_that_is_dropped_goes_back_soon(loop: Loop, leases: Leases) -> None:
    lease = leases.new(spec())
    hold = lease.ending.hold
    del lease
    gc.collect()
    loop.advance(WATCH_SECONDS)
    assert leases.ended == [hold]


def test_leases_that_nobody_uses_are_counted_while_others_take_and_put(leases: Leases) -> None:
    spec = PluginSpec(["x"])
    kept = leases.used(spec)
    leases.kept._idle[spec] = Changing([kept])
    assert leases.kept.idle_of(kept.plugin) == 1
    assert leases.kept.take(spec, None) is kept
    assert leases.kept.idle_of(kept.plugin) == 0
    leases.kept.put(spec, kept)
    assert leases.kept.idle_of(kept.plugin) == 1
    kept.end()
    # Until the loop has given it back, the plugin has it, and nobody uses it.
    assert leases.kept.idle_of(kept.plugin) == 1
    leases.loop.advance()
    assert leases.kept.idle_of(kept.plugin) == 0
