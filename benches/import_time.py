"""What importing Ferrule costs a program that imports grpcio anyway.

Every import happens in a process of its own, and the processes take turns, so that a slow minute of the machine hits
all of them. Run it as `python benches/import_time.py`; README.md beside it says how to read the output.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence

# The first is what the others are compared with.
IMPORTS = (
    "import grpc",
    "import grpc; import ferrule",
    "import grpc; import ferrule.client",
    "import grpc.aio; import ferrule.channel",
    "import grpc; import ferrule.channel.sync",
)

# Milliseconds that an import of Ferrule may add.
LIMIT_MS = 15.0

# The first import of all writes the bytecode, which an installed package has, and fills the file cache.
WARM_UPS = 2

PROGRAM = """
from time import perf_counter, process_time
wall, cpu = perf_counter(), process_time()
{imports}
print(perf_counter() - wall, process_time() - cpu)
"""


def measure(imports: str, environment: dict[str, str]) -> tuple[float, float]:
    """Milliseconds of wall time and of CPU time that a fresh process spends on these imports."""
    command = [sys.executable, "-c", PROGRAM.format(imports=imports)]
    wall, cpu = subprocess.run(command, check=True, capture_output=True, env=environment, text=True).stdout.split()
    return 1000 * float(wall), 1000 * float(cpu)


def table(times: dict[str, list[tuple[float, float]]]) -> str:
    """Medians as Markdown; what is added, as the median of the differences within each repetition."""
    plain = times[IMPORTS[0]]
    width = max(map(len, IMPORTS)) + 2
    lines = [
        f"| {'import':{width}} | wall ms | CPU ms | added ms (lowest-highest) |",
        f"| {'-' * width} | ------: | -----: | ------------------------: |",
    ]
    for imports, rows in times.items():
        wall, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        added = [row[0] - base[0] for row, base in zip(rows, plain, strict=True)]
        shown = f"{statistics.median(added):.1f} ({min(added):.1f}-{max(added):.1f})" if rows is not plain else "-"
        lines.append(f"| {f'`{imports}`':{width}} | {wall:7.1f} | {cpu:6.1f} | {shown:>25} |")
    return "\n".join(lines)


def verdicts(times: dict[str, list[tuple[float, float]]]) -> str:
    """Which imports add no more than the limit."""
    lines = []
    for imports in IMPORTS[1:]:
        differences = (row[0] - base[0] for row, base in zip(times[imports], times[IMPORTS[0]], strict=True))
        added = statistics.median(differences)
        verdict = "met" if added <= LIMIT_MS else "MISSED"
        lines.append(f"- {verdict}: `{imports}` adds {added:.1f} ms to `{IMPORTS[0]}`, at most {LIMIT_MS:.0f}")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description="Measure what importing Ferrule adds to importing grpcio.")
    parser.add_argument("--repetitions", type=int, default=9, help="interleaved rounds over all imports (default: 9)")
    arguments = parser.parse_args(argv)
    times: dict[str, list[tuple[float, float]]] = {imports: [] for imports in IMPORTS}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        environment = os.environ | {"PYTHONPYCACHEPREFIX": directory, "PYTHONDONTWRITEBYTECODE": ""}
        for repetition in range(-WARM_UPS, arguments.repetitions):
            for imports, rows in times.items():
                row = measure(imports, environment)
                if repetition >= 0:
                    rows.append(row)
    print(table(times))
    print()
    print(verdicts(times))


if __name__ == "__main__":
    main(sys.argv[1:])
