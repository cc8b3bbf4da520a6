"""One measured life of a plugin, counted in the same way for every host written in Python."""

import argparse
import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")

COOKIE_KEY = "FERRULE_KV_COOKIE"
COOKIE_VALUE = "5f1d0a86-ferrule-kv"
APP_VERSION = 1
ECHO_PAYLOAD = bytes(range(16))


@dataclass(frozen=True)
class Cycle:
    """One cycle: start a plugin, make the first call, stop it; or each of these for several plugins at once.

    Attributes:
        start_ms: Wall time until the host says that the plugin is started, the last of several, in milliseconds.
        first_call_ms: Wall time of the first call (an echo of 16 bytes); None for a host that does not connect.
        stop_ms: Wall time until the plugin is gone and reaped; None for a host that does not stop plugins in order.
        cpu_ms: User and system time of all threads of the host during the cycle, the plugins' own time excluded.
    """

    start_ms: float
    first_call_ms: float | None
    stop_ms: float | None
    cpu_ms: float

    def print(self) -> None:
        """Print the cycle as one JSON line; flushed, so that a later failure loses nothing."""
        print(json.dumps(asdict(self)), flush=True)


class Host(Protocol):
    """What a Python host is asked to do with one plugin in one cycle."""

    async def start(self) -> None:
        """Start the plugin."""

    async def echo(self, payload: bytes) -> bytes:
        """Call KV/Echo and return the payload of the answer."""

    async def stop(self) -> None:
        """Stop the plugin in order and wait until it is gone."""


@dataclass(frozen=True)
class Arguments:
    """The command line of a host process."""

    plugin: str
    cycles: int
    mtls: bool
    at_once: int


def parse_arguments(argv: Sequence[str] | None = None) -> Arguments:
    """Read the command line that every host process shares; by default the one of this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--plugin", required=True, help="path of the KV plugin")
    parser.add_argument("--cycles", type=int, default=30, help="lives to measure (default: 30)")
    parser.add_argument("--mtls", action="store_true", help="mutual TLS with one-time certificates")
    parser.add_argument("--at-once", type=int, default=1, help="plugins that live at the same time (default: 1)")
    return Arguments(**vars(parser.parse_args(argv)))


def process_cpu_ms() -> float:
    """CPU time of this process so far, user and system, all threads, children excluded, in milliseconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1e3


def require_no_child() -> None:
    """Fail when a plugin outlived its stop: a host that does not wait would look fast.

    Raises:
        RuntimeError: A child process is still running, or dead but never reaped.
    """
    try:
        pid, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    state = "was not reaped" if pid else "is still running"
    raise RuntimeError(f"the plugin {state} after stop; expected it to be gone, so stop_ms would mean nothing")


async def live_once(make_host: Callable[[], Host], at_once: int) -> Cycle:
    """Run and measure one cycle of plugins; building the host objects counts as part of the start."""
    cpu_before = process_cpu_ms()
    begin = time.perf_counter()
    hosts = [make_host() for _ in range(at_once)]
    await _together([host.start() for host in hosts])
    started = time.perf_counter()
    answers = await _together([host.echo(ECHO_PAYLOAD) for host in hosts])
    answered = time.perf_counter()
    await _together([host.stop() for host in hosts])
    stopped = time.perf_counter()
    cpu_ms = process_cpu_ms() - cpu_before
    for answer in answers:
        if answer != ECHO_PAYLOAD:
            raise RuntimeError(f"echo answered {answer!r}, expected {ECHO_PAYLOAD!r}")
    require_no_child()
    return Cycle((started - begin) * 1e3, (answered - started) * 1e3, (stopped - answered) * 1e3, cpu_ms)


async def _together(steps: list[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Take one step of all plugins, and return their results."""
    # A task of its own would cost the one plugin a turn of the loop that its host does not ask for.
    return [await steps[0]] if len(steps) == 1 else await asyncio.gather(*steps)


async def _live(make_host: Callable[[str, bool], Host], arguments: Arguments) -> None:
    for _ in range(arguments.cycles):
        (await live_once(lambda: make_host(arguments.plugin, arguments.mtls), arguments.at_once)).print()


def main(make_host: Callable[[str, bool], Host]) -> None:
    """Measure a host for the cycles asked for, in one event loop, as a long-lived application would.

    A failure is printed as `{"error": ...}` in place of the next cycle and ends the process with status 1.

    Args:
        make_host: Builds the host of one cycle from the path of the plugin and whether to use mutual TLS.
    """
    arguments = parse_arguments()
    try:
        asyncio.run(_live(make_host, arguments))
    except Exception as error:  # noqa: BLE001  whatever a rival fails with is a result
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        sys.exit(1)
