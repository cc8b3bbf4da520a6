"""How a verb runs: on a loop of its own, with one clear text for each kind of failure and an exit status that tells."""

import argparse
import asyncio
import logging

from ferrule._console import EXIT_FAILED, show_log
from ferrule._console.running import Verb, handled, interruptible
from ferrule.errors import RPCPluginError
from ferrule.terraform.cli.output import WarningPrinter, error_json, print_json, report
from ferrule.terraform.cli.values import read_object

__all__ = ["run"]


def run(verb: Verb, options: argparse.Namespace) -> int:
    """Runs a verb to its end and reports a failure.

    Returns:
        The exit status.
    """
    if options.log_level:
        show_log(options.log_level)
    printer = WarningPrinter()
    options.warnings = printer.warnings
    with handled("ferrule.terraform", printer), handled("ferrule.plugin", logging.NullHandler()):
        try:
            # Before the loop, in which Ctrl-C ends no read of standard input.
            options.inputs = {source: read_object(source) for source in _sources(options)}
            return asyncio.run(interruptible(verb, options))
        except RPCPluginError as error:
            report(error)
            if options.json:
                print_json({"error": error_json(error)})
            return EXIT_FAILED


def _sources(options: argparse.Namespace) -> set[str]:
    return {source for name in ("file", "provider_config") if (source := getattr(options, name, None))}
