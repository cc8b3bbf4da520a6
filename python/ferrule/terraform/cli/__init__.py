"""The verbs of the command line for Terraform providers; `ferrule.cli` loads them when one is used."""

import argparse
from importlib import import_module
from typing import Any, Final

from ferrule.terraform.cli.arguments import DECLARATIONS
from ferrule.terraform.cli.running import run

__all__ = ["declare"]

MODULE_BY_VERB: Final = {
    "schema": "schema",
    "read": "read",
    "plan": "changes",
    "apply": "changes",
    "destroy": "changes",
    "import": "importing",
}


def declare(verb: str, parser: argparse.ArgumentParser) -> None:
    """Adds a verb's options to its parser, and what runs it."""
    DECLARATIONS[verb](parser)

    def checked_run(options: argparse.Namespace) -> int:
        for complaint in options.checks or ():
            if text := complaint(options):
                parser.error(text)
        return run(_function_of(verb), options)

    parser.set_defaults(run=checked_run)


def _function_of(verb: str) -> Any:
    module = import_module(f"ferrule.terraform.cli.{MODULE_BY_VERB[verb]}")
    return getattr(module, {"import": "import_"}.get(verb, verb))
