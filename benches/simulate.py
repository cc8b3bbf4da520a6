"""Thousands of provider configurations on many nodes, simulated: how many nodes it takes, and what happens with fewer.

Nothing is started and no clock is read: a run depends on its options and its seed alone. Run it as
`python benches/simulate.py`; docs/scaling.md says what the table means, README.md beside this file names the options.
"""

import argparse
import fnmatch
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import machine
from reporting.markdown import align
from simulation.outcome import Outcome
from simulation.scenario import LEAN_MIB, LEAN_START_SECONDS, LIGHT_MIB, LIGHT_START_SECONDS, Scenario
from simulation.simulator import Simulator

PLACEMENTS = ("affinity", "bounded", "random")


def rows() -> dict[str, Scenario]:
    """All scenarios of the table by their label, in its order."""
    aws = Scenario()
    light = Scenario(plugin_mib=LIGHT_MIB, start_seconds=LIGHT_START_SECONDS)
    lean = Scenario(plugin_mib=LEAN_MIB, start_seconds=LEAN_START_SECONDS)
    table = {
        f"{nodes} nodes, {placement}": replace(aws, nodes=nodes, placement=placement)
        for nodes in (10, 20, 30, 40, 50, 58, 75, 100, 200)
        for placement in PLACEMENTS
        if placement != "random" or nodes in (10, 20, 50, 75, 100, 200)
    }
    for placement in ("affinity", "bounded"):
        table |= {
            f"75 nodes, {placement}, 3000 calls/s": replace(aws, placement=placement, calls_per_second=3000.0),
            f"75 nodes, {placement}, 3000 calls/s, 3 nodes lost": replace(
                aws, placement=placement, calls_per_second=3000.0, losses=3
            ),
            f"75 nodes, {placement}, 3 nodes lost": replace(aws, placement=placement, losses=3),
            f"75 nodes, {placement}, Zipf 1.1": replace(aws, placement=placement, zipf=1.1),
        }
    return table | {
        "75 nodes, idle for 60 s": replace(aws, idle_seconds=60.0),
        "75 nodes, idle for 15 s": replace(aws, idle_seconds=15.0),
        "75 nodes, stopped and started after 100 calls": replace(aws, max_calls=100, overlap=False),
        "75 nodes, replaced and drained after 100 calls": replace(aws, max_calls=100),
        "75 nodes, 1 start slot": replace(aws, start_slots=1),
        "75 nodes, 1 call per plugin": replace(aws, calls_per_plugin=1),
        **{f"lean, {nodes} nodes, affinity": replace(lean, nodes=nodes, placement="affinity") for nodes in (20, 30)},
        **{f"light, 10 nodes, {placement}": replace(light, nodes=10, placement=placement) for placement in PLACEMENTS},
        "light, 20 nodes, bounded, 3 nodes lost": replace(light, nodes=20, losses=3),
    }


COLUMNS = (
    "done /s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "cold %",
    "GiB",
    "peak",
    "evicted",
    "starts",
    "timed out",
    "refused",
    "unknown",
    "moved",
)


def figures(scenario: Scenario, outcome: Outcome) -> list[str]:
    """A row of the table, one figure for each of `COLUMNS`."""
    return [
        f"{outcome.in_time / (scenario.seconds - scenario.warm_up_seconds):.0f}",
        *(f"{outcome.wait_seconds(share) * 1000:.0f}" for share in (0.5, 0.99, 0.999)),
        f"{outcome.cold / max(1, outcome.measured) * 100:.2f}",
        *(f"{mib / 1024:.1f}" for mib in (outcome.mean_mib, outcome.peak_mib)),
        *(str(count) for count in (outcome.evicted, outcome.starts, outcome.timed_out, outcome.refused)),
        *(str(count) for count in (outcome.unknown, outcome.moved)),
    ]


def simulate(scenario: Scenario) -> Outcome:
    """Runs one scenario."""
    return Simulator(scenario).run()


def simulate_all(scenarios: Sequence[Scenario], jobs: int) -> list[Outcome]:
    """Runs scenarios, several at once in processes of their own where more than one job is allowed."""
    if jobs == 1:
        return [simulate(scenario) for scenario in scenarios]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(simulate, scenarios))


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Simulate a pool of plugins on many nodes.")
    parser.add_argument("--rows", nargs="+", metavar="PATTERN", default=["*"], help='labels, as "75 nodes*" (all)')
    parser.add_argument("--list", action="store_true", help="print the labels only")
    parser.add_argument("--seed", type=int, default=Scenario.seed, help="of all random numbers (default: 1)")
    parser.add_argument("--seconds", type=float, default=Scenario.seconds, help="half of them warm-up (default: 240)")
    parser.add_argument("--jobs", type=int, default=machine.usable_cores(), help="rows at once (default: cores)")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> None:
    """Runs the rows that are asked for, and prints the table."""
    arguments = parse_arguments(argv)
    wanted = {
        label: replace(scenario, seed=arguments.seed, seconds=arguments.seconds, warm_up_seconds=arguments.seconds / 2)
        for label, scenario in rows().items()
        if any(fnmatch.fnmatchcase(label, pattern) for pattern in arguments.rows)
    }
    if arguments.list or not wanted:
        print("\n".join(wanted or rows()))
        sys.exit(0 if wanted else "no label matches; those above exist")
    outcomes = simulate_all(list(wanted.values()), arguments.jobs)
    lines = [
        [label, *figures(scenario, outcome)]
        for (label, scenario), outcome in zip(wanted.items(), outcomes, strict=True)
    ]
    print(f"commit {machine.commit()}, seed {arguments.seed}, {arguments.seconds:g} s of which half are warm-up\n")
    print(align([["case", *COLUMNS], *lines]))


if __name__ == "__main__":
    main(sys.argv[1:])
