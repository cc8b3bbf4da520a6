"""Compare Ferrule with other go-plugin hosts over the life of one plugin: start, first call, stop, host CPU.

Every host is a process of its own and starts the same Go plugin. Repetitions are interleaved (A B C, A B C, ...), so
that a slow minute of the machine hits all of them. Run it as `python benches/lifecycle.py`; README.md beside it says
how to read the output.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import machine
import report
from hosts.cycle import Cycle

BENCHES = Path(__file__).resolve().parent
RESULTS = BENCHES / "RESULTS.md"
GO_SOURCES = machine.ROOT / "tests" / "go_plugin"
GO_PROGRAMS = machine.ROOT / "build" / "go"

# Shown in this order. The first two are what the comparison is about: without them there is no result.
HOSTS = {
    "go": "go_host",
    "ferrule": "ferrule_host",
    "pyvider-rpcplugin": "pyvider_host",
    "python-plugin": "python_plugin_host",
    "spawn only": "spawn_only",
}
REQUIRED = ("go", "ferrule")

# A host may print more than these.
CYCLE_FIELDS = tuple(Cycle.__dataclass_fields__)

# The first lives of a host process pay for imports, page faults and a cold file cache.
WARM_UP_CYCLES = 3

# A cycle takes at most about 0.1 s; a host that needs this long has hung.
SECONDS_PER_CYCLE_LIMIT = 5.0


class HostError(Exception):
    """A host process ended without printing all its cycles."""


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare hosts over the life of one plugin.")
    parser.add_argument("--cycles", type=int, default=30, help="lives per host and repetition (default: 30)")
    parser.add_argument("--repetitions", type=int, default=5, help="interleaved rounds over all hosts (default: 5)")
    parser.add_argument("--hosts", nargs="+", choices=HOSTS, default=list(HOSTS), help="hosts to run (default: all)")
    parser.add_argument("--plugin", type=Path, help="the Go KV plugin (default: built from tests/go_plugin)")
    parser.add_argument("--go-host", type=Path, help="the Go host (default: built from tests/go_plugin)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every cycle to FILE")
    parser.add_argument("--append-results", action="store_true", help="append the tables to benches/RESULTS.md")
    return parser.parse_args(argv)


def build_go_programs() -> None:
    """Build the KV plugin and the Go host; Go's own cache makes a repeated build cheap."""
    subprocess.run(["make", "-C", str(GO_SOURCES), f"OUT={GO_PROGRAMS}", "kv", "host"], check=True, stdout=sys.stderr)


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


def run_host(host: str, mtls: bool, arguments: argparse.Namespace) -> list[Cycle]:
    """Run one host process and return its cycles, the warm-up left out.

    Raises:
        HostError: The host reported an error, crashed, hung or printed too few cycles.
    """
    count = arguments.cycles + WARM_UP_CYCLES
    command = [sys.executable, "-m", f"hosts.{HOSTS[host]}", "--plugin", str(arguments.plugin), "--cycles", str(count)]
    command += ["--mtls"] if mtls else []
    command += ["--go-host", str(arguments.go_host)] if host == "go" else []
    limit = SECONDS_PER_CYCLE_LIMIT * count
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
    return cycles[WARM_UP_CYCLES:]


def measure(arguments: argparse.Namespace) -> list[report.Series]:
    """Run all repetitions; a rival that fails once in a variant is not asked for it again."""
    all_series = [report.Series(host, mtls) for mtls in (True, False) for host in HOSTS if host in arguments.hosts]
    for repetition in range(arguments.repetitions):
        for series in all_series:
            if series.error is not None:
                continue
            label = f"{series.host}, {'mutual TLS' if series.mtls else 'without TLS'}"
            print(f"repetition {repetition + 1} of {arguments.repetitions}: {label}", file=sys.stderr)
            try:
                series.repetitions.append(run_host(series.host, series.mtls, arguments))
            except HostError as failure:
                if series.host in REQUIRED:
                    raise HostError(f"{label}: {failure}") from failure
                series.error = str(failure)
                series.repetitions.clear()
    return all_series


def render(facts: dict[str, str], arguments: argparse.Namespace, all_series: list[report.Series]) -> str:
    """The result as a section of Markdown."""
    described = [f"- {name}: {value}" for name, value in facts.items() if name not in ("date", "commit")]
    described.append(f"- {arguments.repetitions} repetitions of {arguments.cycles} cycles")
    parts = [
        f"## {facts['date']}, commit {facts['commit']}",
        "\n".join(described),
        report.table(all_series, mtls=True),
        report.table(all_series, mtls=False),
        report.reach(all_series),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def write_json(path: Path, facts: dict[str, str], all_series: list[report.Series]) -> None:
    """Write the facts and every single cycle."""
    document = {"facts": facts, "series": [asdict(series) for series in all_series]}
    path.write_text(json.dumps(document, indent=1) + "\n")


def main(argv: Sequence[str]) -> None:
    """Measure, print the tables, and keep them where asked."""
    arguments = parse_arguments(argv)
    if "ferrule" in arguments.hosts:
        # Here and not above: rivals can be measured where Ferrule is not built.
        from hosts.ferrule_host import require_release_build

        require_release_build()
    if arguments.plugin is None or arguments.go_host is None:
        build_go_programs()
    arguments.plugin = (arguments.plugin or GO_PROGRAMS / "kv").resolve()
    arguments.go_host = (arguments.go_host or GO_PROGRAMS / "host").resolve()
    facts = machine.facts(arguments.plugin)
    try:
        all_series = measure(arguments)
    except HostError as failure:
        sys.exit(f"benchmark stopped: {failure}")
    section = render(facts, arguments, all_series)
    print(section)
    if arguments.json:
        write_json(arguments.json, facts, all_series)
    if arguments.append_results:
        with RESULTS.open("a") as results:
            results.write(f"\n{section}")


if __name__ == "__main__":
    main(sys.argv[1:])
