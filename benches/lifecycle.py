"""Compare Ferrule with other go-plugin hosts over the life of one plugin: start, first call, stop, host CPU.

Every host is a process of its own and starts the same Go plugin. Repetitions are interleaved (A B C, A B C, ...), so
that a slow minute of the machine hits all of them. Run it as `python benches/lifecycle.py`; README.md beside it says
how to read the output.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from hosts.cycle import Cycle
from reporting.charts import Panel, ratio_chart
from reporting.command import parser_of, run_bench
from reporting.declaration import Bench, Table, Target
from reporting.run import Figure, Run

BENCHES = Path(__file__).resolve().parent

# Shown in this order.
HOSTS = {
    "go": "go_host",
    "ferrule": "ferrule_host",
    "pyvider-rpcplugin": "pyvider_host",
    "python-plugin": "python_plugin_host",
    "spawn only": "spawn_only",
}

# A host may print more than these.
CYCLE_FIELDS = tuple(Cycle.__dataclass_fields__)

# The first lives of a host process pay for imports, page faults and a cold file cache.
WARM_UP_CYCLES = 3

# A cycle takes at most about 0.1 s for each plugin; a host that needs this long has hung.
SECONDS_PER_CYCLE_LIMIT = 5.0


class HostError(Exception):
    """A host process ended without printing all its cycles."""


LIFE = "One plugin"
VARIANTS = {"mutual TLS": True, "without TLS": False}

AT_ONCE = 32
TOGETHER = f"{AT_ONCE} plugins at once"
# A cycle takes about a second, and tells of the rivals in Python nothing that their CPU time does not tell.
HOSTS_TOGETHER = ("go", "ferrule", "spawn only")
CYCLES_TOGETHER_SHARE = 10
WARM_UP_CYCLES_TOGETHER = 1


def start_and_first_call(cycle: Cycle) -> float | None:
    """Time until the first answer: fair to hosts that connect in `start` and to those that do it in the first call."""
    return None if cycle.first_call_ms is None else cycle.start_ms + cycle.first_call_ms


MEASURES: dict[str, Callable[[Cycle], float | None]] = {
    "start ms": lambda cycle: cycle.start_ms,
    "first call ms": lambda cycle: cycle.first_call_ms,
    "start + call ms": start_and_first_call,
    "stop ms": lambda cycle: cycle.stop_ms,
    "CPU ms": lambda cycle: cycle.cpu_ms,
}
RATIOS = ("start ms", "start + call ms", "stop ms", "CPU ms")


def _of_host(host: str, measure: str) -> Figure:
    return Figure(LIFE, "mutual TLS", host, measure)


TARGETS = (
    Target("start, mutual TLS", _of_host("ferrule", "start ms"), 0.58, _of_host("go", "start ms")),
    Target("stop, mutual TLS", _of_host("ferrule", "stop ms"), 1.05, _of_host("go", "stop ms")),
    Target("CPU of a life, mutual TLS", _of_host("ferrule", "CPU ms"), 2.5, _of_host("spawn only", "CPU ms")),
    Target(
        f"{AT_ONCE} starts and first calls at once, mutual TLS",
        Figure(TOGETHER, "mutual TLS", "ferrule", "start + call ms"),
        0.8,
        Figure(TOGETHER, "mutual TLS", "go", "start + call ms"),
    ),
)

BENCH = Bench(
    name="lifecycle",
    title="The life of a plugin",
    anchor="the-life-of-a-plugin",
    minutes=3.5,
    tables=(
        Table(
            LIFE,
            tuple(MEASURES),
            RATIOS,
            rivals={host: "go" for host in HOSTS if host != "go"},
            case="plugin",
            side="host",
        ),
        Table(
            TOGETHER,
            tuple(MEASURES),
            RATIOS,
            rivals={host: "go" for host in HOSTS_TOGETHER if host != "go"},
            case="plugins",
            side="host",
            about="Wall times end with the last plugin; CPU is the host's for all of them.",
        ),
    ),
    targets=TARGETS,
    charts={
        "lifecycle": ratio_chart(
            "Hosts relative to go-plugin's own, in Go",
            Panel("Start and first call", LIFE, "start + call ms"),
            Panel("Stop", LIFE, "stop ms"),
            Panel("CPU of the host for a whole life", LIFE, "CPU ms"),
            Panel("Start and first call of all", TOGETHER, "start + call ms"),
            Panel("CPU of the host for all their lives", TOGETHER, "CPU ms"),
        )
    },
    programs=("kv", "host"),
    packages=("ferrule", "grpcio", "protobuf", "pyvider-rpcplugin", "python-plugin", "grpclib"),
)


def host_environment(temporary_directory: str) -> dict[str, str]:
    """The environment of a host: no inherited plugin settings, and a place where left-over sockets do no harm."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PLUGIN_")}
    return inherited | {"TMPDIR": temporary_directory}


def parse_output(output: str) -> tuple[list[Cycle], str | None]:
    """Read the JSON lines of a host process: its cycles, and the error it ended with, if any."""
    cycles: list[Cycle] = []
    for line in output.splitlines():
        fields = json.loads(line)
        if "error" in fields:
            return cycles, str(fields["error"])
        cycles.append(Cycle(**{name: fields[name] for name in CYCLE_FIELDS}))
    return cycles, None


def run_host(host: str, mtls: bool, arguments: argparse.Namespace, at_once: int = 1) -> list[Cycle]:
    """Run one host process and return its cycles, the warm-up left out.

    Raises:
        HostError: The host reported an error, crashed, hung or printed too few cycles.
    """
    measured, warm_up = arguments.cycles, WARM_UP_CYCLES
    if at_once > 1:
        measured, warm_up = -(-measured // CYCLES_TOGETHER_SHARE), WARM_UP_CYCLES_TOGETHER
    count = measured + warm_up
    plugin = str(arguments.programs / "kv")
    command = [sys.executable, "-m", f"hosts.{HOSTS[host]}", "--plugin", plugin, "--cycles", str(count)]
    command += ["--at-once", str(at_once), *(["--mtls"] if mtls else [])]
    command += ["--go-host", str(arguments.programs / "host")] if host == "go" else []
    limit = SECONDS_PER_CYCLE_LIMIT * count * at_once
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        try:
            result = subprocess.run(
                command,
                check=False,
                cwd=BENCHES,
                env=host_environment(directory),
                capture_output=True,
                text=True,
                timeout=limit,
            )
        except subprocess.TimeoutExpired:
            raise HostError(f"no end after {limit:.0f} s for {count} cycles") from None
    cycles, error = parse_output(result.stdout)
    if error is None and (result.returncode != 0 or len(cycles) != count):
        error = f"{len(cycles)} of {count} cycles, exit status {result.returncode}"
    if error is not None:
        last_line = (result.stderr.strip().splitlines() or ["nothing"])[-1]
        raise HostError(f"{error}; last on standard error: {last_line}".replace(directory, "$TMPDIR"))
    return cycles[warm_up:]


def medians(cycles: list[Cycle]) -> dict[str, float | None]:
    """The median of each measure over the cycles of a repetition."""
    found: dict[str, float | None] = {}
    for measure, of_cycle in MEASURES.items():
        values = [value for value in map(of_cycle, cycles) if value is not None]
        found[measure] = statistics.median(values) if values else None
    return found


def measure(arguments: argparse.Namespace, run: Run) -> None:
    """Run all repetitions; a rival that fails once in a variant is not asked for it again."""
    arguments.cycles = arguments.cycles or (2 if arguments.quick else 30)
    run.settings = f"{arguments.repetitions} repetitions of {arguments.cycles} cycles"
    for repetition in range(arguments.repetitions):
        print(f"repetition {repetition + 1} of {arguments.repetitions}", file=sys.stderr)
        for variant, mtls in VARIANTS.items():
            for host in arguments.hosts:
                measure_host(host, LIFE, variant, mtls, arguments, run)
        for host in [host for host in HOSTS_TOGETHER if host in arguments.hosts]:
            measure_host(host, TOGETHER, "mutual TLS", True, arguments, run)


def measure_host(host: str, table: str, variant: str, mtls: bool, arguments: argparse.Namespace, run: Run) -> None:
    """Run one host in one variant, unless it failed there before."""
    if run.failed(table, variant, host):
        return
    print(f"  {host}, {table}, {variant}", file=sys.stderr)
    try:
        at_once = AT_ONCE if table == TOGETHER else 1
        run.add(table, variant, host, medians(run_host(host, mtls, arguments, at_once)))
    except HostError as failure:
        run.fail(table, variant, host, str(failure))


def main() -> None:
    """Read the command line, and measure."""
    parser = parser_of(BENCH, __doc__)
    parser.add_argument("--cycles", type=int, help="lives per host and repetition (default: 30)")
    parser.add_argument("--hosts", nargs="+", choices=HOSTS, default=list(HOSTS), help="hosts to run (default: all)")
    run_bench(BENCH, measure, parser)


if __name__ == "__main__":
    main()
