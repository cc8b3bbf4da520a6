"""What a pool counts while it works: plain attributes, touched on the event loop's thread alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, TypeVar

from ferrule.pool.measures.histogram import Histogram
from ferrule.pool.measures.vocabulary import ERROR_TYPES, LEASE_OUTCOMES, START_PHASES

__all__ = ["MAX_NAMES", "OTHER", "CallMeasures", "Measures", "MeasuresByName", "PluginMeasures"]

MAX_NAMES: Final = 1_000
"""Names of plugins, and methods of each, that are counted apart; whatever comes later is counted as `OTHER`."""

OTHER: Final = "(other)"
"""The name of what is counted together."""

Value = TypeVar("Value")


class _OnDemand(dict[str, Value]):
    """A mapping that makes what is asked for, up to a number; later names share the value of `OTHER`."""

    def __init__(self, make: Callable[[], Value], limit: int = MAX_NAMES) -> None:
        super().__init__()
        self._make = make
        self._limit = limit

    def __missing__(self, name: str) -> Value:
        if len(self) >= self._limit and name != OTHER:
            return self[OTHER]
        made = self[name] = self._make()
        return made


class CallMeasures:
    """The calls of one method.

    Attributes:
        seconds (dict[str, Histogram]): Durations by the name of the status, such as `OK` and `UNAVAILABLE`; each is
            made when it is asked for.
        unknown (int): Calls that had begun when their plugin died: what they did is not known.
    """

    __slots__ = ("seconds", "unknown")

    def __init__(self) -> None:
        self.seconds: dict[str, Histogram] = _OnDemand(Histogram)
        self.unknown = 0


class Measures:
    """What a pool counts of all plugins with one name, from its opening on; the key never labels anything.

    Attributes:
        starts (dict[str, int]): Starts by type of error (`ERROR_TYPES`, see `error_type`).
        start_phases (dict[str, Histogram]): Seconds of each phase of starts that succeeded (`START_PHASES`).
        exits (Counter[tuple[str, str]]): Ends by reason (`EXIT_REASONS`) and rung of the stop, which is empty for a
            crash.
        lease_wait (dict[str, Histogram]): Seconds from asking for a lease to having it or not (`LEASE_OUTCOMES`).
        lease_use (Histogram): Seconds from having a lease to giving it back.
        lease_timeouts (int): Waits that ended with `LeaseTimeout`.
        leases_refused (int): Leases refused with `PoolFull`.
        leases_leaked (int): Leases that were never given back.
        calls (dict[str, CallMeasures]): Calls by method, such as `/kv.KV/Get`; each is made when it is asked for.
        cpu_user, cpu_system (float): Seconds of CPU of plugins that have ended.
        bytes_sent, bytes_received (int): Bytes on the sockets of plugins that have ended.

    Example:
        >>> measures = Measures()
        >>> measures.starts["none"] += 1
        >>> bucket = measures.lease_wait["warm"].add(0.000_002)
        >>> measures.exits["idle", "shutdown"] += 1
        >>> bucket = measures.calls["/kv.KV/Get"].seconds["OK"].add(0.000_2)
        >>> measures.calls["/kv.KV/Get"].unknown
        0
    """

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "calls",
        "cpu_system",
        "cpu_user",
        "exits",
        "lease_timeouts",
        "lease_use",
        "lease_wait",
        "leases_leaked",
        "leases_refused",
        "start_phases",
        "starts",
    )

    def __init__(self) -> None:
        self.starts = dict.fromkeys(ERROR_TYPES, 0)
        self.start_phases = {phase: Histogram() for phase in START_PHASES}
        self.exits: Counter[tuple[str, str]] = Counter()
        self.lease_wait = {outcome: Histogram() for outcome in LEASE_OUTCOMES}
        self.lease_use = Histogram()
        self.lease_timeouts = 0
        self.leases_refused = 0
        self.leases_leaked = 0
        self.calls: dict[str, CallMeasures] = _OnDemand(CallMeasures)
        self.cpu_user = 0.0
        self.cpu_system = 0.0
        self.bytes_sent = 0
        self.bytes_received = 0


class MeasuresByName(_OnDemand[Measures]):
    """The measures of a pool: `measures["aws"]` are those of all plugins named `aws`, made when first asked for."""

    def __init__(self, limit: int = MAX_NAMES) -> None:
        super().__init__(Measures, limit)


class PluginMeasures:
    """What a pool counts of one plugin's process.

    Attributes:
        calls (int): Calls begun.
        call_seconds (Histogram): Durations of calls that have ended, whatever their status.
    """

    __slots__ = ("call_seconds", "calls")

    def __init__(self) -> None:
        self.calls = 0
        self.call_seconds = Histogram()
