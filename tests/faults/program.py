"""A host program for one row, in a process of its own: `python -m faults.program NAME`; prints what it saw as JSON."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
from typing import Any

from faults import clock, machine, runner
from faults.moments import ENDINGS, Arrival, logger, reach
from faults.row import Row
from faults.rows import ROWS
from ferrule.client import RPCPluginClient

UNFINISHED: list[object] = []
"""What must not be collected before the end of the program."""


def end_at(row: Row) -> None:
    """Comes to the row's step, and ends there."""
    loop = runner.LOOPS[row.face]()
    # What asyncio itself says of tasks that nobody ends is no fault of the library's.
    loop.set_exception_handler(lambda _loop, _context: None)

    async def go() -> None:
        arrival = Arrival()
        client = RPCPluginClient(runner.command(), {**runner.settings_of(row), "logger": logger(arrival)})
        UNFINISHED.extend((client, await reach(client, arrival, row.step, row.job)))

    loop.run_until_complete(asyncio.wait_for(go(), row.limit))
    ENDINGS[row.fault](loop)


def main(name: str) -> None:
    """Runs the row."""
    (row,) = [row for row in ROWS if row.name == name]
    output = os.dup(1)
    if row.fault in ENDINGS:
        end_at(row)
        result: dict[str, Any] = {"outcome": "works"}
    else:
        be_faulty = clock.set_wrong if row.area == "clock" else machine.FAULTS[row.fault]
        result = dataclasses.asdict(runner.job(row, lambda: be_faulty(row.argument)))
    os.write(output, json.dumps(result).encode())


if __name__ == "__main__":
    main(sys.argv[1])
