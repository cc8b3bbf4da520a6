"""The options of `bench`, and the text of its help."""

import argparse
from typing import Final

from ferrule._console import seconds
from ferrule.cli.launching import add_launch_options, add_plugin

__all__ = ["declare"]

EPILOG: Final = """\
What is measured: starts, with several at once; a lease of a pool's plugin, cold and warm; calls that are spread over
several plugins, with several in flight; memory. Each figure is the median of repetitions that take turns, so that what
else the machine does meets all of them. The call is a health check, which every plugin answers, unless --call says
otherwise.

exit status:
  0    the plugin was measured
  1    the plugin could not be driven; standard error says why
  2    the command line is wrong
  130  interrupted by Ctrl-C

examples:
  ferrule bench ./terraform-provider-time
  ferrule bench ./my-plugin --plugins 1,50,500 --in-flight 1,16 --seconds 5 --json
  ferrule bench ./my-plugin --call kv.KV/Echo --request '{"payload": "YQ=="}' --compare grpcio
"""


def declare(parser: argparse.ArgumentParser) -> None:
    """Adds the options to the verb's parser, and what runs it."""
    parser.usage = f"{parser.prog} [options] PLUGIN"
    parser.description = "Measure a plugin on this machine: starts, leases, calls, memory."
    parser.epilog = EPILOG
    add_plugin(parser)
    add = parser.add_argument
    add("--plugins", type=_counts, default=(1, 10, 50), metavar="N[,N...]", help="plugins at once (default: 1,10,50)")
    add("--in-flight", type=_counts, default=(1, 16), metavar="N[,N...]", help="calls at once (default: 1,16)")
    add("--seconds", type=seconds, default=1.0, metavar="SECONDS", help="time for each figure (default: 1)")
    add("--call", metavar="SERVICE/METHOD", help="a method without streams (default: the health check)")
    add("--request", metavar="JSON", help="its request (default: an empty one)")
    add("--compare", choices=("grpcio",), metavar="CHANNEL", help="the same calls over grpcio's own channel, as well")
    add("--json", action="store_true", help="print one JSON object instead of tables")
    add_launch_options(parser)
    parser.set_defaults(run=lambda options: _run(parser, options))


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.request is not None and options.call is None:
        parser.error("--request is for --call")
    from ferrule.cli.bench.verb import bench
    from ferrule.cli.running import run

    return run(bench, options)


def _counts(text: str) -> tuple[int, ...]:
    items = text.split(",")
    if not all(item.isascii() and item.isdigit() and 0 < int(item) <= 100_000 for item in items):
        raise argparse.ArgumentTypeError(f"{text!r} should be whole numbers above 0 joined with commas, such as 1,50")
    return tuple(sorted({int(item) for item in items}))
