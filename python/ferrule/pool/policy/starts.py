"""Starts: which plugin is started next, and what makes room for it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final, Protocol

from ferrule.pool.policy.commands import Abandon, Configure, Start
from ferrule.pool.policy.context import Context
from ferrule.pool.policy.endings import Endings
from ferrule.pool.policy.line import Line
from ferrule.pool.policy.model import Entry, Plugin, State
from ferrule.pool.policy.occupancy import Occupancy
from ferrule.pool.policy.queue import rank

__all__ = ["Slots", "Starts"]

CONFIGURING_PER_SLOT: Final = 4
"""Plugins that are configured at once, for each start slot: they wait for servers elsewhere, and take no CPU."""

RENEWAL_DELAY_SECONDS: Final = 60.0
"""A replacement stands behind those who wait and came so much later."""


class Slots(Protocol):
    """The start slots, which pools may share. One that was refused is announced by the driver: `Policy.pump`."""

    def take(self) -> bool:
        """Takes a slot; whether there was one."""

    def give(self) -> None:
        """Gives a slot back."""


class Starts:
    """Starts plugins in the order of those who wait, as slots, memory and the number of plugins allow.

    The first in line is never passed by one that needs less: a large plugin would wait for ever.

    Attributes:
        blocked_by: What the first in line waits for: "plugins", "memory", "start slots" or nothing.
        is_pressed: Whether `pump` may have something to do when a lease ends: a start was asked for, or lacks room.
        stuck: The first in line, if only a plugin that is leased could make room for it.
    """

    def __init__(self, context: Context, occupancy: Occupancy, endings: Endings, slots: Slots) -> None:
        self.blocked_by = ""
        self.is_pressed = False
        self.stuck: Plugin | None = None
        self.slots = slots
        self._context = context
        self._occupancy = occupancy
        self._endings = endings
        self._wanted: Line[Plugin] = Line()
        self._renewals: Line[Plugin] = Line()
        self._to_configure: dict[Plugin, None] = {}
        self._configuring = 0
        self._numbers = itertools.count(1)

    # What is wanted.

    def want(self, entry: Entry, now: float) -> None:
        """Asks for a start of an entry, at once or when its breaker allows it; again, to renew its place in line."""
        plugin = entry.coming
        if plugin is None:
            if self._context.is_closing or (entry.spec.exclusive and entry.draining):
                return
            if now < entry.breaker.until:
                self._context.timers.put(entry, entry.breaker.until)
                return
            plugin = entry.coming = Plugin(entry, next(self._numbers), now)
            self._context.tell("queued", entry, plugin, now)
        plugin.keep = plugin.keep or entry.warm
        if plugin.state is State.QUEUED:
            self._place(plugin)
            self.is_pressed = True

    def settle(self, entry: Entry, now: float) -> None:
        """Sees that an entry without a plugin that serves has a start if somebody waits, and none if nobody does."""
        if entry.serving is not None:
            return
        if entry.waiters:
            self.want(entry, now)
            return
        plugin = entry.coming
        if plugin is not None and (plugin.state is State.QUEUED or not plugin.keep):
            self.give_up(plugin, now)

    def forget(self, plugin: Plugin) -> None:
        """Takes a queued start back."""
        self._wanted.drop(plugin)
        self._renewals.drop(plugin)
        self._endings.gone(plugin)

    def give_up(self, plugin: Plugin, now: float) -> None:
        """Gives up a start, whoever wants it."""
        if plugin.state is State.QUEUED:
            self.forget(plugin)
        elif plugin in self._to_configure:
            del self._to_configure[plugin]
            self._endings.stop(plugin, "idle", now)
        elif not plugin.abandoned:
            plugin.abandoned = True
            self._context.commands.append(Abandon(plugin))

    def _place(self, plugin: Plugin) -> None:
        entry = plugin.entry
        if entry.serving is None:
            first = entry.waiters.first()
            if first is not None:
                self._renewals.drop(plugin)
                self._wanted.put(plugin, rank(first, plugin.queued_at))
        else:
            self._wanted.drop(plugin)
            self._renewals.put(plugin, plugin.queued_at + RENEWAL_DELAY_SECONDS)

    # What is started.

    def pump(self, now: float) -> None:
        """Starts what can be started, and makes room for what cannot."""
        self.is_pressed = True
        while self.is_pressed:
            # Set again by what is asked for meanwhile: a victim's key may have callers of its own.
            self.is_pressed = False
            while self._occupancy.will_lack(0, 0) and self._stop_idle(now):
                pass
            self._start_what_fits(now)
        self.is_pressed = self.blocked_by in {"plugins", "memory"} or self._occupancy.will_lack(0, 0)

    def _start_what_fits(self, now: float) -> None:
        self.blocked_by, self.stuck = "", None
        for line in self._lines():
            while (plugin := line.first()) is not None:
                held_by = self._start(plugin, now)
                if held_by:
                    break
            else:
                continue
            self.blocked_by = held_by
            # A replacement that lacks room does not hold up those who wait.
            if held_by == "start slots" or line is self._wanted:
                return

    def _lines(self) -> Iterator[Line[Plugin]]:
        wanted, renewal = self._wanted.first_rank(), self._renewals.first_rank()
        if wanted is not None and renewal is not None and renewal < wanted:
            yield self._renewals
            yield self._wanted
        else:
            yield self._wanted
            yield self._renewals

    def _start(self, plugin: Plugin, now: float) -> str:
        """Starts a plugin; returns what it waits for if that cannot be."""
        entry, occupancy = plugin.entry, self._occupancy
        size = occupancy.estimate(entry)
        held_by = occupancy.lacks(size)
        if held_by:
            before = entry.serving
            if before is not None and before in occupancy.idle:
                # Stopped, rather than replaced: the room for two is not there, and no caller would notice.
                self.forget(plugin)
                self._endings.stop(before, before.reason, now)
                self.settle(entry, now)
                return ""
            self._make_room(plugin, size, now)
        elif not self.slots.take():
            held_by = "start slots"
        if held_by:
            plugin.held_by = held_by
            return held_by
        self._wanted.drop(plugin)
        self._renewals.drop(plugin)
        occupancy.enter(plugin, size)
        plugin.slots = self.slots
        plugin.keep = plugin.keep or entry.serving is not None
        plugin.state = State.STARTING
        plugin.started_at = now
        entry.starts += 1
        self._context.tell("starting", entry, plugin, now)
        self._context.commands.append(Start(plugin))
        return ""

    def _make_room(self, plugin: Plugin, size: int, now: float) -> None:
        while self._occupancy.will_lack(1, size):
            if not self._stop_idle(now):
                is_waited_for = plugin in self._wanted and not self._occupancy.leaving
                if is_waited_for and self._occupancy.can_ever_have(size):
                    self.stuck = plugin
                return

    def _stop_idle(self, now: float) -> bool:
        """Stops the idle plugin that was used least recently; whether there was one."""
        victim = next(iter(self._occupancy.idle), None)
        if victim is None:
            return False
        self._endings.stop(victim, "pressure", now)
        self.settle(victim.entry, now)
        return True

    # What was started.

    def resized(self) -> None:
        """The limits are others."""
        self._configure_more()

    def give_slot(self, plugin: Plugin) -> None:
        """The plugin's start has ended, well or not."""
        slots, plugin.slots = plugin.slots, None
        if slots is not None:
            slots.give()

    def configure(self, plugin: Plugin, now: float) -> None:
        """The plugin is to be configured, at once or when others are."""
        plugin.state = State.CONFIGURING
        self._context.tell("configuring", plugin.entry, plugin, now)
        self._to_configure[plugin] = None
        self._configure_more()

    def unconfigure(self, plugin: Plugin) -> None:
        """The plugin is configured, or will never be."""
        self._to_configure.pop(plugin, None)
        if plugin.configuring:
            plugin.configuring = False
            self._configuring -= 1
            self._configure_more()

    def _configure_more(self) -> None:
        limit = CONFIGURING_PER_SLOT * (self._context.limits.start_slots or 2)
        while self._to_configure and self._configuring < limit:
            plugin = next(iter(self._to_configure))
            del self._to_configure[plugin]
            plugin.configuring = True
            self._configuring += 1
            self._context.commands.append(Configure(plugin))
