"""A program whose leases of a blocking pool are interrupted every two milliseconds, at any place.

Run as: python -m pool.interrupts PROGRAM, which is the KV plugin. Prints whether there were many interrupts, and how
many leases are left.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from ferrule.pool import PluginSpec
from ferrule.sync import PluginPool
from ferrule.testing import KV_CONFIG
from waiting import wait_until

SECONDS = 2.0


def to_the_end(step: Callable[[], object]) -> None:
    """Does something again until no interrupt, of those that are still under way, has ended it."""
    while True:
        try:
            step()
        except KeyboardInterrupt:
            continue
        return


def interrupted(pool: PluginPool, spec: PluginSpec) -> int:
    """Takes one lease after the other for some time; returns the number of interrupts."""
    interrupts, deadline = 0, time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            while time.monotonic() < deadline:
                with pool.lease(spec):
                    pass
        except KeyboardInterrupt:
            interrupts += 1
    return interrupts


def main() -> None:
    spec = PluginSpec([sys.argv[1]], KV_CONFIG)
    stop = threading.Event()

    def interrupt() -> None:
        while not stop.wait(0.002):
            os.kill(os.getpid(), signal.SIGINT)

    def quiet() -> None:
        stop.set()
        thread.join()

    with PluginPool() as pool:
        with pool.lease(spec) as lease:
            plugin = lease._held.plugin
        thread = threading.Thread(target=interrupt)
        thread.start()
        interrupts = interrupted(pool, spec)
        to_the_end(quiet)
        del lease
        to_the_end(lambda: wait_until(lambda: not plugin.holds, "no lease is held"))
        print(interrupts > 50, len(plugin.holds), plugin.entry.leases)  # noqa: T201


if __name__ == "__main__":
    main()
