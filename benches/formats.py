"""What the core does with the protocol's formats: parsers beside plain Python, certificates beside `cryptography`.

The measurements are tests of pytest-benchmark, in `bench_parsers.py` and `bench_certificates.py`; both sides of a pair
are held to the same answer. Each repetition is a process of its own. Run it as `python benches/formats.py`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reporting.charts import Panel, ratio_chart
from reporting.command import parser_of, run_bench
from reporting.declaration import Bench, Table, Target
from reporting.run import Figure, Run

BENCHES = Path(__file__).resolve().parent
FILES = {"Parsers": ("bench_parsers.py", "pure Python"), "Certificates": ("bench_certificates.py", "cryptography")}
"""The tests of each group, and Ferrule's rival in them."""

SECONDS, QUICK_SECONDS = 0.5, 0.02
"""For how long each test repeats its work."""

MICROSECONDS = 1e6


def _target(case: str, limit: float) -> Target:
    figure = Figure("Certificates", case, "ferrule", "median us")
    return Target(case, figure, limit, figure._replace(side="cryptography"))


BENCH = Bench(
    name="formats",
    title="Parsers and certificates",
    anchor="parsers-and-certificates",
    minutes=1,
    tables=tuple(
        Table(group, ("median us",), ("median us",), {"ferrule": rival}, case="work")
        for group, (_, rival) in FILES.items()
    ),
    targets=tuple(_target(f"key and certificate, {curve}", 0.8) for curve in ("P-256", "P-521")),
    charts={
        "formats": ratio_chart(
            "Parsers and certificates",
            Panel("Parsers relative to plain Python", "Parsers", "median us"),
            Panel("Certificates relative to the package cryptography", "Certificates", "median us"),
        )
    },
    packages=("ferrule", "cryptography", "pytest-benchmark"),
)


def measured(file: str, seconds: float) -> Iterator[tuple[str, str, float]]:
    """Case, side and median in microseconds of each test of a file.

    Raises:
        SystemExit: A test failed: one side of a pair does not do its work.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        report = Path(directory, "report.json")
        command = [sys.executable, "-m", "pytest", "-q", "--benchmark-only", f"--benchmark-max-time={seconds}"]
        command += [f"--benchmark-json={report}", "--benchmark-quiet", "--benchmark-min-rounds=3"]
        # Settings of the project's own tests have no place here.
        command += ["--override-ini=addopts=", "--override-ini=filterwarnings=", "-p", "no:cacheprovider", file]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        done = subprocess.run(command, cwd=BENCHES, capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            sys.exit(f"{file} failed:\n{done.stdout}{done.stderr}")
        found: list[dict[str, Any]] = json.loads(report.read_text())["benchmarks"]
    for each in found:
        yield each["group"], each["extra_info"]["side"], each["stats"]["median"] * MICROSECONDS


def measure(arguments: argparse.Namespace, run: Run) -> None:
    """Run all repetitions."""
    seconds = QUICK_SECONDS if arguments.quick else SECONDS
    run.settings = f"{arguments.repetitions} repetitions of at most {seconds:g} s per side, medians of pytest-benchmark"
    for repetition in range(arguments.repetitions):
        for group, (file, _) in FILES.items():
            print(f"repetition {repetition + 1} of {arguments.repetitions}: {group}", file=sys.stderr)
            for case, side, median_us in measured(file, seconds):
                run.add(group, case, side, {"median us": median_us})


if __name__ == "__main__":
    run_bench(BENCH, measure, parser_of(BENCH, __doc__))
