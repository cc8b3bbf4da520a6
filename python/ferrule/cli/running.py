"""How the verbs for any plugin run, and how they say what failed."""

import argparse
import asyncio
import logging
import sys

from ferrule._console import EXIT_FAILED, error_json, failure_text, json_line, show_log, write, write_to
from ferrule._console.running import Verb, handled, interruptible
from ferrule.cli.launching import name_options
from ferrule.errors import RPCPluginError

__all__ = ["run"]


def run(verb: Verb, options: argparse.Namespace) -> int:
    """Runs a verb to its end and reports a failure: as text, and as JSON if that was asked for.

    Returns:
        The exit status.
    """
    if getattr(options, "log_level", None):
        show_log(options.log_level)
    # Without a handler, Python writes warnings of plugins to standard error by itself.
    with handled("ferrule.plugin", logging.NullHandler()):
        try:
            return asyncio.run(interruptible(verb, options))
        except RPCPluginError as error:
            name_options(error)
            write_to(sys.stderr, failure_text(error, None))
            if options.json:
                as_json = getattr(error, "as_json", None)
                write(json_line({"error": as_json() if as_json else error_json(error)}))
            return EXIT_FAILED
