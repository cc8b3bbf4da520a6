"""Limits: what a pool may use, and how long it waits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from ferrule import _validation as rules

__all__ = ["Limits"]

_COUNT = rules.whole_number(1, 2**31 - 1)
_BYTES = rules.optional(rules.whole_number(1, 2**63 - 1))
_SECONDS = rules.seconds()


def _groups() -> rules.Rule:
    def accept(value: Any) -> Any:
        given = value if isinstance(value, Mapping) else {"": value}
        for name, number in given.items():
            if not isinstance(name, str) or isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(f"{name!r} has {number!r}")
        return dict(value) if isinstance(value, Mapping) else value

    return rules.Rule("a number of leases, 1 or more, for every group, or a mapping of groups to such numbers", accept)


@rules.settings
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the plugins of one pool may use together, and how long its callers wait.

    Attributes:
        max_plugins: Processes at once, starting ones included; default None: 500, or fewer where the machine allows
            fewer descriptors or processes.
        max_memory_bytes: Private memory of all processes together; default None, no limit. A start waits until its
            plugin fits, by the size that the same program had before.
        start_slots: Starts at once; default None: those that all pools of the process share, one for each usable
            CPU.
        max_waiting: Callers that may wait at once; default 1,000. One more gets `PoolFull`.
        acquire_timeout: Seconds that a caller waits for a lease unless it says otherwise; default 30.
        max_idle: Seconds without a lease after which a process is stopped, for specs that do not say; default 600.
        drain_timeout: Seconds that a plugin which is replaced waits for its leases to end, before they are revoked;
            default 3,600.
        leak_after: Seconds after which a lease that is still held is reported with the place where it was taken;
            default 3,600.
        max_concurrent_calls_per_group: Leases at once per `group`: a number for every group, or a mapping; default
            None, any number.
        retry_unsent: Whether a call that had not begun when its plugin died is made again with the replacement; default
            True.
        failures: Failed starts and crashes within `failure_window` after which a plugin is no longer started for
            `retry_after` seconds; default 5.
        failure_window: Seconds; default 60.
        retry_after: Seconds; default 30.

    Raises:
        ConfigError: A setting does not fit.

    Example:
        >>> from ferrule.pool import Limits
        >>> Limits(max_plugins=200, max_memory_bytes=16 * 2**30).start_slots is None
        True
    """

    max_plugins: Annotated[int | None, rules.optional(_COUNT)] = None
    max_memory_bytes: Annotated[int | None, _BYTES] = None
    start_slots: Annotated[int | None, rules.optional(_COUNT)] = None
    max_waiting: Annotated[int, _COUNT] = 1000
    acquire_timeout: Annotated[float, _SECONDS] = 30.0
    max_idle: Annotated[float, _SECONDS] = 600.0
    drain_timeout: Annotated[float, _SECONDS] = 3600.0
    leak_after: Annotated[float, _SECONDS] = 3600.0
    max_concurrent_calls_per_group: Annotated[int | Mapping[str, int] | None, rules.optional(_groups())] = None
    retry_unsent: Annotated[bool, rules.flag()] = True
    failures: Annotated[int, _COUNT] = 5
    failure_window: Annotated[float, _SECONDS] = 60.0
    retry_after: Annotated[float, _SECONDS] = 30.0

    def __post_init__(self) -> None:
        rules.check_fields(self, described_by="ferrule.pool.Limits")
