"""Which verbs the command line has.

`inspect` and the verbs of `PLUGIN_VERBS` are for any plugin, the others for Terraform providers. The modules of a verb,
and what the extras `cli` and `terraform` install, are loaded when it is used.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import ferrule
from ferrule._console import EXIT_FAILED, EXIT_USAGE
from ferrule.cli import inspection

__all__ = ["Verb", "command_line"]

PLUGIN_VERBS = {
    "bench": ("measure starts, leases, calls and memory of a plugin", "ferrule.cli.bench.options"),
    "call": ("call a method of a plugin, with JSON", "ferrule.cli.calling.options"),
    "completion": ("print what completes commands in a shell", "ferrule.cli.completion"),
    "explain": ("show what an error's code means, and what to try", "ferrule.cli.explain"),
    "top": ("show the plugins of a pool, as they are now", "ferrule.cli.top.options"),
}
"""Summary of each verb, and the module whose `declare` adds its options."""

TERRAFORM_VERBS = {
    "schema": "show what a Terraform provider has: types, attributes, functions",
    "read": "read a data source of a provider",
    "plan": "show what would be done to a resource of a provider",
    "apply": "create or change a resource of a provider",
    "import": "take an object that exists into a state file",
    "destroy": "destroy a resource of a provider",
}


def command_line(client_factory: Callable[..., Any]) -> argparse.ArgumentParser:
    """The parser of the whole command line.

    Args:
        client_factory: Makes the client of `inspect`.
    """
    parser = argparse.ArgumentParser(
        prog="ferrule", description="Drive HashiCorp go-plugin plugins from Python.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=_version_text())
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=Verb)
    inspect = verbs.add_parser(
        "inspect",
        help="start a plugin and show what it is",
        usage="ferrule inspect [options] [--] COMMAND...",
        description="Start a plugin, show what it is, stop it.",
        epilog=inspection.EPILOG,
    )
    inspection.add_options(inspect)
    inspect.set_defaults(run=lambda options: inspection.inspect(options, client_factory))
    for verb, (summary, module) in PLUGIN_VERBS.items():
        verbs.add_parser(verb, help=summary).declare = _options_of(module)
    for verb, summary in TERRAFORM_VERBS.items():
        verbs.add_parser(verb, help=summary).declare = _terraform_options(verb)
    return parser


class Verb(argparse.ArgumentParser):
    """The parser of one verb. Options and other arguments may be mixed, as people write them.

    Attributes:
        declare: Adds the options for these arguments when the verb is used; None where they are there already.
        usage_status: Exit status for a wrong command line.
    """

    declare: Callable[["Verb", Sequence[str]], None] | None = None
    usage_status = EXIT_USAGE

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.declare is None:
            return super().parse_known_args(args, namespace)
        try:
            self.load(args)
        except ImportError as error:
            self.exit(EXIT_FAILED, f"ferrule: {error}\n")
        # Calls this method again, for options and for other arguments.
        namespace, unknown = self.parse_known_intermixed_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def load(self, arguments: Sequence[str] = ()) -> None:
        """Adds the options, unless they are there.

        Raises:
            ImportError: The extra that the verb needs is not installed; the message names it.
        """
        declare, self.declare = self.declare, None
        if declare is not None:
            declare(self, arguments)

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(self.usage_status, f"{self.prog}: error: {message}\n")


def _options_of(module: str) -> Callable[[Verb, Sequence[str]], None]:
    return lambda parser, _: importlib.import_module(module).declare(parser)


def _terraform_options(verb: str) -> Callable[[Verb, Sequence[str]], None]:
    def declare(parser: Verb, arguments: Sequence[str]) -> None:
        from ferrule.terraform import cli

        cli.declare(verb, parser)
        if "--detailed-exitcode" in arguments:
            # 2 says there that something would change.
            parser.usage_status = EXIT_FAILED

    return declare


def _version_text() -> str:
    facts = ", ".join(f"{name} {value}" for name, value in ferrule.build_info().items() if name != "version")
    return f"ferrule {ferrule.__version__}" + (f" ({facts})" if facts else "")
