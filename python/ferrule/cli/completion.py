"""The verb `completion`: a script that has a shell complete the verbs and options of `ferrule`, by `shtab`."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import Any, Final

from ferrule._console import EXIT_FAILED, EXIT_OK, failure_text, write, write_to
from ferrule._console.extras import library
from ferrule.errors import RPCPluginError

__all__ = ["declare"]

SHELLS: Final = ("bash", "zsh", "tcsh")

FILES: Final = {"FILE", "PLUGIN", "PROVIDER", "COMMAND...", "PATH"}
"""What the help calls arguments that may be files."""

EPILOG: Final = """\
for one shell:
  bash  source <(ferrule completion bash)
  zsh   eval "$(ferrule completion zsh)"
  tcsh  ferrule completion tcsh > ~/.ferrule.tcsh; source ~/.ferrule.tcsh

for all of them, in the file that your shell reads at its start, or where its completions are:
  bash  ferrule completion bash > ~/.local/share/bash-completion/completions/ferrule
  zsh   ferrule completion zsh > DIRECTORY/_ferrule    with a DIRECTORY of $fpath
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Adds the options to the verb's parser, and what runs it."""
    parser.description = "Print a script that has a shell complete the verbs and options of ferrule."
    parser.epilog = EPILOG
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))
    parser.set_defaults(run=_print)


def _print(options: argparse.Namespace) -> int:
    try:
        shtab = library("shtab", "completion")
    except RPCPluginError as error:
        write_to(sys.stderr, failure_text(error, None))
        return EXIT_FAILED
    write(shtab.complete(_whole_command_line(shtab), shell=options.shell) + "\n")
    return EXIT_OK


def _whole_command_line(shtab: Any) -> argparse.ArgumentParser:
    """The command line with the options of all verbs whose extra is installed."""
    from ferrule.cli.parser import command_line

    root = command_line(lambda **_: None)
    for parser in _parsers(root):
        for action in parser._actions:
            if action.metavar in FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined] # Where shtab looks.
            elif action.metavar == "DIRECTORY":
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    return root


def _parsers(root: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield root
    for action in root._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                with contextlib.suppress(ImportError):
                    verb.load()
                yield verb
