"""The `ferrule` command line: `main`. Its verbs are in `parser.py`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ferrule._console import EXIT_FAILED, EXIT_INTERRUPTED, OutputError, standard_streams, write_to
from ferrule._secrecy import forgetful
from ferrule.cli.parser import command_line
from ferrule.client import RPCPluginClient

__all__ = ["main"]


@forgetful
def main(argv: Sequence[str] | None = None, *, client_factory: Callable[..., Any] = RPCPluginClient) -> int:
    """Runs the command line.

    Args:
        argv: Arguments without the program name; default those of the process.
        client_factory: Makes the client of `inspect` from `command` and `config`; default `RPCPluginClient`.

    Returns:
        The exit status: 0 for success, 1 if the plugin could not be driven, 130 after Ctrl-C; `plan
        --detailed-exitcode` has 2 for changes.

    Raises:
        SystemExit: Status 2 for a wrong command line, 0 after `--help` and `--version`.
    """
    with standard_streams():
        try:
            # Loads what a verb needs, which takes a moment.
            options = command_line(client_factory).parse_args(argv)
            run: Callable[[argparse.Namespace], int] = options.run
            return run(options)
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        except OutputError as error:
            write_to(sys.stderr, f"ferrule: {error}\n")
            return EXIT_FAILED
