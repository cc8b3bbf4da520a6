"""What importing Ferrule costs a program that imports grpcio anyway.

Every import happens in a process of its own, and the processes take turns, so that a slow minute of the machine hits
all of them. Run it as `python benches/import_time.py`; README.md beside it says how to read the output.
"""

import argparse
import os
import subprocess
import sys
import tempfile

from reporting.command import parser_of, run_bench
from reporting.declaration import Bench, Table, Target
from reporting.run import Figure, Run

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


GROUP, CASE = "Imports", "fresh process"

BENCH = Bench(
    name="import_time",
    title="Imports",
    anchor="imports",
    minutes=0.2,
    repetitions=9,
    tables=(Table(GROUP, ("wall ms", "CPU ms", "added ms"), side="imports"),),
    targets=tuple(
        Target(f"`{imports}`, ms added to `{IMPORTS[0]}`", Figure(GROUP, CASE, imports, "added ms"), LIMIT_MS)
        for imports in IMPORTS[1:]
    ),
    packages=("ferrule", "grpcio", "protobuf"),
)


def import_ms(imports: str, environment: dict[str, str]) -> tuple[float, float]:
    """Milliseconds of wall time and of CPU time that a fresh process spends on these imports."""
    command = [sys.executable, "-c", PROGRAM.format(imports=imports)]
    wall, cpu = subprocess.run(command, check=True, capture_output=True, env=environment, text=True).stdout.split()
    return 1000 * float(wall), 1000 * float(cpu)


def measure(arguments: argparse.Namespace, run: Run) -> None:
    """Run all repetitions, in each of which the imports take turns."""
    run.settings = f"{arguments.repetitions} repetitions"
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        environment = os.environ | {"PYTHONPYCACHEPREFIX": directory, "PYTHONDONTWRITEBYTECODE": ""}
        for repetition in range(-WARM_UPS, arguments.repetitions):
            times = {imports: import_ms(imports, environment) for imports in IMPORTS}
            if repetition < 0:
                continue
            print(f"repetition {repetition + 1} of {arguments.repetitions}", file=sys.stderr)
            for imports, (wall, cpu) in times.items():
                added = None if imports == IMPORTS[0] else wall - times[IMPORTS[0]][0]
                run.add(GROUP, CASE, imports, {"wall ms": wall, "CPU ms": cpu, "added ms": added})


if __name__ == "__main__":
    run_bench(BENCH, measure, parser_of(BENCH, __doc__))
