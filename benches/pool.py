"""Compare `ferrule.pool` with what people write instead: leases, calls over many plugins, starts, memory.

Each measure of each keeper is a process of its own. Repetitions are interleaved (A B C, A B C, ...), so that a slow
minute of the machine hits all of them. Run it as `python benches/pool.py`; README.md beside it says how to read the
output.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import machine
import pool_plot
import pool_report
from pool_report import KEEPERS, Figures, Results

BENCHES = Path(__file__).resolve().parent
RESULTS = BENCHES / "RESULTS.md"
PLOT = BENCHES / "pool.svg"
GO_SOURCES = machine.ROOT / "tests" / "go_plugin"
GO_PROGRAMS = machine.ROOT / "build" / "go"

PACKAGES = ("ferrule", "grpcio", "protobuf")

# Each measure: who takes part, and with which sizes: calls per block for `counting`, plugins for the others.
FULL: Mapping[str, tuple[Sequence[str], Sequence[int]]] = {
    "lease": (("pool", "locks", "stack"), (10,)),
    "counting": (("pool",), (2000,)),
    "calls": (("pool", "stack", "grpcio"), (500,)),
    "starts": (("pool", "locks"), (40,)),
    "memory": (("pool", "grpcio"), (1, 10, 50, 200)),
}
QUICK_SIZES = {"counting": (300,), "calls": (20,), "starts": (6,), "memory": (1, 10)}

LIMIT_SECONDS = 300.0
"""A run that takes this long has hung."""


class MeasureError(Exception):
    """A process ended without figures."""


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare what keeps many plugins in one process.")
    parser.add_argument("--quick", action="store_true", help="few plugins, 2 repetitions")
    parser.add_argument("--repetitions", type=int, help="interleaved rounds (default: 5)")
    parser.add_argument("--measures", nargs="+", choices=FULL, default=list(FULL), help="default: all")
    parser.add_argument("--plugin", type=Path, help="the Go KV plugin (default: built from tests/go_plugin)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every repetition to FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the results as SVG into FILE")
    parser.add_argument("--append-results", action="store_true", help="append to RESULTS.md and redraw pool.svg")
    arguments = parser.parse_args(argv)
    arguments.repetitions = arguments.repetitions or (2 if arguments.quick else 5)
    return arguments


def build_plugin() -> Path:
    """Build the KV plugin; Go's own cache makes a repeated build cheap."""
    subprocess.run(["make", "-C", str(GO_SOURCES), f"OUT={GO_PROGRAMS}", "kv"], check=True, stdout=sys.stderr)
    return GO_PROGRAMS / "kv"


def measured(keeper: str, measure: str, plugin: Path, size: int) -> Figures:
    """The figures of one measure, from a process of its own.

    Raises:
        MeasureError: The process failed.
    """
    command = [sys.executable, "-m", "pool_keepers", keeper, measure, str(plugin), str(size)]
    try:
        done = subprocess.run(command, cwd=BENCHES, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise MeasureError(f"no answer after {LIMIT_SECONDS:.0f} s") from None
    if done.returncode != 0:
        raise MeasureError((done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def run(arguments: argparse.Namespace) -> Results:
    """All repetitions; what fails once is not asked for again."""
    results = Results()
    for repetition in range(arguments.repetitions):
        for measure in arguments.measures:
            keepers, sizes = FULL[measure]
            sizes = QUICK_SIZES.get(measure, sizes) if arguments.quick else sizes
            for size in sizes:
                for keeper in keepers:
                    if (keeper, measure) in results.errors:
                        continue
                    print(f"repetition {repetition + 1}: {measure} {size}, {KEEPERS[keeper]}", file=sys.stderr)
                    try:
                        figures = measured(keeper, measure, arguments.plugin, size)
                        results.add(keeper, measure, repetition, figures)
                    except MeasureError as failure:
                        results.errors[keeper, measure] = str(failure)
    return results


def render(facts: Mapping[str, str], repetitions: int, results: Results) -> str:
    """The result as a section of Markdown."""
    described = [f"- {name}: {value}" for name, value in facts.items() if name not in ("date", "commit")]
    described.append(f"- {repetitions} repetitions")
    title = f"## Pool, {facts['date']}, commit {facts['commit']}"
    return "\n\n".join([title, "\n".join(described), pool_report.sections(results)]) + "\n"


def write_json(path: Path, facts: Mapping[str, str], results: Results) -> None:
    """Write the facts and every figure of every repetition."""
    samples = [
        {"keeper": keeper, "measure": measure, "repetitions": rows}
        for (keeper, measure), rows in results.samples.items()
    ]
    errors = [
        {"keeper": keeper, "measure": measure, "error": error} for (keeper, measure), error in results.errors.items()
    ]
    path.write_text(json.dumps({"facts": facts, "samples": samples, "errors": errors}, indent=1) + "\n")


def main(argv: Sequence[str]) -> None:
    """Measure, print the tables, and keep them where asked."""
    arguments = parse_arguments(argv)
    from hosts.ferrule_host import require_release_build

    require_release_build()
    arguments.plugin = (arguments.plugin or build_plugin()).resolve()
    facts = machine.facts(arguments.plugin, PACKAGES)
    results = run(arguments)
    section = render(facts, arguments.repetitions, results)
    print(section)
    if arguments.json:
        write_json(arguments.json, facts, results)
    for path in {arguments.plot, PLOT if arguments.append_results else None} - {None}:
        path.write_text(pool_plot.draw(results, f"{facts['date']}, commit {facts['commit']}, {facts['CPU']}"))
    if arguments.append_results:
        with RESULTS.open("a") as file:
            file.write(f"\n{section}")
    if results.errors:
        sys.exit("benchmark incomplete: the list of failures is in the output")


if __name__ == "__main__":
    main(sys.argv[1:])
