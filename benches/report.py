"""From single cycles to medians, ratios and tables."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from hosts.cycle import Cycle

REFERENCE = "go"

# What Ferrule sets out to reach with mutual TLS.
START_RATIO_LIMIT = 0.85
STOP_RATIO_LIMIT = 1.5
CPU_MS_LIMIT = 2.5


def start_and_first_call(cycle: Cycle) -> float | None:
    """Time until the first answer: fair to hosts that connect in `start` and to those that do it in the first call."""
    return None if cycle.first_call_ms is None else cycle.start_ms + cycle.first_call_ms


METRICS: dict[str, Callable[[Cycle], float | None]] = {
    "start": lambda cycle: cycle.start_ms,
    "first call": lambda cycle: cycle.first_call_ms,
    "start + call": start_and_first_call,
    "stop": lambda cycle: cycle.stop_ms,
    "CPU": lambda cycle: cycle.cpu_ms,
}
RATIOS = ("start", "start + call", "stop", "CPU")


@dataclass
class Series:
    """All that was measured of one host in one variant.

    Attributes:
        host: Short name of the host.
        mtls: Whether the connection was under mutual TLS.
        repetitions: The cycles of each repetition, warm-up excluded.
        error: Why the host cannot do the variant; None when it can.
    """

    host: str
    mtls: bool
    repetitions: list[list[Cycle]] = field(default_factory=list)
    error: str | None = None

    def median(self, metric: str) -> float | None:
        """Median of a metric over all cycles of all repetitions, in milliseconds; None where it does not apply."""
        return _median(metric, (cycle for repetition in self.repetitions for cycle in repetition))

    def medians(self, metric: str) -> list[float | None]:
        """Median of a metric in each repetition, in milliseconds."""
        return [_median(metric, repetition) for repetition in self.repetitions]


@dataclass(frozen=True)
class Ratio:
    """A median divided by the reference's, and the lowest and highest such ratio among the repetitions."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f}-{self.high:.2f})"


def _median(metric: str, cycles: Iterable[Cycle]) -> float | None:
    values = [value for value in map(METRICS[metric], cycles) if value is not None]
    return statistics.median(values) if values else None


def ratio(series: Series, reference: Series | None, metric: str) -> Ratio | None:
    """Compare a host with the reference of the same variant; None where either has no figure."""
    if reference is None:
        return None
    value, base = series.median(metric), reference.median(metric)
    paired = zip(series.medians(metric), reference.medians(metric), strict=False)
    ratios = [mine / its for mine, its in paired if mine is not None and its]
    if value is None or not base or not ratios:
        return None
    return Ratio(value / base, min(ratios), max(ratios))


def find(all_series: Iterable[Series], host: str, mtls: bool) -> Series | None:
    """The series of one host in one variant, if it produced figures."""
    return next((s for s in all_series if s.host == host and s.mtls == mtls and s.repetitions), None)


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def align(rows: list[list[str]], names: int = 1) -> list[str]:
    """Pad a Markdown table so that it also reads well in a terminal; names to the left, figures to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = ["-" * width for width in widths[:names]] + ["-" * (width - 1) + ":" for width in widths[names:]]
    lines = []
    for row in [rows[0], rule, *rows[1:]]:
        cells = [cell.ljust(width) for cell, width in zip(row[:names], widths[:names], strict=True)]
        cells += [cell.rjust(width) for cell, width in zip(row[names:], widths[names:], strict=True)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def table(all_series: list[Series], mtls: bool) -> str:
    """One variant as a Markdown table, with the hosts that cannot do it listed below."""
    reference = find(all_series, REFERENCE, mtls)
    rows = [["host", *(f"{metric} ms" for metric in METRICS), *(f"{metric} / Go" for metric in RATIOS)]]
    failures = []
    for series in (s for s in all_series if s.mtls == mtls):
        if series.error is not None:
            failures.append(f"- {series.host} cannot do this: {series.error}")
            continue
        ratios = (ratio(series, reference, metric) for metric in RATIOS)
        rows.append(
            [
                series.host,
                *(_milliseconds(series.median(metric)) for metric in METRICS),
                *("-" if each is None else str(each) for each in ratios),
            ]
        )
    notes = ["", *failures] if failures else []
    return "\n".join([f"### {'Mutual TLS' if mtls else 'Without TLS'}", "", *align(rows), *notes])


def reach(all_series: list[Series]) -> str:
    """Ferrule with mutual TLS against what it sets out to reach; empty when it or the reference was not measured."""
    mine, reference = find(all_series, "ferrule", True), find(all_series, REFERENCE, True)
    if mine is None:
        return ""
    start, stop, cpu_ms = ratio(mine, reference, "start"), ratio(mine, reference, "stop"), mine.median("CPU")
    if start is None or stop is None or cpu_ms is None:
        return ""
    checks = [
        (start.value <= START_RATIO_LIMIT, f"start {start} of the Go host's, at most {START_RATIO_LIMIT}"),
        (stop.value <= STOP_RATIO_LIMIT, f"stop {stop} of the Go host's, at most {STOP_RATIO_LIMIT}"),
        (cpu_ms <= CPU_MS_LIMIT, f"host CPU {cpu_ms:.2f} ms per cycle, at most {CPU_MS_LIMIT}"),
    ]
    lines = [f"- {'met' if met else 'MISSED'}: {text}" for met, text in checks]
    return "\n".join(["### Reach (mutual TLS)", "", *lines])
