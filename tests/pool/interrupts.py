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

from ferrule.pool import PluginSpec
from ferrule.sync import PluginPool
from ferrule.testing import KV_CONFIG
from waiting import wait_until

SECONDS = 2.0


class Interrupts:
    """SIGINT raises KeyboardInterrupt once each time that this is armed: never where nothing catches it."""

    def __init__(self) -> None:
        self.count = 0
        self.is_armed = False
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, *_: object) -> None:
        if self.is_armed:
            self.is_armed = False
            self.count += 1
            raise KeyboardInterrupt


def use(pool: PluginPool, spec: PluginSpec, interrupts: Interrupts) -> None:
    """Takes one lease after the other for some time, and is interrupted in all of it."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            interrupts.is_armed = True
            while time.monotonic() < deadline:
                with pool.lease(spec):
                    pass
            interrupts.is_armed = False
        except KeyboardInterrupt:
            continue


def main() -> None:
    spec = PluginSpec([sys.argv[1]], KV_CONFIG)
    stop = threading.Event()

    def interrupt() -> None:
        while not stop.wait(0.002):
            os.kill(os.getpid(), signal.SIGINT)

    interrupts = Interrupts()
    with PluginPool() as pool:
        with pool.lease(spec) as lease:
            plugin = lease._held.plugin
        thread = threading.Thread(target=interrupt)
        thread.start()
        use(pool, spec, interrupts)
        stop.set()
        thread.join()
        del lease
        wait_until(lambda: not plugin.holds, "no lease is held")
        print(interrupts.count > 50, len(plugin.holds), plugin.entry.leases)  # noqa: T201


if __name__ == "__main__":
    main()
