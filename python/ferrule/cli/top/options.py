"""The options of `top`, and the text of its help."""

import argparse
from typing import Final

from ferrule._console import seconds

__all__ = ["declare"]

EPILOG: Final = """\
The pool listens if it was made with metrics_socket=True, or with FERRULE_POOL_SOCKET in its environment. Without
options that variable is read here too, and without it the only pool of this user is shown.

keys:
  m, c, w  sort by memory, by calls a second, by those who wait
  q        end, as Ctrl-C does

exit status:
  0    the end was asked for, or the pool has ended
  1    there is no pool to show
  2    the command line is wrong
  130  interrupted by Ctrl-C

examples:
  ferrule top
  ferrule top --pid 4711 --sort calls
  ferrule top --json --once | jq '.plugins[] | select(.state == "broken")'
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Adds the options to the verb's parser, and what runs it."""
    parser.usage = f"{parser.prog} [options]"
    parser.description = "Show the plugins of a pool, as they are now."
    parser.epilog = EPILOG
    add = parser.add_argument
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--socket", metavar="PATH", help="the pool's socket")
    which.add_argument("--pid", type=int, metavar="PID", help="the process that has the pool")
    add("--sort", choices=("memory", "calls", "wait"), default="memory", help="what comes first (default: memory)")
    add("--interval", type=seconds, default=1.0, metavar="SECONDS", help="time between two looks (default: 1)")
    add("--once", action="store_true", help="print one table and end, as where no terminal is")
    add("--json", action="store_true", help="print JSON, a line for each look")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from ferrule.cli.running import run
    from ferrule.cli.top.verb import top

    return run(top, options)
