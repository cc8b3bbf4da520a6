"""Failures: what follows when a plugin does not start, or ends by itself."""

from __future__ import annotations

from ferrule.errors import ConfigError
from ferrule.pool.errors import PluginUnavailable
from ferrule.pool.policy import refusals
from ferrule.pool.policy.commands import Refuse, Warn
from ferrule.pool.policy.context import Context
from ferrule.pool.policy.model import Entry, Plugin, State
from ferrule.pool.policy.queue import Queue
from ferrule.pool.policy.starts import Starts

__all__ = ["Failures"]


class Failures:
    """Tells those who waited, and counts for the breaker, when a plugin does not start or ends by itself."""

    def __init__(self, context: Context, queue: Queue, starts: Starts) -> None:
        self._context = context
        self._queue = queue
        self._starts = starts

    def start_failed(self, plugin: Plugin, error: Exception, now: float) -> None:
        """Refuses those who waited for a start or, if another plugin serves, tries again later."""
        entry = plugin.entry
        self._context.tell("start_failed", entry, plugin, now, type(error).__name__, str(error))
        self.count(entry, error, now)
        if entry.serving is None:
            self._refuse_all(entry, now)
            return
        self._context.timers.put(entry, entry.breaker.until)
        if not entry.warned:
            entry.warned = True
            text = f"plugin {entry.spec.name!r} cannot be replaced, the old one goes on: {error}"
            self._context.commands.append(Warn(text))

    def count(self, entry: Entry, error: Exception, now: float, *, lived: float = 0.0) -> None:
        """Counts a failure: a start that is queued waits for the breaker, and those who want it wait or are refused."""
        breaker = entry.breaker
        if breaker.failed(error, now, self._context.limits, lived=lived):
            self._context.tell("breaker_opened", entry, None, now, "", str(error))
        coming = entry.coming
        if coming is not None and coming.state is State.QUEUED and now < breaker.until:
            self._starts.forget(coming)
            self._context.timers.put(entry, breaker.until)
        if breaker.refuses(now) and entry.serving is None and entry.coming is None:
            self._refuse_all(entry, now)

    def unavailable(self, entry: Entry, now: float) -> PluginUnavailable:
        """The error for one who wants a plugin that failed."""
        breaker = entry.breaker
        error = breaker.error or refusals.crashed(entry)
        return refusals.unavailable(entry, error, breaker.until - now if breaker.is_open else 0.0)

    def too_large(self, plugin: Plugin) -> ConfigError | None:
        """The error for a plugin that is larger right after its start than a limit lets it be; None if it is not."""
        settings = (
            (plugin.entry.spec.max_memory_bytes, "max_memory_bytes of its spec"),
            (self._context.limits.max_memory_bytes, "Limits.max_memory_bytes"),
        )
        for limit, setting in settings:
            if plugin.memory is not None and limit is not None and plugin.memory > limit:
                return refusals.too_large(plugin.entry, plugin.memory, limit, setting)
        return None

    def _refuse_all(self, entry: Entry, now: float) -> None:
        for waiter in self._queue.remove_all(entry):
            self._context.commands.append(Refuse(waiter, self.unavailable(entry, now)))
