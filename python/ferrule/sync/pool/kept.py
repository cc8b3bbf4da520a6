"""Leases that threads have given back and the pool keeps for a moment: the next one costs no trip to the loop.

The policy of a pool belongs to the thread of its loop. To ask it takes two switches between threads, 40 us of the
caller's CPU and 200 us until the answer; a lease that is kept takes 6 us, as one of asyncio does. The other way, the
policy under a lock and called by every thread, costs as little, but Ctrl-C strikes the main thread between any two
lines: counts that are half changed would stay so. Here every step is one operation of a deque, which no interrupt
divides, and a lease that an interrupt drops is noticed, and given back, within `WATCH_SECONDS`.

A lease that is kept counts as leased. So that nobody feels this, it goes back to the policy after `KEEP_SECONDS` out of
use; after `MAX_USES` or `MAX_SECONDS` in any case, so that age, calls and turns of others count; and at once when
somebody waits for a lease of that spec or group. Whoever has to wait has all of them given back first.
"""

from __future__ import annotations

import weakref
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic
from types import CodeType
from typing import Any, Final

from ferrule.pool import Lease, PluginSpec
from ferrule.pool.policy import Plugin, State
from ferrule.sync.pool.channel import LeasedChannel
from ferrule.sync.pool.loop_thread import LoopThread

__all__ = ["KeptLease", "KeptLeases"]

KEEP_SECONDS: Final = 0.05
WATCH_SECONDS: Final = 1.0
MAX_USES: Final = 256
SHARE_OF_MAX_CALLS: Final = 16
"""A spec's `max_calls` through this are the most uses of one lease that is kept, so that few come too many."""
MAX_SECONDS: Final = 0.25


class KeptLease:
    """A lease of the asyncio pool, in use by one thread at a time.

    Args:
        ending: What ends the lease, also when this object is dropped.
        channel: The blocking channel to the plugin.
        thread: The loop's thread.

    Attributes:
        plugin: The plugin.
        channel: The blocking channel to it.
    """

    __slots__ = ("__weakref__", "_max_uses", "_since", "_thread", "channel", "ending", "idle_since", "plugin", "uses")

    def __init__(self, ending: Ending, channel: LeasedChannel, thread: LoopThread) -> None:
        self.ending = ending
        self.plugin = ending.hold.plugin
        self.channel = channel
        self._thread = thread
        self._since = self.idle_since = monotonic()
        self.uses = 1
        most = self.plugin.entry.spec.max_calls
        self._max_uses = MAX_USES if most is None else min(MAX_USES, most // SHARE_OF_MAX_CALLS)

    def use(self, place: tuple[CodeType, int] | None) -> bool:
        """Begins one more use; whether there may be one."""
        self.ending.is_idle = False
        self.uses += 1
        # Who holds a lease for too long is told by these.
        hold = self.ending.hold
        hold.place, hold.since = place, monotonic()
        return self.plugin.state is State.LEASED

    def rest(self) -> bool:
        """Notes the end of a use; whether there may be another one."""
        self.ending.is_idle = True
        now = self.idle_since = monotonic()
        return self.uses < self._max_uses and now - self._since < MAX_SECONDS and self.plugin.state is State.LEASED

    def end(self) -> None:
        """Gives the lease back to the policy, by the loop's thread."""
        self.ending.is_idle = True
        self._thread.call(self.ending, self.uses)


class Ending:
    """Gives a lease back, once, on the loop's thread.

    Args:
        lease: The lease.
        endings: Those that are to come, of which this one takes itself out.

    Attributes:
        is_idle: Whether nobody uses the lease.
    """

    __slots__ = ("_endings", "_lease", "hold", "is_idle", "watch")

    def __init__(self, lease: Lease, endings: set[Ending]) -> None:
        self.hold = lease._held
        self.is_idle = False
        self._lease = lease
        self._endings = endings
        # The callback of a weak reference is called only while the reference is there.
        self.watch: weakref.ref[KeptLease] | None = None
        endings.add(self)

    def __call__(self, uses: int = 1) -> None:
        if self not in self._endings:
            return
        self._endings.discard(self)
        # The policy has counted the first.
        self.hold.plugin.calls += uses - 1
        try:
            self._lease.__aexit__(None, None, None).send(None)
        except StopIteration:
            return
        raise AssertionError("giving a lease back waits for nothing")


class _Watch(weakref.ref[KeptLease]):
    """Notes that a lease was dropped, by an interrupt or with a `Lease` that nobody gave back.

    The callback is a method of a deque: of one in Python, as of `__del__`, an interrupt would leave a part.
    """

    __slots__ = ("ending",)

    ending: Ending


class KeptLeases:
    """The leases that a pool keeps, by spec. Threads take and put; the rest is the loop's.

    Args:
        thread: The loop's thread.
        settle: Called on it every `WATCH_SECONDS`, as long as there are leases.
    """

    def __init__(self, thread: LoopThread, settle: Callable[[], None]) -> None:
        self._thread = thread
        self._settle = settle
        self._idle: dict[PluginSpec, deque[KeptLease]] = {}
        self._wanted: Counter[object] = Counter()
        self._endings: set[Ending] = set()
        self._dropped: deque[Any] = deque()
        self._is_sweeping = self._is_watching = self._is_closed = False

    def take(self, spec: PluginSpec, place: tuple[CodeType, int] | None) -> KeptLease | None:
        """A lease of a spec, to be used at a place; None if none is kept."""
        try:
            idle = self._idle.get(spec)
        except TypeError:
            # A list, such as a command: the pool refuses it with all that is no spec.
            return None
        while idle:
            try:
                kept = idle.pop()
            except IndexError:
                # Another thread was faster.
                return None
            if kept.use(place):
                return kept
            kept.end()
        return None

    def put(self, spec: PluginSpec, kept: KeptLease) -> None:
        """Keeps a lease, or gives it back."""
        if not kept.rest() or self._is_wanted(spec):
            kept.end()
            return
        idle = self._idle.get(spec)
        if idle is None:
            idle = self._idle.setdefault(spec, deque())
        idle.append(kept)
        if self._is_wanted(spec):
            # Since the first look: who wants it has emptied the deque before this lease was in it.
            self._withdraw(idle)
        if not self._is_sweeping:
            self._thread.call(self._sweep_later)

    def idle_of(self, plugin: Plugin) -> int:
        """How many leases of a plugin are used by nobody, and not given back yet."""
        # Not by the deques: while others take and put, one cannot be read or copied. A set is copied in one step.
        return sum(ending.is_idle and ending.hold.plugin is plugin for ending in list(self._endings))

    def close(self) -> None:
        """Keeps no lease from now on."""
        self._is_closed = True
        for idle in list(self._idle.values()):
            self._withdraw(idle)

    # On the loop's thread.

    def new(self, lease: Lease, channel: LeasedChannel) -> KeptLease:
        """A lease that has begun, for its first use."""
        ending = Ending(lease, self._endings)
        kept = KeptLease(ending, channel, self._thread)
        watch = _Watch(kept, self._dropped.append)
        watch.ending, ending.watch = ending, watch
        if not self._is_watching:
            self._is_watching = True
            self._thread.loop.call_later(WATCH_SECONDS, self._look_for_dropped)
        return kept

    def want(self, spec: PluginSpec) -> None:
        """Somebody waits for a lease: nothing is to be kept from them."""
        self._wanted.update((spec, spec.group))
        self.end_all()

    def have(self, spec: PluginSpec) -> None:
        """They wait no longer."""
        self._wanted.subtract((spec, spec.group))
        self._wanted = +self._wanted

    def end_all(self) -> None:
        """Gives all leases back that are used by nobody."""
        for idle in list(self._idle.values()):
            while idle:
                try:
                    kept = idle.pop()
                except IndexError:
                    break
                kept.ending(kept.uses)
        self._end_dropped()

    def _end_dropped(self) -> None:
        while self._dropped:
            self._dropped.popleft().ending()

    def _look_for_dropped(self) -> None:
        self._end_dropped()
        self._settle()
        self._is_watching = bool(self._endings)
        if self._is_watching:
            self._thread.loop.call_later(WATCH_SECONDS, self._look_for_dropped)

    def _sweep_later(self) -> None:
        # The loop's thread alone sets it: an interrupt between the two would leave it set without a sweep.
        if not self._is_sweeping:
            self._is_sweeping = True
            self._thread.loop.call_later(KEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        long_ago = monotonic() - KEEP_SECONDS
        for spec, idle in list(self._idle.items()):
            while idle:
                try:
                    oldest = idle.popleft()
                except IndexError:
                    break
                if oldest.idle_since > long_ago:
                    idle.appendleft(oldest)
                    break
                oldest.ending(oldest.uses)
            if not idle:
                # A thread that puts a lease into it now drops the lease, which is noticed.
                self._idle.pop(spec, None)
        self._is_sweeping = False
        if self._idle:
            self._sweep_later()

    # For any thread.

    def _is_wanted(self, spec: PluginSpec) -> bool:
        wanted, group = self._wanted, spec.group
        if not wanted:
            return self._is_closed
        return spec in wanted or (group is not None and group in wanted) or self._is_closed

    def _withdraw(self, idle: deque[KeptLease]) -> None:
        while idle:
            try:
                idle.pop().end()
            except IndexError:
                return
