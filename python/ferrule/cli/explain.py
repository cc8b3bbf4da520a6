"""The verb `explain`: what the documentation says of an error's code."""

import argparse
import difflib
import re
import sys
from pathlib import Path
from typing import Final

from ferrule._console import EXIT_FAILED, EXIT_OK, failure_text, write, write_to
from ferrule.errors import ConfigError

__all__ = ["PAGE", "declare", "sections"]

PAGE: Final = Path(__file__).with_name("errors.md")
"""docs/errors.md, which comes with the package."""

_SECTION = re.compile(r"^### (\S+)\n\n(.*?)\n*(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


def declare(parser: argparse.ArgumentParser) -> None:
    """Adds the options to the verb's parser, and what runs it."""
    parser.description = "Show what the documentation says of an error: when it is raised, and what to try."
    what = "the error's code, such as handshake.exited, or a phase, such as handshake, for its codes; default: list all"
    parser.add_argument("code", metavar="CODE", nargs="?", type=str.lower, help=what)
    parser.set_defaults(run=_explain)


def sections() -> dict[str, str]:
    """What the page says of each code, without links, for a terminal."""
    return {code: _LINK.sub(r"\1", text) for code, text in _SECTION.findall(PAGE.read_text(encoding="utf-8"))}


def _explain(options: argparse.Namespace) -> int:
    found = sections()
    listed = [code for code in found if options.code in (None, code.partition(".")[0])]
    if listed:
        write("".join(f"{code}\n" for code in listed))
        return EXIT_OK
    if options.code in found:
        write(f"{options.code}\n\n{found[options.code]}\n")
        return EXIT_OK
    near = difflib.get_close_matches(options.code, found, n=3, cutoff=0.5)
    hint = f"Did you mean {', '.join(near)}?" if near else "A code has the form phase.rule, such as handshake.exited."
    error = ConfigError(f"there is no error with the code {options.code!r}", hint, "config.invalid")
    write_to(sys.stderr, failure_text(error, None))
    return EXIT_FAILED
