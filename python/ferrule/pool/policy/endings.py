"""Endings: how plugins are taken out of service."""

from __future__ import annotations

from ferrule.pool.policy.commands import Revoke, Stop
from ferrule.pool.policy.context import Context
from ferrule.pool.policy.model import Plugin, State
from ferrule.pool.policy.occupancy import Occupancy

__all__ = ["Endings"]


class Endings:
    """Takes plugins out of service: after their leases, at once, or because they ended by themselves."""

    def __init__(self, context: Context, occupancy: Occupancy) -> None:
        self._context = context
        self._occupancy = occupancy

    def drain(self, plugin: Plugin, reason: str, now: float) -> None:
        """Has a plugin take no more leases, and end after those that it has."""
        self._retire(plugin)
        if not plugin.holds:
            self.stop(plugin, reason, now)
            return
        plugin.state = State.DRAINING
        plugin.reason = reason
        plugin.drain_by = now + self._context.limits.drain_timeout
        self._context.timers.put(plugin, plugin.drain_by)
        self._context.tell("draining", plugin.entry, plugin, now, reason)

    def stop(self, plugin: Plugin, reason: str, now: float) -> None:
        """Has a plugin without leases end."""
        self._retire(plugin)
        plugin.state = State.STOPPING
        plugin.reason = reason
        self._occupancy.leave(plugin)
        self._context.timers.drop(plugin)
        self._context.tell("stopping", plugin.entry, plugin, now, reason)
        self._context.commands.append(Stop(plugin, reason))

    def revoke(self, plugin: Plugin, reason: str, now: float) -> None:
        """Has a plugin end at once; its leases no longer count."""
        if plugin.holds:
            self._forfeit(plugin)
            self._context.commands.append(Revoke(plugin, reason))
        self.stop(plugin, reason, now)

    def crashed(self, plugin: Plugin, now: float) -> None:
        """A plugin's process has ended by itself; its leases no longer count."""
        self._retire(plugin)
        self._forfeit(plugin)
        plugin.state = State.BROKEN
        self._occupancy.leave(plugin)
        self._context.timers.drop(plugin)
        self._context.tell("exited", plugin.entry, plugin, now, "crash")
        self._context.commands.append(Stop(plugin, "crash"))

    def gone(self, plugin: Plugin) -> None:
        """Nothing is left of a plugin."""
        plugin.state = State.GONE
        plugin.entry.draining.discard(plugin)
        if plugin.entry.coming is plugin:
            plugin.entry.coming = None
        self._occupancy.gone(plugin)

    def _retire(self, plugin: Plugin) -> None:
        entry = plugin.entry
        if entry.serving is plugin:
            entry.serving = None
        if entry.coming is plugin:
            entry.coming = None
        entry.draining.add(plugin)

    def _forfeit(self, plugin: Plugin) -> None:
        entry, number = plugin.entry, len(plugin.holds)
        entry.leases -= number
        if entry.group is not None:
            entry.group.leases -= number
        plugin.holds.clear()
