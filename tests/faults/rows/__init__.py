"""The table, one module per area."""

from faults.row import Row
from faults.rows import broker, calls, connecting, ending, launch

ROWS: list[Row] = [*launch.ROWS, *connecting.ROWS, *calls.ROWS, *broker.ROWS, *ending.ROWS]
