"""The command line that all benches share."""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import machine
from reporting.declaration import Bench
from reporting.markdown import bench_sections, target_table
from reporting.run import Run

GO_SOURCES = machine.ROOT / "tests" / "go_plugin"
GO_PROGRAMS = machine.ROOT / "build" / "go"

QUICK_REPETITIONS = 2
"""Enough to show that a bench takes turns."""


def parser_of(bench: Bench, description: str | None) -> argparse.ArgumentParser:
    """The options of every bench."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, in seconds: shows that it runs")
    parser.add_argument("--repetitions", type=int, help=f"interleaved rounds (default: {bench.repetitions})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of every repetition to FILE")
    if bench.programs:
        parser.add_argument("--programs", type=Path, help="folder of the Go programs (default: built)")
    return parser


def build_go_programs(names: Sequence[str]) -> Path:
    """The folder in which these programs are, after a build; Go's own cache makes a repeated one cheap."""
    subprocess.run(["make", "-C", str(GO_SOURCES), f"OUT={GO_PROGRAMS}", *names], check=True, stdout=sys.stderr)
    return GO_PROGRAMS


def require_release_build() -> None:
    """Leaves with a message unless the installed Ferrule is an optimised build.

    Raises:
        SystemExit: The extension was built without optimisation; its figures would be several times too high.
    """
    import ferrule

    profile = ferrule.build_info()["profile"]
    if profile != "release":
        sys.exit(
            f"ferrule is a {profile!r} build, expected 'release': figures of an unoptimised build mean nothing. "
            "Install it with `maturin develop --release` and run the benchmark again."
        )


def run_bench(
    bench: Bench,
    measure: Callable[[argparse.Namespace, Run], None],
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
) -> None:
    """Measures, prints the tables, and writes the figures where asked.

    Args:
        bench: What is run.
        measure: Fills the run, and its `settings`.
        parser: From `parser_of`, with options of the bench's own.
        argv: The command line, by default that of this process.

    Raises:
        SystemExit: A target has no figure, or Ferrule is not optimised.
    """
    arguments = parser.parse_args(argv)
    require_release_build()
    arguments.repetitions = arguments.repetitions or (QUICK_REPETITIONS if arguments.quick else bench.repetitions)
    if bench.programs:
        arguments.programs = (arguments.programs or build_go_programs(bench.programs)).resolve()
    program = arguments.programs / bench.programs[0] if bench.programs else None
    run = Run(bench.name, facts=machine.facts(program, bench.packages))
    begun = time.monotonic()
    measure(arguments, run)
    run.seconds = round(time.monotonic() - begun, 1)
    print("\n\n".join([run.settings, *bench_sections(bench, run), target_table([(bench, run)])]))
    if arguments.json:
        run.save(arguments.json)
    missing = [target.work for target in bench.targets if target.measured(run) is None]
    if missing and not arguments.quick:
        sys.exit(f"benchmark incomplete, no figure for: {', '.join(missing)}")
