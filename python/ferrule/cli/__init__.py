"""The `ferrule` command line: `main`, and which verbs there are.

`inspect` and the verbs of `PLUGIN_VERBS` are for any plugin, the others for Terraform providers. The modules of a verb,
and what the extras `cli` and `terraform` install, are loaded when it is used.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import ferrule
from ferrule._console import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, OutputError, standard_streams, write_to
from ferrule._secrecy import forgetful
from ferrule.cli import inspection
from ferrule.client import RPCPluginClient

__all__ = ["main"]

PLUGIN_VERBS = {
    "call": ("call a method of a plugin, with JSON", "ferrule.cli.calling.options"),
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


@forgetful
def main(argv: Sequence[str] | None = None, *, client_factory: Callable[..., Any] = RPCPluginClient) -> int:
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
    with standard_streams():
        try:
            # Loads what a verb needs, which takes a moment.
            options = _parser(client_factory).parse_args(argv)
            run: Callable[[argparse.Namespace], int] = options.run
            return run(options)
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        except OutputError as error:
            write_to(sys.stderr, f"ferrule: {error}\n")
            return EXIT_FAILED


def _parser(client_factory: Callable[..., Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ferrule", description="Drive HashiCorp go-plugin plugins from Python.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=_version_text())
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=_Verb)
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


class _Verb(argparse.ArgumentParser):
    """The parser of one verb. Options and other arguments may be mixed, as people write them.

    Attributes:
        declare: Adds the options for these arguments when the verb is used; None where they are there already.
        usage_status: Exit status for a wrong command line.
    """

    declare: Callable[["_Verb", Sequence[str]], None] | None = None
    usage_status = EXIT_USAGE

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        declare, self.declare = self.declare, None
        if declare is None:
            return super().parse_known_args(args, namespace)
        declare(self, args)
        # Calls this method again, for options and for other arguments.
        namespace, unknown = self.parse_known_intermixed_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(self.usage_status, f"{self.prog}: error: {message}\n")


def _options_of(module: str) -> Callable[[_Verb, Sequence[str]], None]:
    return lambda parser, _: importlib.import_module(module).declare(parser)


def _terraform_options(verb: str) -> Callable[[_Verb, Sequence[str]], None]:
    def declare(parser: _Verb, arguments: Sequence[str]) -> None:
        try:
            from ferrule.terraform import cli
        except ImportError as error:
            parser.exit(EXIT_FAILED, f"ferrule: {error}\n")
        cli.declare(verb, parser)
        if "--detailed-exitcode" in arguments:
            # 2 says there that something would change.
            parser.usage_status = EXIT_FAILED

    return declare


def _version_text() -> str:
    facts = ", ".join(f"{name} {value}" for name, value in ferrule.build_info().items() if name != "version")
    return f"ferrule {ferrule.__version__}" + (f" ({facts})" if facts else "")
