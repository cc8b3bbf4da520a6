"""What a result depends on besides the code: machine, system, toolchains, versions, commit."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GO_MODULES = {"github.com/hashicorp/go-plugin": "go-plugin", "google.golang.org/grpc": "grpc-go"}


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def commit() -> str:
    """The commit that is checked out, with `-dirty` when files differ from it (written ones excepted)."""
    revision = _output("git", "rev-parse", "--short=12", "HEAD") or "unknown"
    written = ("benches/RESULTS.md", "benches/results", "benches/history", "docs/performance.md", "docs/observing.svg")
    others = [f":!{path}" for path in (*written, "README.md")]
    changed = _output("git", "status", "--porcelain", "--untracked-files=no", "--", ".", *others)
    return f"{revision}-dirty" if changed else revision


def date() -> str:
    """Now, to the minute."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def cpu_model() -> str:
    """The name of the processor as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # no /proc outside Linux
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """The number of cores this process may run on, which in a container is often fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def go_versions(program: Path) -> dict[str, str]:
    """The Go toolchain and the modules a Go program was built with, read from the program itself."""
    first, *lines = _output("go", "version", "-m", str(program)).splitlines() or [""]
    versions = {"Go": first.rpartition(": ")[2] or "unknown"}
    for line in lines:
        fields = line.split()
        if fields[:1] == ["dep"] and fields[1] in GO_MODULES:
            versions[GO_MODULES[fields[1]]] = fields[2]
    return versions


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """The installed version of each of these packages; absent ones are left out."""
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def facts(program: Path | None, packages: Iterable[str]) -> dict[str, str]:
    """Gather everything a reader needs to judge a result, in the order in which it is shown.

    Args:
        program: The Go program that took part; None without one.
        packages: The Python packages that took part.
    """
    return {
        "date": date(),
        "commit": commit(),
        "CPU": cpu_model(),
        "cores": str(usable_cores()),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        **(go_versions(program) if program is not None else {}),
        **package_versions(packages),
    }
