"""The program behind `ferrule.cli.main`: reads the arguments and runs the verb."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ferrule._console import EXIT_FAILED, EXIT_INTERRUPTED, OutputError, standard_streams, write_to
from ferrule._secrecy import forgetful
from ferrule.cli.parser import command_line
from ferrule.client import RPCPluginClient

__all__ = ["run"]


@forgetful
def run(argv: Sequence[str] | None, client_factory: Callable[..., Any] | None) -> int:
    """As `ferrule.cli.main`, which also has the arguments."""
    with standard_streams():
        try:
            # Loads what a verb needs, which takes a moment.
            options = command_line(client_factory or RPCPluginClient).parse_args(argv)
            verb: Callable[[argparse.Namespace], int] = options.run
            return verb(options)
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        except OutputError as error:
            write_to(sys.stderr, f"ferrule: {error}\n")
            return EXIT_FAILED
