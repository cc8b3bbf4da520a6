"""The options of each verb, and the texts of its help."""

import argparse
import sys
from collections.abc import Callable
from typing import Final

from ferrule._console import LOG_LEVELS, assignment, log_level
from ferrule.errors import ConfigError
from ferrule.terraform.cli.values import STANDARD_INPUT

__all__ = ["DECLARATIONS"]

PROVIDER: Final = """\
PROVIDER is a path, the name of a program on PATH, or a source address such as hashicorp/random, which is looked up
where Terraform and OpenTofu keep providers. Nothing is downloaded.
"""

VALUES: Final = """\
NAME=VALUE sets an attribute, over what the file says. VALUE is JSON, and for a string attribute the text as it stands:
  filename=notes.txt  size=3  tags='{"team": "web"}'  comment=null (nothing)  comment='"null"' (the text)
"""

STATUS: Final = """\
exit status:
  0    {ok}
  1    the provider, a file or the command failed; standard error says why
  2    the command line is wrong
  130  interrupted by Ctrl-C
"""


def schema(parser: argparse.ArgumentParser) -> None:
    _describe(
        parser,
        "Show what a provider has: all its types, one of them, or one attribute.",
        "PROVIDER [TYPE[.PATH]]",
        [
            PROVIDER,
            STATUS.format(ok="the schema was shown"),
            """\
examples:
  ferrule schema hashicorp/random                            all types
  ferrule schema hashicorp/random random_password            one type, as a tree
  ferrule schema hashicorp/aws aws_instance.ebs_block_device
  ferrule schema hashicorp/aws --search encrypt
  ferrule schema hashicorp/aws --json > aws.json             as `terraform providers schema -json`
  ferrule schema hashicorp/aws --stubs aws_instance > aws_instance.py
""",
        ],
    )
    _provider(parser)
    add = parser.add_argument
    add(
        "type",
        nargs="?",
        metavar="TYPE[.PATH]",
        help="type or function, or a place in one; `provider` is its own configuration",
    )
    add(
        "--search",
        metavar="WORD",
        help="list the places whose name or description has a word; exit status 1 if none has",
    )
    add("--stubs", metavar="TYPE", help="write a TypedDict of the configuration of a type, for mypy and editors")
    _check(
        parser,
        lambda options: (
            "--stubs writes Python: --json and --search do not go with it"
            if options.stubs and (options.json or options.search)
            else None
        ),
    )


def read(parser: argparse.ArgumentParser) -> None:
    _describe(
        parser,
        "Read a data source.",
        "PROVIDER DATA_SOURCE [NAME=VALUE...]",
        [
            PROVIDER,
            VALUES,
            STATUS.format(ok="the data source was read"),
            "examples:\n  ferrule read hashicorp/local local_file filename=notes.txt\n",
        ],
    )
    _provider(parser)
    _configuration(parser, "DATA_SOURCE", "the data source's type")


def plan(parser: argparse.ArgumentParser) -> None:
    _describe(
        parser,
        "Show what `apply` would do to a resource. Nothing is changed, no file is written.",
        "PROVIDER TYPE [NAME=VALUE...] [-f FILE] [--state FILE]",
        [
            PROVIDER,
            VALUES,
            STATUS.format(ok="the plan was shown")
            + "With --detailed-exitcode: 0 nothing would change, 1 a failure of any kind, 2 something would change.\n",
            "examples:\n  ferrule plan hashicorp/local local_file filename=notes.txt content=hello\n",
        ],
    )
    _provider(parser)
    _configuration(parser, "TYPE", "the resource's type")
    _state(parser, "state of the resource as it is; a file that is not there means that there is no resource")
    _replace(parser)
    parser.add_argument("--detailed-exitcode", action="store_true", help="exit status 2 if something would change")


def apply(parser: argparse.ArgumentParser) -> None:
    _describe(
        parser,
        "Create or change a resource so that it is as the configuration says; show the plan and ask before.",
        "PROVIDER TYPE [NAME=VALUE...] [-f FILE] --state FILE",
        [
            PROVIDER,
            VALUES,
            STATUS.format(ok="the resource is as the configuration says")
            + "\nThe state file is written whatever happens: after a failure it has what the provider says is there\n"
            "now. Ctrl-C asks the provider to stop, waits for it, and writes the file; a second one does not wait.\n",
            "examples:\n  ferrule apply hashicorp/local local_file -f notes.json --state notes.state.json\n",
        ],
    )
    _provider(parser)
    _configuration(parser, "TYPE", "the resource's type")
    _state(parser, "file for the state of the resource; written for a new one", required=True)
    _replace(parser)
    _yes(parser)


def import_(parser: argparse.ArgumentParser) -> None:
    _describe(
        parser,
        "Take an object that exists into a state file. The object is not changed.",
        "PROVIDER TYPE (ID | --identity NAME=VALUE...) [--state FILE]",
        [
            PROVIDER,
            STATUS.format(ok="the object was imported"),
            "examples:\n  ferrule import hashicorp/time time_static 2020-02-12T06:36:13Z --state start.state.json\n",
        ],
    )
    _provider(parser)
    _provider_configuration(parser)
    add = parser.add_argument
    add("type", metavar="TYPE", help="the resource's type")
    add("id", nargs="?", metavar="ID", help="the object's id, in the form that the provider's documentation has")
    add(
        "--identity",
        type=assignment,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="part of the object's identity, in place of an id; may be repeated",
    )
    _state(parser, "new file for the state (default: the state is only shown)")
    _check(parser, lambda options: "either an ID or --identity" if bool(options.id) == bool(options.identity) else None)


def destroy(parser: argparse.ArgumentParser) -> None:
    _describe(
        parser,
        "Destroy the resource of a state file; show what will go and ask before.",
        "PROVIDER [TYPE] --state FILE",
        [
            PROVIDER,
            STATUS.format(ok="the resource is gone")
            + "\nThe state file is removed in the end, or has what is left after a failure.\n",
            "examples:\n  ferrule destroy hashicorp/local --state notes.state.json\n",
        ],
    )
    _provider(parser)
    _provider_configuration(parser)
    add = parser.add_argument
    add("type", nargs="?", metavar="TYPE", help="the resource's type, which the state file has to agree to")
    # What people leave there of the command line of an apply.
    add("values", nargs="*", help=argparse.SUPPRESS)
    add("-f", "--file", help=argparse.SUPPRESS)
    _check(
        parser,
        lambda options: (
            "a resource is destroyed as the state file has it: NAME=VALUE and -f do not go with that"
            if options.values or options.file
            else None
        ),
    )
    _state(parser, "file with the state of the resource", required=True)
    _yes(parser)


DECLARATIONS: Final[dict[str, Callable[[argparse.ArgumentParser], None]]] = {
    "schema": schema,
    "read": read,
    "plan": plan,
    "apply": apply,
    "import": import_,
    "destroy": destroy,
}


def _describe(parser: argparse.ArgumentParser, summary: str, usage: str, parts: list[str]) -> None:
    parser.usage = f"{parser.prog} [options] {usage}"
    parser.description = summary
    parser.epilog = "\n".join(parts)


def _provider(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("provider", metavar="PROVIDER", help="path, name or source address of the provider")
    add("--version", metavar="CONSTRAINT", help="versions that a source address may stand for, such as '~> 3.0'")
    add(
        "--core",
        choices=("terraform", "opentofu"),
        default="terraform",
        help="whose part is played where the two differ",
    )
    add(
        "--source-address",
        type=_source_address,
        metavar="ADDRESS",
        help="source address of the provider in JSON and new states, if only a path is known",
    )
    add("--json", action="store_true", help="print one JSON document instead of text")
    what = "print the provider's log from this level on to standard error"
    add("--log-level", type=log_level, choices=LOG_LEVELS, help=what)


def _source_address(text: str) -> str:
    """An address as it was given: a wrong one would be found when the state is stored, and that is too late."""
    from ferrule.terraform.finding.address import Address

    try:
        Address.candidates(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(error.message) from None
    return text


def _provider_configuration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--provider-config", metavar="FILE", help="the provider's own configuration, a JSON object; - is standard input"
    )


def _configuration(parser: argparse.ArgumentParser, type_name: str, meaning: str) -> None:
    _provider_configuration(parser)
    add = parser.add_argument
    add("type", metavar=type_name, help=meaning)
    add("values", nargs="*", default=[], type=assignment, metavar="NAME=VALUE", help="attribute of the configuration")
    add("-f", "--file", metavar="FILE", help="the configuration, a JSON object; - is standard input")
    _check(
        parser,
        lambda options: (
            "only one of -f and --provider-config can be standard input"
            if options.file == options.provider_config == STANDARD_INPUT
            else None
        ),
    )


def _state(parser: argparse.ArgumentParser, meaning: str, *, required: bool = False) -> None:
    add = parser.add_argument
    add("--state", metavar="FILE", required=required, help=meaning)
    add(
        "--address",
        metavar="ADDRESS",
        help="resource in FILE where that is a terraform.tfstate, such as 'aws_instance.web[0]'",
    )


def _replace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--replace", action="store_true", help="replace the resource, even if it could stay")


def _yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask")
    _check(parser, _why_nobody_can_be_asked)


def _why_nobody_can_be_asked(options: argparse.Namespace) -> str | None:
    if options.yes:
        return None
    if STANDARD_INPUT in {options.file, options.provider_config}:
        return "the question before the change is answered on standard input, which has a configuration: add --yes"
    if not sys.stdin.isatty():
        return "the question before the change needs a terminal: add --yes"
    return None


def _check(parser: argparse.ArgumentParser, complaint: Callable[[argparse.Namespace], str | None]) -> None:
    """Adds a function that finds what is wrong with options that are right one by one."""
    checks = parser.get_default("checks") or ()
    parser.set_defaults(checks=(*checks, complaint))
