"""How the bench of pools is shown: what is compared, tables, targets and chart."""

import pool_plot
from pool_keepers.measures import STARTS_CASE
from reporting.declaration import Bench, Table, Target
from reporting.run import Figure

KEEPERS = {
    "pool": "ferrule.pool",
    "locks": "dict and locks",
    "grpcio": "dict and locks, grpcio",
    "stack": "AsyncExitStack",
}
"""What is compared, by the words of `pool_keepers`, with the names for readers."""

GROUPS = {
    "lease": "A plugin that is ready",
    "counting": "A lease for each call",
    "calls": "Calls over many plugins",
    "starts": "Starts",
    "memory": "Memory of many plugins",
}
"""What is measured, by the words of `pool_keepers`."""

TO_STACK = {name: KEEPERS["stack"] for name in KEEPERS.values() if name != KEEPERS["stack"]}
TO_LOCKS = {KEEPERS["pool"]: KEEPERS["locks"]}
TO_GRPCIO = {KEEPERS["pool"]: KEEPERS["grpcio"]}


def _of_pool(measure: str, case: str, name: str) -> Figure:
    return Figure(GROUPS[measure], case, KEEPERS["pool"], name)


BENCH = Bench(
    name="pool",
    title="Many plugins in one process",
    anchor="many-plugins-in-one-process",
    minutes=4,
    tables=(
        Table(GROUPS["lease"], ("CPU us", "lets others run"), side="kept by"),
        Table(
            GROUPS["counting"],
            ("client's channel us", "lease and call us", "difference us"),
            case="calls",
            side="kept by",
        ),
        Table(
            GROUPS["calls"],
            ("CPU us", "p50 us", "p99 us", "calls per s"),
            ("CPU us", "calls per s"),
            TO_STACK,
            case="calls, plugins",
            side="kept by",
        ),
        Table(
            GROUPS["starts"],
            (
                "lone p50 ms",
                "lone p99 ms",
                "at once p50 ms",
                "at once p99 ms",
                "at once p99 / lone p99",
                "all ready ms",
                "cold call ms",
                "warm call ms",
                "cold / warm",
            ),
            ("all ready ms",),
            TO_LOCKS,
            side="kept by",
        ),
        Table(
            GROUPS["memory"],
            ("resident MiB", "proportional MiB", "private MiB", "descriptors each", "host each KiB"),
            ("host each KiB",),
            TO_GRPCIO,
            case="plugins",
            side="kept by",
        ),
    ),
    targets=(
        Target("warm lease, us of CPU", _of_pool("lease", "a warm lease", "CPU us"), 5.0),
        Target("times that a warm lease lets others run", _of_pool("lease", "a warm lease", "lets others run"), 0.0),
        Target("lease and counting, us per lone call", _of_pool("counting", "1 call at a time", "difference us"), 15.0),
        Target("lease and counting, us with 16 calls", _of_pool("counting", "16 calls at once", "difference us"), 15.0),
        Target("p99 of 40 starts / of lone ones", _of_pool("starts", STARTS_CASE, "at once p99 / lone p99"), 3.0),
    ),
    charts={"pool": pool_plot.draw},
    programs=("kv",),
    packages=("ferrule", "grpcio", "protobuf"),
)
