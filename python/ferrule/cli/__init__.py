"""The `ferrule` command line: `main`, which loads the rest. Its verbs are in `parser.py`."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from ferrule._secrecy import forgetful

__all__ = ["main"]


class _Interrupted(BaseException):
    """Ctrl-C while the program is loaded."""


@forgetful
def main(argv: Sequence[str] | None = None, *, client_factory: Callable[..., Any] | None = None) -> int:
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
    try:
        # Loading takes a moment, in which Ctrl-C may come as well.
        with _interruptible():
            from ferrule.cli.program import run
        return run(argv, client_factory)
    except (KeyboardInterrupt, _Interrupted):
        # EXIT_INTERRUPTED of ferrule._console, which may not be there yet.
        return 130


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Has Ctrl-C raise another exception than Python's own.

    A KeyboardInterrupt inside `exec`, with which dataclasses are made, has Python end by the signal, caught or not.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        # Signals come to the main thread alone, and a handler of the caller's own stays.
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise _Interrupted
