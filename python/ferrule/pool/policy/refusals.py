"""The errors with which the policy refuses: one object for each who is refused."""

from __future__ import annotations

from ferrule.errors import ConfigError, PluginExitedError, RPCPluginError
from ferrule.pool.errors import LeaseTimeout, PluginUnavailable, PoolError, PoolFull
from ferrule.pool.policy.model import Entry, State, Waiter

__all__ = ["closed", "crashed", "full", "timeout", "too_large", "unavailable"]


def closed() -> PoolError:
    """The error for those who want a lease of a pool that ends."""
    return PoolError("the pool is closed", None, "pool.closed")


def full(waiting: int) -> PoolFull:
    """The error for the one who is one too many."""
    message = f"max_waiting is {waiting}, and as many callers wait for a lease already"
    return PoolFull(message, "Ask less often, or raise Limits(max_waiting=...).", "pool.full")


def unavailable(entry: Entry, error: Exception, retry_in: float = 0.0) -> PluginUnavailable:
    """The error for one who wants a plugin that does not start, or that crashes again and again."""
    message = f"plugin {entry.spec.name!r} does not start: {getattr(error, 'message', error)}"
    if retry_in > 0:
        message += f"; the next try is in {retry_in:.3g} s"
    known = error if isinstance(error, RPCPluginError) else None
    refused = PluginUnavailable(
        message,
        known.hint if known else None,
        "pool.unavailable",
        exit_status=known.exit_status if known else None,
        stderr_tail=known.stderr_tail if known else (),
    )
    refused.__cause__ = error
    return refused


def crashed(entry: Entry) -> PluginExitedError:
    """The failure of a process that ended by itself, if the driver knows no more of it."""
    return PluginExitedError(f"plugin {entry.spec.name!r} ended by itself", None, "pool.crashed")


def too_large(entry: Entry, memory: int, limit: int, setting: str) -> ConfigError:
    """The failure of a process that is larger at its start than a limit lets it ever be."""
    name, has, may = entry.spec.name, memory / 2**20, limit / 2**20
    message = f"plugin {name!r} has {has:.1f} MiB of private memory right after its start, {setting} is {may:.1f} MiB"
    return ConfigError(message, f"Raise {setting} well above the first figure.", "pool.too-large")


def timeout(waiter: Waiter, now: float, blocked_by: str) -> LeaseTimeout:
    """The error for somebody who has waited long enough.

    Args:
        waiter: Who.
        now: The time.
        blocked_by: What the first of the starts that are queued waits for.
    """
    waited = now - waiter.since
    parts = _parts(waiter, now, blocked_by)
    held_by = max(parts, key=lambda part: part[1])[0]
    text = ", then ".join(f"{name} for {seconds:.3g} s" for name, seconds in parts if seconds > 0) or held_by
    how_long = f"within {waited:.3g} s"
    if waiter.deadline <= waiter.since:
        # A timeout of 0 or less is over before it begins: figures of the moment until it was noticed say nothing.
        how_long, text = "at once, and the timeout leaves no time to wait", held_by
    message = f"no lease of plugin {waiter.entry.spec.name!r} {how_long}: held by {text}"
    error = LeaseTimeout(message, _HINT_BY_HOLDER.get(held_by), "pool.timeout")
    error.held_by, error.waited = held_by, waited
    return error


def _parts(waiter: Waiter, now: float, blocked_by: str) -> list[tuple[str, float]]:
    """What has held a waiter, and for how many seconds of its wait."""
    entry, waited = waiter.entry, now - waiter.since
    coming = entry.coming
    if entry.serving is not None:
        return [("group" if entry.group is not None and entry.group.is_full else "concurrency", waited)]
    if coming is None:
        return [("backoff" if now < entry.breaker.until else "concurrency", waited)]
    asked = min(max(coming.queued_at - waiter.since, 0.0), waited)
    before = [("backoff" if entry.breaker.error is not None else "concurrency", asked)] if asked else []
    if coming.state is State.QUEUED or coming.started_at is None:
        return [*before, (coming.held_by or blocked_by or "start slots", waited - asked)]
    starting = min(now - coming.started_at, waited)
    queued = (coming.held_by or "start slots", waited - asked - starting)
    return [*before, queued, ("start", starting)]


_HINT_BY_HOLDER = {
    "backoff": "Look at why the plugin ended or did not start before.",
    "concurrency": "Hold leases for less time, or raise max_concurrent_calls of the spec.",
    "group": "Hold leases for less time, or raise Limits(max_concurrent_calls_per_group=...).",
    "memory": "Raise Limits(max_memory_bytes=...), or lease fewer plugins at once.",
    "plugins": "Raise Limits(max_plugins=...), or lease fewer plugins at once.",
    "start slots": "Start plugins before they are needed, with pool.warm().",
}
