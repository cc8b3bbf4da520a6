"""The figures as tables."""

from collections.abc import Iterable
from typing import Any

from ferrule.cli.bench.calls import CallFigures
from ferrule.cli.bench.leases import LeaseFigures
from ferrule.cli.bench.memory import MemoryFigures
from ferrule.cli.bench.starts import StartFigures
from ferrule.cli.tables import Column, Table

__all__ = ["tables"]

MEBIBYTE = 2**20


def tables(
    starts: Iterable[StartFigures],
    leases: LeaseFigures,
    memory: Iterable[MemoryFigures],
    calls: Iterable[CallFigures],
) -> list[Table]:
    """All figures, for people."""
    return [_starts(starts), _leases(leases), _memory(memory), _calls(calls)]


def _starts(figures: Iterable[StartFigures]) -> Table:
    columns = [Column("at once"), Column("starts/s"), Column("p50 ms"), Column("max ms")]
    rows = [
        [str(each.at_once), _number(each.per_second, 1), _number(each.p50_ms, 1), _number(each.max_ms, 1)]
        for each in figures
    ]
    return Table("starts", columns, rows)


def _leases(figures: LeaseFigures) -> Table:
    return Table(
        "a lease and one call",
        [Column("", left=True), Column("takes")],
        [
            ["cold: the plugin is started", f"{_number(figures.cold_ms, 1)} ms"],
            ["warm: the plugin runs", f"{_number(figures.warm_us)} us"],
            ["the call without a lease", f"{_number(figures.bare_us)} us"],
            ["the lease without a call, CPU", f"{_number(figures.lease_cpu_us, 2)} us"],
        ],
    )


def _memory(figures: Iterable[MemoryFigures]) -> Table:
    titles = ("plugins", "started in s", "MiB private each", "MiB in all")
    rows = [
        [
            str(each.plugins),
            _number(each.seconds, 2),
            _number(each.private_bytes, 1, MEBIBYTE),
            _number(each.pss_bytes, 0, MEBIBYTE),
        ]
        for each in figures
    ]
    return Table("memory", [Column(title) for title in titles], rows)


def _calls(figures: Iterable[CallFigures]) -> Table:
    titles = ("plugins", "in flight", "calls/s", "p50 us", "p99 us", "host CPU us", "plugin CPU us")
    rows = [
        [
            each.channel,
            str(each.plugins),
            str(each.in_flight),
            *map(_number, (each.per_second, each.p50_us, each.p99_us, each.host_cpu_us, each.plugin_cpu_us)),
        ]
        for each in figures
    ]
    return Table("calls", [Column("channel", left=True), *map(Column, titles)], rows)


def _number(value: Any, digits: int = 0, unit: float = 1) -> str:
    return "-" if value is None else f"{value / unit:,.{digits}f}"
