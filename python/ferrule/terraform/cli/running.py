"""How a verb runs: on a loop of its own, with one clear text for each kind of failure and an exit status that tells."""

import argparse
import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from ferrule._console import EXIT_FAILED, show_log
from ferrule.errors import RPCPluginError
from ferrule.terraform.cli.output import WarningPrinter, error_json, print_json, report
from ferrule.terraform.cli.values import read_object

__all__ = ["run"]

SIGNALLED: Final = 128
"""What shells add to the number of the signal that has ended a program."""

ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, the end that a supervisor asks for, and the end of the terminal."""

Verb = Callable[[argparse.Namespace], Coroutine[Any, Any, int]]


def run(verb: Verb, options: argparse.Namespace) -> int:
    """Runs a verb to its end and reports a failure.

    Returns:
        The exit status.
    """
    if options.log_level:
        show_log(options.log_level)
    printer = WarningPrinter()
    options.warnings = printer.warnings
    with _handled("ferrule.terraform", printer), _handled("ferrule.plugin", logging.NullHandler()):
        try:
            # Before the loop, in which Ctrl-C ends no read of standard input.
            options.inputs = {source: read_object(source) for source in _sources(options)}
            return asyncio.run(_interruptible(verb, options))
        except RPCPluginError as error:
            report(error)
            if options.json:
                print_json({"error": error_json(error)})
            return EXIT_FAILED


@contextlib.contextmanager
def _handled(name: str, handler: logging.Handler) -> Iterator[None]:
    """A handler for a logger: without any, Python writes warnings of providers to standard error by itself."""
    logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger(name).removeHandler(handler)


def _sources(options: argparse.Namespace) -> set[str]:
    return {source for name in ("file", "provider_config") if (source := getattr(options, name, None))}


async def _interruptible(verb: Verb, options: argparse.Namespace) -> int:
    """Runs a verb that signals cancel; a second signal cancels once more what still waits then.

    A signal that is ignored stays so: `nohup` and shells without job control start programs like that.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    received: list[int] = []

    def interrupt(number: int) -> None:
        received.append(number)
        task.cancel()

    if threading.current_thread() is threading.main_thread():
        for number in ENDING_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, interrupt, number)
    try:
        status = await verb(options)
    except asyncio.CancelledError:
        if not received:
            raise
        status = EXIT_FAILED
    return SIGNALLED + received[0] if received else status
