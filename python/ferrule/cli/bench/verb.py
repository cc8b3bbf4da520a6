"""What `bench` does, in order: one plugin alone, starts, leases, and a pool that grows."""

import argparse
import dataclasses
import platform
from typing import Any, Final

import ferrule
from ferrule._console import EXIT_OK, json_line, write
from ferrule._console.extras import library
from ferrule._console.terminal import progress
from ferrule.cli.bench.calls import measure_calls
from ferrule.cli.bench.leases import measure_leases
from ferrule.cli.bench.memory import grow, warm
from ferrule.cli.bench.report import tables
from ferrule.cli.bench.starts import measure_starts
from ferrule.cli.bench.work import chosen_work
from ferrule.cli.launching import client_settings, plugin_command
from ferrule.cli.tables import tables_text
from ferrule.client import RPCPluginClient
from ferrule.pool import Limits, PluginPool, PluginSpec
from ferrule.pool.machine import usable_cpus

__all__ = ["bench"]

ACQUIRE_SECONDS: Final = 3600.0
"""Hundreds of large plugins may take minutes to start, which is what is measured."""


async def bench(options: argparse.Namespace) -> int:
    """Runs the verb; returns its exit status."""
    if not options.json:
        # Not after a minute of measuring.
        library("rich.console", "a table", "--json needs nothing")
    command, settings = plugin_command(options), client_settings(options)
    seconds = options.seconds
    async with RPCPluginClient(command, settings) as client:
        work = await chosen_work(client, options)
    async with progress("measuring starts"):
        starts = await measure_starts(lambda: RPCPluginClient(command, settings), seconds)
    fleets = _fleets(command, settings, max(options.plugins), options.compare)
    async with progress("measuring leases"):
        leases = await measure_leases(fleets["ferrule"][0], work, seconds)
    total = max(options.plugins) * len(fleets)
    limits = Limits(max_plugins=total, max_waiting=total + max(options.in_flight), acquire_timeout=ACQUIRE_SECONDS)
    async with PluginPool(limits, name="bench") as pool:
        async with progress(f"starting {total} plugins"):
            memory = await grow(pool, fleets["ferrule"], options.plugins)
            for name, fleet in fleets.items():
                if name != "ferrule":
                    await warm(pool, fleet)
        async with progress("measuring calls"):
            calls = await measure_calls(pool, fleets, options.plugins, options.in_flight, work, seconds)
    if options.json:
        document = {
            "ferrule": ferrule.__version__,
            "python": platform.python_version(),
            "cpus": usable_cpus(),
            "command": command,
            "call": work.method,
            "starts": [dataclasses.asdict(each) for each in starts],
            "leases": dataclasses.asdict(leases),
            "memory": [dataclasses.asdict(each) for each in memory],
            "calls": [dataclasses.asdict(each) for each in calls],
        }
        write(json_line(document))
    else:
        write(f"{work.method} of {options.plugin}, {usable_cpus()} CPUs\n\n")
        write(tables_text(tables(starts, leases, memory, calls)))
    return EXIT_OK


def _fleets(command: list[str], settings: dict[str, Any], size: int, other: str | None) -> dict[str, list[PluginSpec]]:
    """Specs for each channel; a variable of their environments keeps them from sharing a process."""
    channels = {"ferrule": "native"} | ({other: other} if other else {})

    def spec(name: str, number: int) -> PluginSpec:
        env = {**settings.get("env", {}), "FERRULE_BENCH": f"{name} {number}"}
        return PluginSpec(command, {**settings, "channel": channels[name], "env": env})

    return {name: [spec(name, number) for number in range(size)] for name in channels}
