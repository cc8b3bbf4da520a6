"""How a verb runs: on a loop of its own, which signals end, with the log of its plugins where it is wanted."""

import argparse
import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from ferrule._console import EXIT_FAILED

__all__ = ["Verb", "handled", "interruptible"]

SIGNALLED: Final = 128
"""What shells add to the number of the signal that has ended a program."""

ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, the end that a supervisor asks for, and the end of the terminal."""

Verb = Callable[[argparse.Namespace], Coroutine[Any, Any, int]]


@contextlib.contextmanager
def handled(name: str, handler: logging.Handler) -> Iterator[None]:
    """A handler for a logger: without any, Python writes warnings of providers to standard error by itself."""
    logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger(name).removeHandler(handler)


async def interruptible(verb: Verb, options: argparse.Namespace) -> int:
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
