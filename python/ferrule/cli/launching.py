"""The options by which the verbs for any plugin start it, and the settings that they mean."""

import argparse
from typing import Any

from ferrule import families
from ferrule._console import LOG_LEVELS, assignment, log_level, seconds
from ferrule.errors import RPCPluginError

__all__ = ["add_launch_options", "add_plugin", "client_settings", "name_options", "plugin_command"]

CURVES = ("P-256", "P-384", "P-521")


def add_plugin(parser: argparse.ArgumentParser) -> None:
    """The plugin of a verb whose further arguments are not the plugin's."""
    parser.add_argument("plugin", metavar="PLUGIN", help="the plugin's program")
    parser.add_argument(
        "--arg", action="append", default=[], metavar="ARG", help="argument for the plugin; may be repeated"
    )


def plugin_command(options: argparse.Namespace) -> list[str]:
    return [options.plugin, *options.arg]


def add_launch_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    names = ", ".join(families.ALL)
    # The constants of ferrule.families are upper case.
    what = f"program that the plugin is written for: {names}"
    add("--family", type=str.lower, choices=tuple(families.ALL), metavar="NAME", help=what)
    add("--cookie", type=assignment, metavar="KEY=VALUE", help="magic cookie of the plugin (default: Terraform's)")
    add(
        "--protocol-versions",
        type=_versions,
        metavar="N[,N...]",
        help="application protocol versions to offer (default: 5,6)",
    )
    add("--no-tls", action="store_true", help="talk plaintext instead of mutual TLS with one-time certificates")
    add("--curve", choices=CURVES, help="curve of this side's one-time certificate (default: P-256)")
    add(
        "--env",
        type=assignment,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="environment variable for the plugin; may be repeated",
    )
    add("--cwd", metavar="DIRECTORY", help="working directory of the plugin (default: this one)")
    add("--start-timeout", type=seconds, metavar="SECONDS", help="limit for the start (default: 60)")
    what = "print the plugin's log from this level on to standard error"
    add("--log-level", type=log_level, choices=LOG_LEVELS, help=what)


def name_options(error: RPCPluginError) -> None:
    """Has the hint of a failed start name the options of these verbs beside the settings that it names."""
    if error.hint and error.code == "handshake.app-version" and "--protocol-versions" not in error.hint:
        option = "protocol_versions (--protocol-versions on the command line)"
        error.hint = error.hint.replace("protocol_versions", option, 1)


def _versions(text: str) -> tuple[int, ...]:
    items = text.split(",")
    if not all(item.isascii() and item.isdigit() for item in items):
        raise argparse.ArgumentTypeError(f"{text!r} should be whole numbers joined with commas, such as 5,6")
    return tuple(int(item) for item in items)


def client_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The client's settings; options that were not given keep the family's settings, or the client's defaults."""
    given: dict[str, Any] = {
        "protocol_versions": options.protocol_versions,
        "certificate_curve": options.curve,
        "cwd": options.cwd,
        "start_timeout": options.start_timeout,
        "env": dict(options.env) or None,
        "auto_mtls": False if options.no_tls else None,
    }
    if options.cookie:
        given["magic_cookie_key"], given["magic_cookie_value"] = options.cookie
    given = {name: value for name, value in given.items() if value is not None}
    return dict(families.ALL[options.family].with_settings(**given)) if options.family else given
