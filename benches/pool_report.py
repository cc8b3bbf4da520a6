"""From single runs of keepers to medians, ratios, tables and verdicts."""

import re
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from report import Ratio, align

KEEPERS = {
    "pool": "ferrule.pool",
    "locks": "dict and locks",
    "grpcio": "dict and locks, grpcio",
    "stack": "AsyncExitStack",
}
"""What is compared, by the words of `pool_keepers`, with the names for readers."""

LEASE_US_LIMIT, CALL_US_LIMIT, START_RATIO_LIMIT = 5.0, 15.0, 3.0

Figures = Mapping[str, float]


@dataclass
class Results:
    """The figures of each repetition, by keeper and measure."""

    samples: dict[tuple[str, str], list[dict[str, float]]] = field(default_factory=dict)
    errors: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, keeper: str, measure: str, repetition: int, figures: Figures) -> None:
        """Keeps figures; several runs of one repetition make one sample."""
        samples = self.samples.setdefault((keeper, measure), [])
        if len(samples) <= repetition:
            samples.append({})
        samples[-1].update(figures)

    def all(self, keeper: str, measure: str, figure: str) -> list[float]:
        """A figure in each repetition that has it."""
        return [sample[figure] for sample in self.samples.get((keeper, measure), []) if figure in sample]

    def median(self, keeper: str, measure: str, figure: str) -> float | None:
        """The median over the repetitions; None without a figure."""
        values = self.all(keeper, measure, figure)
        return statistics.median(values) if values else None

    def ratio(self, measure: str, above: tuple[str, str], below: tuple[str, str]) -> Ratio | None:
        """The ratio of two figures, each of a keeper, within the repetitions."""
        pairs = zip(self.all(above[0], measure, above[1]), self.all(below[0], measure, below[1]), strict=False)
        ratios = [value / base for value, base in pairs if base]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None

    def keepers(self, measure: str) -> list[str]:
        """Those that have figures of a measure, in the order of `KEEPERS`."""
        return [keeper for keeper in KEEPERS if (keeper, measure) in self.samples]

    def sizes(self, measure: str, figure: str) -> list[int]:
        """The numbers of plugins at which there is a figure `<figure>_<plugins>...`."""
        names = {name for (_, each), rows in self.samples.items() if each == measure for row in rows for name in row}
        found = (re.fullmatch(rf"{figure}_(\d+)(_\d+)?", name) for name in names)
        return sorted({int(match[1]) for match in found if match})


def shown(value: float | None) -> str:
    """A figure with about three digits."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def lease_table(results: Results) -> str:
    """What a lease costs."""
    rows = [["kept by", "got and given back, us", "lowest", "highest", "lets others run"]]
    for keeper in results.keepers("lease"):
        each = results.all(keeper, "lease", "lease_us")
        suspends = "yes" if any(results.all(keeper, "lease", "suspends")) else "no"
        figures = (statistics.median(each), min(each), max(each))
        rows.append([KEEPERS[keeper], *map(shown, figures), suspends])
    return _section("A plugin that is ready", rows)


def counting_table(results: Results) -> str:
    """What a call through a lease costs beside the same call without one."""
    rows = [["calls at once", "client's channel, us", "lease and call, us", "difference, us"]]
    for in_flight in (1, 16):
        figures = (f"{name}_us_{in_flight}" for name in ("bare", "leased", "added"))
        rows.append([str(in_flight), *(shown(results.median("pool", "counting", figure)) for figure in figures)])
    return _section("A lease for each call", rows) if results.keepers("counting") else ""


def calls_table(results: Results) -> str:
    """Calls that go round some plugins, with ratios to a dict of stubs."""
    metrics = {"CPU us": "cpu_us", "p50 us": "p50_us", "p99 us": "p99_us", "per s": "per_second"}
    rows = [["calls at once", "plugins", "kept by", *metrics, "CPU ratio", "per s ratio"]]
    for in_flight in (1, 16):
        for size in results.sizes("calls", "cpu_us"):
            for keeper in results.keepers("calls"):
                figures = (results.median(keeper, "calls", f"{name}_{size}_{in_flight}") for name in metrics.values())
                ratios = [
                    results.ratio("calls", (keeper, figure), ("stack", figure))
                    for figure in (f"cpu_us_{size}_{in_flight}", f"per_second_{size}_{in_flight}")
                ]
                written = ("1" if keeper == "stack" else str(ratio or "-") for ratio in ratios)
                rows.append([str(in_flight), str(size), KEEPERS[keeper], *map(shown, figures), *written])
    return _section("Calls over many plugins", rows, names=3)


def starts_table(results: Results) -> str:
    """Starts, and what a caller waits for."""
    columns = {
        "lone p50 ms": "lone_p50_ms",
        "p99": "lone_p99_ms",
        "at once p50 ms": "at_once_p50_ms",
        "p99 ": "at_once_p99_ms",
        "all ready ms": "all_ready_ms",
    }
    rows = [["kept by", *columns, "p99 / lone p99", "cold call ms", "warm call ms", "cold / warm"]]
    for keeper in results.keepers("starts"):
        figures = (results.median(keeper, "starts", name) for name in columns.values())
        ratio = results.ratio("starts", (keeper, "at_once_p99_ms"), (keeper, "lone_p99_ms"))
        calls = (results.median(keeper, "starts", name) for name in ("cold_ms", "warm_ms"))
        dearer = results.ratio("starts", (keeper, "cold_ms"), (keeper, "warm_ms"))
        rows.append([KEEPERS[keeper], *map(shown, figures), str(ratio or "-"), *map(shown, calls), str(dearer or "-")])
    return _section("Starts", rows)


def memory_table(results: Results) -> str:
    """Memory of plugins and of their host."""
    columns = {
        "resident MiB": "rss_mib",
        "proportional MiB": "pss_mib",
        "private MiB": "private_mib",
        "descriptors each": "descriptors_each",
        "host KiB each": "host_kib_each",
    }
    rows = [["plugins", "kept by", *columns]]
    for size in results.sizes("memory", "pss_mib"):
        for keeper in results.keepers("memory"):
            figures = (results.median(keeper, "memory", f"{name}_{size}") for name in columns.values())
            rows.append([str(size), KEEPERS[keeper], *map(shown, figures)])
    return _section("Memory", rows, names=2)


def reach(results: Results) -> str:
    """The pool against what it sets out to reach."""
    lease = results.median("pool", "lease", "lease_us")
    suspends = any(results.all("pool", "lease", "suspends"))
    added = [results.median("pool", "counting", f"added_us_{in_flight}") for in_flight in (1, 16)]
    starts = results.ratio("starts", ("pool", "at_once_p99_ms"), ("pool", "lone_p99_ms"))
    checks: list[tuple[str, float | None, Callable[[float], bool]]] = [
        (f"a warm lease, us of CPU: at most {LEASE_US_LIMIT:g}", lease, lambda us: us <= LEASE_US_LIMIT),
        ("times that it lets others run: 0", float(suspends), lambda times: not times),
        (f"lease and counting beside a call, us: at most {CALL_US_LIMIT:g}", added[0], lambda us: us <= CALL_US_LIMIT),
        (f"the same with 16 calls at once: at most {CALL_US_LIMIT:g}", added[1], lambda us: us <= CALL_US_LIMIT),
        (
            f"p99 of many starts / of lone ones: at most {START_RATIO_LIMIT:g}",
            None if starts is None else starts.value,
            lambda ratio: ratio <= START_RATIO_LIMIT,
        ),
    ]
    lines = [
        f"- {'met' if is_met(value) else 'MISSED'}: {name}: {shown(value)}"
        for name, value, is_met in checks
        if value is not None
    ]
    return "\n".join(["### Reach", "", *lines])


def _section(title: str, rows: list[list[str]], names: int = 1) -> str:
    return "\n".join([f"### {title}", "", *align(rows, names)]) if len(rows) > 1 else ""


def sections(results: Results) -> str:
    """Everything below the facts of the run."""
    tables = [make(results) for make in (lease_table, counting_table, calls_table, starts_table, memory_table, reach)]
    failures = [f"- {KEEPERS[keeper]}, {measure}: {error}" for (keeper, measure), error in results.errors.items()]
    return "\n\n".join(part for part in [*tables, "\n".join(failures)] if part)
