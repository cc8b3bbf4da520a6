"""From samples of channels to medians, ratios, tables and targets."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from channel_clients.point import Point, Sample
from report import Ratio, align


@dataclass(frozen=True)
class Client:
    """A client: its module in `channel_clients`, and the client that its ratios refer to."""

    module: str
    reference: str
    sync: bool = False


# Shown in this order.
CLIENTS = {
    "ferrule": Client("ferrule_aio", "grpc.aio"),
    "grpc.aio": Client("grpc_aio", "grpc.aio"),
    "grpclib": Client("grpclib_aio", "grpc.aio"),
    "ferrule sync": Client("ferrule_sync", "grpc sync", sync=True),
    "grpc sync": Client("grpc_sync", "grpc sync", sync=True),
}


@dataclass(frozen=True)
class Transport:
    """How clients reach the server: the curve of its certificate, None for plaintext."""

    title: str
    curve: str | None


PLAINTEXT = Transport("Unix socket, plaintext", None)
TLS = Transport("Unix socket, TLS", "p256")
TRANSPORTS = (PLAINTEXT, TLS, Transport("Unix socket, TLS with a P-521 certificate", "p521"))


@dataclass(frozen=True)
class Measured:
    """One cell of the matrix."""

    transport: Transport
    point: Point
    client: str

    def __str__(self) -> str:
        return f"{self.transport.title}, {self.point}: {self.client}"


@dataclass
class Results:
    """All that was measured.

    Attributes:
        samples: One sample per repetition; cells that failed in any repetition are left out.
        errors: Why a client could not do a point.
        memory: Peak resident memory of fresh processes in MiB, by client.
        memory_errors: Why a client could not do the memory test.
    """

    samples: dict[Measured, list[Sample]] = field(default_factory=dict)
    errors: dict[Measured, str] = field(default_factory=dict)
    memory: dict[str, list[float]] = field(default_factory=dict)
    memory_errors: dict[str, str] = field(default_factory=dict)

    def add(self, measured: Measured, sample: Sample) -> None:
        """Keep the sample of one more repetition."""
        self.samples.setdefault(measured, []).append(sample)

    def fail(self, measured: Measured, error: str) -> None:
        """Drop a cell for good."""
        self.samples.pop(measured, None)
        self.errors[measured] = error

    def median(self, measured: Measured, metric: str) -> float | None:
        """Median of a metric over the repetitions; None where it does not apply."""
        values = [getattr(sample, metric) for sample in self.samples.get(measured, [])]
        return None if not values or None in values else statistics.median(values)

    def ratio(self, measured: Measured, metric: str) -> Ratio | None:
        """A metric over the reference's in the same repetition: median, lowest, highest; None without a reference."""
        reference = Measured(measured.transport, measured.point, CLIENTS[measured.client].reference)
        pairs = zip(self.samples.get(measured, []), self.samples.get(reference, []), strict=False)
        values = [(getattr(mine, metric), getattr(its, metric)) for mine, its in pairs]
        return _ratio_of(values)


def _ratio_of(pairs: Iterable[tuple[float | None, float | None]]) -> Ratio | None:
    ratios = [mine / its for mine, its in pairs if mine is not None and its]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None


# Column titles and the fields of a sample behind them.
COLUMNS = {
    "CPU us": "cpu_us",
    "p50 us": "p50_us",
    "p99 us": "p99_us",
    "per s": "per_second",
    "switches": "switches",
}
RATIOS = {"CPU ratio": "cpu_us", "p50 ratio": "p50_us", "per s ratio": "per_second"}


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _row(results: Results, measured: Measured) -> list[str]:
    figures = [_figure(results.median(measured, metric)) for metric in COLUMNS.values()]
    if CLIENTS[measured.client].reference == measured.client:
        return [str(measured.point), measured.client, *figures, *("1" for _ in RATIOS)]
    ratios = [results.ratio(measured, metric) for metric in RATIOS.values()]
    return [str(measured.point), measured.client, *figures, *("-" if each is None else str(each) for each in ratios)]


def table(results: Results, transport: Transport) -> str:
    """One transport as a Markdown table, with what failed listed below; empty when nothing was measured."""
    rows = [_row(results, measured) for measured in results.samples if measured.transport == transport]
    failures = [
        f"- {measured.client} failed at {measured.point}: {error}"
        for measured, error in results.errors.items()
        if measured.transport == transport
    ]
    return _section(transport.title, [["call", "client", *COLUMNS, *RATIOS], *rows], failures, names=2)


def _section(title: str, rows: list[list[str]], failures: list[str], names: int = 1) -> str:
    """A heading, the rows below their titles as a table, and what failed; empty when there is nothing but titles."""
    table_lines = align(rows, names) if len(rows) > 1 else []
    parts = ["\n".join(lines) for lines in (table_lines, failures) if lines]
    return "\n\n".join([f"### {title}", *parts]) if parts else ""


MEMORY_TITLE = "128 calls of 1 MiB in flight"


def memory_ratio(results: Results, client: str) -> Ratio | None:
    """Peak memory of a client over that of its reference, both of the same repetition."""
    pairs = zip(results.memory.get(client, []), results.memory.get(CLIENTS[client].reference, []), strict=False)
    return _ratio_of(pairs)


def memory_table(results: Results) -> str:
    """Peak resident memory as a Markdown table; empty when nothing was measured."""
    rows = [["client", "peak MiB", "lowest", "highest", "ratio"]]
    for client, peaks in results.memory.items():
        ratio = "1" if CLIENTS[client].reference == client else str(memory_ratio(results, client) or "-")
        rows.append([client, *(f"{peak:.0f}" for peak in (statistics.median(peaks), min(peaks), max(peaks))), ratio])
    failures = [f"- {client} failed: {error}" for client, error in results.memory_errors.items()]
    if len(rows) == 1 and not failures:
        return ""
    return "\n".join(
        [f"### Memory: {MEMORY_TITLE}, plaintext", "", *align(rows), *(["", *failures] if failures else [])]
    )


@dataclass(frozen=True)
class Target:
    """A ratio that Ferrule sets out to reach: at most `limit`, or at least where more is better."""

    title: str
    point: Point
    metric: str
    limit: float
    at_least: bool = False

    @property
    def client(self) -> str:
        """The client that the target is about."""
        return "ferrule sync" if self.point.sync else "ferrule"

    def met(self, ratio: Ratio) -> bool:
        """Whether a ratio reaches the target."""
        return ratio.value >= self.limit if self.at_least else ratio.value <= self.limit


TARGETS = (
    Target("one at a time, CPU", Point("unary", 16, 1), "cpu_us", 0.45),
    Target("one at a time, p50", Point("unary", 16, 1), "p50_us", 0.65),
    Target("16 in flight, CPU", Point("unary", 16, 16), "cpu_us", 0.40),
    Target("16 in flight, calls per second", Point("unary", 16, 16), "per_second", 2.2, at_least=True),
    Target("128 in flight, calls per second", Point("unary", 16, 128), "per_second", 2.2, at_least=True),
    Target("server stream, CPU per message", Point("stream", 16), "cpu_us", 0.2),
    Target("1 MiB, one at a time, CPU", Point("unary", 2**20, 1), "cpu_us", 0.85),
    Target("blocking, one at a time, CPU", Point("unary", 16, 1, sync=True), "cpu_us", 0.5),
)
MEMORY_LIMIT = 1.0


def _verdict(ratio: Ratio | None, met: Callable[[Ratio], bool]) -> str:
    return "-" if ratio is None else f"{ratio} {'reached' if met(ratio) else 'MISSED'}"


def reach(results: Results) -> str:
    """Ferrule's ratios to grpcio against what it sets out to reach."""
    transports = (PLAINTEXT, TLS)
    rows = [["ratio to grpcio", "target", *(transport.title for transport in transports)]]
    for target in TARGETS:
        limit = f"{'at least' if target.at_least else 'at most'} {target.limit:g}"
        cells = (Measured(transport, target.point, target.client) for transport in transports)
        rows.append(
            [target.title, limit, *(_verdict(results.ratio(cell, target.metric), target.met) for cell in cells)]
        )
    memory = _verdict(memory_ratio(results, "ferrule"), lambda ratio: ratio.value < MEMORY_LIMIT)
    rows.append([f"{MEMORY_TITLE}, peak memory", f"below {MEMORY_LIMIT:g}", memory, "-"])
    return _section("Targets", rows, [], names=2)


def sections(results: Results) -> str:
    """Everything below the facts of the run."""
    tables = [table(results, transport) for transport in TRANSPORTS]
    return "\n\n".join(part for part in [*tables, memory_table(results), reach(results)] if part)
