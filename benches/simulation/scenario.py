"""What one run of the simulation supposes."""

from dataclasses import dataclass

CALLS_PER_SECOND = 1000.0

AWS_MIB, AWS_START_SECONDS = 140.0, 1.1
"""Private memory and CPU of a start of terraform-provider-aws 5.100 that has read its own schema."""
LEAN_MIB, LEAN_START_SECONDS = 60.0, 0.3
"""The program of the line above that was never asked for its schema."""
LIGHT_MIB, LIGHT_START_SECONDS = 8.0, 0.03
"""A provider with a binary of 74 MB and a small schema, terraform-provider-simple of OpenTofu, as measured."""


@dataclass(frozen=True)
class Scenario:
    """One row of the table.

    Attributes:
        nodes: Machines.
        placement: `affinity`, `bounded` or `random`; see `simulation.placement`.
        calls_per_second: Calls offered, as a Poisson process.
        zipf: Exponent of the popularity of configurations: the k-th most frequent has the weight k ** -zipf.
        configurations: Number of different configurations, each of which needs a plugin of its own.
        plugin_mib: Private memory of a plugin, from the begin of its start until its end.
        node_mib: Memory for plugins on each node.
        start_seconds: Time of a start, which varies between 0.8 and 1.3 of it.
        start_slots: Starts at once on each node.
        calls_per_plugin: Calls at once in each plugin.
        idle_seconds: Time without a call after which a plugin is stopped.
        max_calls: Calls after which a plugin is replaced; 0 for never.
        overlap: Whether a plugin serves until its replacement is ready.
        losses: Nodes lost, at moments spread over the measured time.
        seconds: Length of the run.
        warm_up_seconds: Begin of the measured time.
        seed: Seed of all random numbers.
    """

    nodes: int = 75
    placement: str = "bounded"
    calls_per_second: float = CALLS_PER_SECOND
    zipf: float = 0.8
    configurations: int = 10_000
    plugin_mib: float = AWS_MIB
    node_mib: float = 24_000.0
    start_seconds: float = AWS_START_SECONDS
    start_slots: int = 4
    calls_per_plugin: int = 8
    idle_seconds: float = 600.0
    max_calls: int = 0
    overlap: bool = True
    losses: int = 0
    seconds: float = 240.0
    warm_up_seconds: float = 120.0
    seed: int = 1
