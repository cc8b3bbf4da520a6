"""The `ferrule` command line: `main`, which loads the rest. Its verbs are in `parser.py`."""

from collections.abc import Callable, Sequence
from typing import Any

from ferrule._secrecy import forgetful

__all__ = ["main"]


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
        from ferrule.cli.program import run

        return run(argv, client_factory)
    except KeyboardInterrupt:
        # EXIT_INTERRUPTED of ferrule._console, which may not be there yet.
        return 130
