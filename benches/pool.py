"""Compare `ferrule.pool` with what people write instead: leases, calls over many plugins, starts, memory.

Each measure of each keeper is a process of its own. Repetitions are interleaved (A B C, A B C, ...), so that a slow
minute of the machine hits all of them. Run it as `python benches/pool.py`; README.md beside it says how to read the
output.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pool_report import BENCH, GROUPS, KEEPERS
from reporting.command import parser_of, run_bench
from reporting.run import Run

BENCHES = Path(__file__).resolve().parent

Figures = Mapping[str, Mapping[str, float]]

# Each measure: who takes part, and with how many plugins.
FULL: Mapping[str, tuple[Sequence[str], Sequence[int]]] = {
    "lease": (("pool", "locks", "stack"), (10,)),
    "counting": (("pool",), (1,)),
    "calls": (("pool", "stack", "grpcio"), (500,)),
    "starts": (("pool", "locks"), (40,)),
    "memory": (("pool", "grpcio"), (1, 10, 50, 200)),
}
QUICK_SIZES = {"lease": (2,), "calls": (3,), "starts": (2,), "memory": (3,)}

CALLS, QUICK_CALLS = 2000, 160
"""Calls of each point."""

LIMIT_SECONDS = 300.0
"""A run that takes this long has hung."""


class MeasureError(Exception):
    """A process ended without figures."""


def measured(keeper: str, measure: str, plugin: Path, size: int, calls: int) -> Figures:
    """The figures of one measure, from a process of its own.

    Raises:
        MeasureError: The process failed.
    """
    command = [sys.executable, "-m", "pool_keepers", keeper, measure, str(plugin), str(size), str(calls)]
    try:
        done = subprocess.run(command, cwd=BENCHES, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise MeasureError(f"no answer after {LIMIT_SECONDS:.0f} s") from None
    if done.returncode != 0:
        raise MeasureError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    figures: Figures = json.loads(done.stdout)
    return figures


def turns(arguments: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    """Measure, keeper and size of each process of a repetition, in their order."""
    for measure in arguments.measures:
        keepers, sizes = FULL[measure]
        for size in QUICK_SIZES.get(measure, sizes) if arguments.quick else sizes:
            for keeper in keepers:
                yield measure, keeper, size


def measure(arguments: argparse.Namespace, run: Run) -> None:
    """All repetitions; what fails once is not asked for again."""
    plugin, calls = arguments.programs / "kv", QUICK_CALLS if arguments.quick else CALLS
    run.settings = f"{arguments.repetitions} repetitions, {calls} calls per point"
    for repetition in range(arguments.repetitions):
        for name, keeper, size in turns(arguments):
            group, side, work = GROUPS[name], KEEPERS[keeper], f"{name} {size}"
            if run.failed(group, work, side):
                continue
            print(f"repetition {repetition + 1} of {arguments.repetitions}: {work}, {side}", file=sys.stderr)
            try:
                for case, values in measured(keeper, name, plugin, size, calls).items():
                    run.add(group, case, side, values)
            except MeasureError as failure:
                run.fail(group, work, side, str(failure))


def main() -> None:
    """Read the command line, and measure."""
    parser = parser_of(BENCH, __doc__)
    parser.add_argument("--measures", nargs="+", choices=FULL, default=list(FULL), help="default: all")
    run_bench(BENCH, measure, parser)


if __name__ == "__main__":
    main()
