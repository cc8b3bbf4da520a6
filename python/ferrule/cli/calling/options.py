"""The options of `call`, and the text of its help."""

import argparse
import base64
import binascii
import json
import re
from typing import Final

from ferrule._console import assignment, seconds
from ferrule.cli.calling.streams import STANDARD_INPUT
from ferrule.cli.launching import add_launch_options, add_plugin

__all__ = ["declare"]

METADATA_NAME: Final = re.compile(r"[0-9a-z_.-]+")

EPILOG: Final = """\
Without a method, the services of the plugin are listed; with the name of a service, its methods.
JSON is one request in protobuf's JSON form. A method with a stream of requests takes several, or with - a line of
standard input for each; another method takes one, which may have several lines there. No JSON is an empty request, and
an empty stream. Each response is a line of JSON on standard output, as it comes.

The plugin describes its messages itself, by gRPC server reflection. For one that does not, --descriptor-set or --proto
has them. Without options the plugin is started as Terraform starts a provider, as by `ferrule inspect`.

exit status:
  0    the call succeeded
  1    the plugin could not be driven, or the call failed; standard error says why
  2    the command line is wrong
  130  interrupted by Ctrl-C

examples:
  ferrule call ./terraform-provider-time
  ferrule call ./terraform-provider-time tfplugin5.Provider/GetMetadata
  ferrule call --family tflint ./tflint-ruleset-aws RuleSet/GetRuleSetName
  ferrule call ./my-plugin kv.KV/Put '{"key": "colour", "value": "Z3JlZW4="}'
  tail -f requests.jsonl | ferrule call ./my-plugin kv.KV/Chat -
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Adds the options to the verb's parser, and what runs it."""
    parser.usage = f"{parser.prog} [options] PLUGIN [SERVICE[/METHOD] [JSON...]]"
    parser.description = "Start a plugin, call one of its methods, stop it."
    parser.epilog = EPILOG
    add_plugin(parser)
    add = parser.add_argument
    add("method", nargs="?", metavar="SERVICE/METHOD", help="the method, such as kv.KV/Get")
    add("requests", nargs="*", type=_request, default=[], metavar="JSON", help="requests; - is standard input")
    add("--json", action="store_true", help="print services and failures as JSON too")
    add(
        "--metadata",
        type=_metadata,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="metadata of the call; may be repeated; VALUE is Base64 where NAME ends in -bin",
    )
    add("--timeout", type=seconds, metavar="SECONDS", help="limit for the call (default: none)")
    add("--descriptor-set", action="append", default=[], metavar="FILE", help="compiled definitions of the services")
    add(
        "--proto",
        action="append",
        default=[],
        metavar="FILE",
        help="definitions of the services, which protoc compiles",
    )
    add("--proto-path", action="append", default=[], metavar="DIRECTORY", help="where --proto and its imports are")
    add_launch_options(parser)
    parser.set_defaults(run=lambda options: _run(parser, options))


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.requests.count(STANDARD_INPUT) > 1:
        parser.error("standard input can be read once: give one -")
    from ferrule.cli.calling.verb import call
    from ferrule.cli.running import run

    return run(call, options)


def _request(text: str) -> str:
    if text != STANDARD_INPUT:
        try:
            json.loads(text)
        except (ValueError, RecursionError) as error:
            raise argparse.ArgumentTypeError(f"{_shortened(text)!r} is not JSON: {error}") from None
    return text


def _metadata(text: str) -> tuple[str, str | bytes]:
    name, value = assignment(text)
    name = name.lower()
    if not METADATA_NAME.fullmatch(name):
        raise argparse.ArgumentTypeError(f"{name!r} is no name of metadata: letters, digits and _ - . make one")
    if not name.endswith("-bin"):
        if not value.isascii() or not value.isprintable():
            raise argparse.ArgumentTypeError(f"{text!r} should have printable ASCII as its value, or a name in -bin")
        return name, value
    try:
        return name, base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise argparse.ArgumentTypeError(f"{text!r} should have Base64 as its value: {error}") from None


def _shortened(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."
