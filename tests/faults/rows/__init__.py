"""The table, one module per area."""

from faults.row import Row
from faults.rows import broker, calls, clock, connecting, ending, launch, machine, pools, program, server

ROWS: list[Row] = [
    *launch.ROWS,
    *connecting.ROWS,
    *calls.ROWS,
    *broker.ROWS,
    *ending.ROWS,
    *pools.ROWS,
    *server.ROWS,
    *program.ROWS,
    *machine.ROWS,
    *clock.ROWS,
]
