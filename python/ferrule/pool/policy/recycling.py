"""Recycling: plugins are replaced by their calls, age and size, stopped when idle, and their leases watched."""

from __future__ import annotations

from math import inf, nextafter
from typing import Final

from ferrule.pool.policy.commands import Warn
from ferrule.pool.policy.context import Context
from ferrule.pool.policy.endings import Endings
from ferrule.pool.policy.model import Hold, Plugin, State
from ferrule.pool.policy.occupancy import Occupancy
from ferrule.pool.policy.starts import Starts

__all__ = ["Recycling"]

AGE_JITTER: Final = 0.1
"""Plugins that were started together end over this part of their age."""


class Recycling:
    """Replaces plugins by their calls, age and size, stops idle ones, and watches leases.

    Replacing is starting a second plugin while the first serves, and draining the first when the second is ready; with
    `PluginSpec.exclusive`, draining the first and starting the second when somebody wants it.
    """

    def __init__(self, context: Context, occupancy: Occupancy, endings: Endings, starts: Starts) -> None:
        self._context = context
        self._occupancy = occupancy
        self._endings = endings
        self._starts = starts

    def renew(self, plugin: Plugin, reason: str, now: float) -> None:
        """Asks for the replacement of a plugin that serves."""
        entry = plugin.entry
        if entry.serving is not plugin:
            return
        plugin.reason = plugin.reason or reason
        plugin.calls_limit = plugin.expires_at = inf
        if entry.spec.exclusive:
            self._endings.drain(plugin, plugin.reason, now)
        else:
            self._starts.want(entry, now)

    def watch(self, plugin: Plugin, now: float) -> None:
        """A plugin is ready: its age counts from now."""
        max_age = plugin.entry.spec.max_age
        if max_age is not None:
            plugin.expires_at = now + max_age * (1 - AGE_JITTER * self._context.random.random())

    def look(self, plugin: Plugin, now: float) -> None:
        """Does what is due for a plugin, and sets the timer for what is due next."""
        if plugin.state is State.DRAINING and plugin.drain_by <= now:
            self._endings.revoke(plugin, plugin.reason, now)
        if plugin.state in {State.READY, State.LEASED} and plugin.expires_at <= now:
            self.renew(plugin, "age", now)
        if plugin.state is State.READY and self._idle_until(plugin, now) <= now:
            self._endings.stop(plugin, "idle", now)
        if plugin.state in {State.READY, State.LEASED, State.DRAINING}:
            next_times = (
                plugin.drain_by if plugin.state is State.DRAINING else plugin.expires_at,
                self._idle_until(plugin, now),
                self._report_leaks(plugin, now),
            )
            # Later than now, however short the times are: `tick` goes on until nothing is due.
            self._context.timers.put(plugin, max(min(next_times), nextafter(now, inf)))

    def _idle_until(self, plugin: Plugin, now: float) -> float:
        """When a plugin has been idle for long enough, unless it is leased before."""
        max_idle = plugin.entry.spec.max_idle
        since = plugin.last_used if plugin.state is State.READY else now
        return since + (self._context.limits.max_idle if max_idle is None else max_idle)

    def _report_leaks(self, plugin: Plugin, now: float) -> float:
        """Reports leases that are held for too long; returns when the next one will be, if not a later one."""
        leak_after = self._context.limits.leak_after
        for hold in plugin.holds:
            if hold.leaked:
                continue
            if hold.since + leak_after > now:
                return hold.since + leak_after
            self._leaked(hold, now)
        return now + leak_after

    def _leaked(self, hold: Hold, now: float) -> None:
        hold.leaked = True
        plugin, place = hold.plugin, ""
        if hold.place is not None:
            code, line = hold.place
            place = f"{code.co_filename}:{line}, in {code.co_qualname}"
        self._context.tell("leaked", plugin.entry, plugin, now, "", place)
        text = f"a lease of plugin {plugin.entry.spec.name!r} is held for {now - hold.since:.0f} s"
        self._context.commands.append(Warn(f"{text}, taken at {place}" if place else text))

    # Memory.

    def relieve(self, now: float) -> Plugin | None:
        """Brings the pool below its limits as far as no lease ends by it; returns the plugin that is drained for it.

        Idle plugins are stopped; if that does not do, the largest one takes no more leases, one at a time.
        """
        self._starts.pump(now)
        if not self._occupancy.exceeds_memory():
            return None
        live = self._occupancy.live
        if any(plugin.state is State.DRAINING and plugin.reason == "memory" for plugin in live):
            return None
        leased = [plugin for plugin in live if plugin.state is State.LEASED]
        largest = max(leased, key=lambda plugin: plugin.size, default=None)
        if largest is not None:
            self._endings.drain(largest, "memory", now)
        return largest
