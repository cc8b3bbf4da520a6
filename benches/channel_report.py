"""How the bench of channels is shown: its clients, transports, tables, targets and chart."""

from dataclasses import dataclass

from channel_clients.point import Sample
from reporting.charts import Panel, ratio_chart
from reporting.declaration import Bench, Table, Target
from reporting.run import Figure


@dataclass(frozen=True)
class Client:
    """A client: its module in `channel_clients`, and whether it blocks."""

    module: str
    sync: bool = False


# Shown in this order.
CLIENTS = {
    "ferrule": Client("ferrule_aio"),
    "grpc.aio": Client("grpc_aio"),
    "grpclib": Client("grpclib_aio"),
    "ferrule sync": Client("ferrule_sync", sync=True),
    "grpc sync": Client("grpc_sync", sync=True),
}
RIVALS = {"ferrule": "grpc.aio", "grpclib": "grpc.aio", "ferrule sync": "grpc sync"}


@dataclass(frozen=True)
class Transport:
    """How clients reach the server: the curve of its certificate, None for plaintext."""

    title: str
    curve: str | None


PLAINTEXT = Transport("Unix socket, plaintext", None)
TLS = Transport("Unix socket, TLS", "p256")
P521 = Transport("Unix socket, TLS with a P-521 certificate", "p521")
TRANSPORTS = (PLAINTEXT, TLS, P521)

MEMORY = "Memory of 128 calls of 1 MiB in flight"
MEMORY_CASE = "peak of a fresh process, plaintext"

MEASURES = {
    "CPU us": "cpu_us",
    "p50 us": "p50_us",
    "p99 us": "p99_us",
    "calls per s": "per_second",
    "switches": "switches",
}
"""Measures, and the fields of a sample behind them."""
RATIOS = ("CPU us", "p50 us", "calls per s")


def measures(sample: Sample) -> dict[str, float | None]:
    """A sample by measure."""
    return {measure: getattr(sample, name) for measure, name in MEASURES.items()}


def _target(
    work: str,
    transport: Transport,
    case: str,
    measure: str,
    limit: float,
    side: str = "ferrule",
    at_least: bool = False,
) -> Target:
    figure = Figure(transport.title, case, side, measure)
    return Target(work, figure, limit, figure._replace(side=RIVALS[side]), at_least)


LONE, BUSY, LARGE = "16 B, 1 in flight", "16 B, 16 in flight", "1 MiB, 1 in flight"
LONE_BLOCKING = f"{LONE}, blocking"

TARGETS = (
    _target("lone call of 16 B, CPU", PLAINTEXT, LONE, "CPU us", 0.27),
    _target("lone call of 16 B, p50", PLAINTEXT, LONE, "p50 us", 0.42),
    _target("16 calls of 16 B in flight, CPU", PLAINTEXT, BUSY, "CPU us", 0.28),
    _target("16 calls of 16 B in flight, calls per second", PLAINTEXT, BUSY, "calls per s", 2.5, at_least=True),
    _target("blocking lone call of 16 B, CPU", PLAINTEXT, LONE_BLOCKING, "CPU us", 0.25, "ferrule sync"),
    _target("blocking lone call of 16 B, p50", PLAINTEXT, LONE_BLOCKING, "p50 us", 0.45, "ferrule sync"),
    _target("call of 1 MiB, plaintext, CPU", PLAINTEXT, LARGE, "CPU us", 0.70),
    _target("call of 1 MiB, TLS, CPU", TLS, LARGE, "CPU us", 0.60),
    _target("server stream of 16 B, CPU per message", PLAINTEXT, "16 B, server stream", "CPU us", 0.2),
    Target(
        "peak memory of 128 calls of 1 MiB",
        Figure(MEMORY, MEMORY_CASE, "ferrule", "peak MiB"),
        1.0,
        Figure(MEMORY, MEMORY_CASE, "grpc.aio", "peak MiB"),
    ),
)

BENCH = Bench(
    name="channel",
    title="Calls over a channel",
    anchor="calls-over-a-channel",
    minutes=8,
    tables=(
        *(Table(each.title, tuple(MEASURES), RATIOS, RIVALS, case="call", side="client") for each in TRANSPORTS),
        Table(MEMORY, ("peak MiB",), ("peak MiB",), RIVALS, side="client"),
    ),
    targets=TARGETS,
    charts={
        "channel": ratio_chart(
            "gRPC channels relative to grpcio",
            Panel("CPU per call, plaintext", PLAINTEXT.title, "CPU us"),
            Panel("CPU per call, TLS", TLS.title, "CPU us"),
            Panel("Calls per second, plaintext", PLAINTEXT.title, "calls per s"),
            Panel("Calls per second, TLS", TLS.title, "calls per s"),
        )
    },
    programs=("echo",),
    packages=("ferrule", "grpcio", "grpclib", "h2", "uvloop"),
)
