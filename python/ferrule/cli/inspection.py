"""The verb `inspect`.

`ferrule inspect COMMAND...` starts a plugin, asks it what it is, stops it and prints what it learned, as text or, with
`--json`, as one JSON object whose keys are stable:

| key | value |
|---|---|
| `ferrule` | version of Ferrule |
| `command` | list of the program and its arguments |
| `pid` | process id of the plugin |
| `protocol_version` | negotiated application protocol version |
| `transport`, `address` | `unix` and a path, or `tcp` and `host:port` |
| `tls` | null without TLS, else `subject`, `key` (curve), `not_before`, `not_after` (UTC, ISO 8601), `sha256` (hex) |
| `timings_ms` | milliseconds by phase: those of the client, then `start` (all of them), `reflection` if done, `stop` |
| `bytes` | `sent` and `received` on the connection, before the stop |
| `services` | null without reflection, else a list of `name` and `methods`, null if the plugin cannot describe them |
| `reflection_error` | why `services` or some `methods` are null, else null |
| `stop` | `rung` (`shutdown`, `sigterm`, `sigkill` or `exited`) and `exit_status`, null if unknown |

A method has `name`, `client_streaming`, `server_streaming`, `input_type` and `output_type`.
"""

import argparse
import asyncio
import dataclasses
import datetime
import hashlib
import json
import shlex
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import ferrule
from ferrule import families
from ferrule._console import EXIT_FAILED, EXIT_OK, LOG_LEVELS, assignment, failure_text, seconds, show_log, write
from ferrule.errors import ProtocolError, RPCPluginError
from ferrule.reflection import ServerReflection

__all__ = ["EPILOG", "add_options", "inspect"]

CURVES = ("P-256", "P-384", "P-521")

EPILOG = """\
With no options the plugin is started as Terraform starts a provider: its cookie, protocol versions 5 and 6, mutual TLS.
--family has what other programs use; --cookie, --protocol-versions and --env go before it.

exit status:
  0    the plugin was inspected
  1    the plugin could not be driven; standard error says why
  2    the command line is wrong
  130  interrupted by Ctrl-C

examples:
  ferrule inspect ./terraform-provider-time
  ferrule inspect --family tflint ./tflint-ruleset-aws
  ferrule inspect --json --cookie MY_PLUGIN=hello --protocol-versions 1 -- ./my-plugin --verbose
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--json", action="store_true", help="print one JSON object instead of text")
    names = ", ".join(families.ALL)
    # The constants of ferrule.families are upper case.
    what = f"program that the plugin is written for: {names}"
    add("--family", type=str.lower, choices=families.ALL, metavar="NAME", help=what)
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
    add("--log-level", choices=LOG_LEVELS, help="print the plugin's log from this level on to standard error")
    add("--no-reflection", action="store_true", help="do not ask for services and methods")
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND...", help="the plugin's program and its arguments")
    # REMAINDER takes an empty command too, so that is checked later, with this parser's own usage text.
    parser.set_defaults(fail=parser.error)


def _versions(text: str) -> tuple[int, ...]:
    items = text.split(",")
    if not all(item.isascii() and item.isdigit() for item in items):
        raise argparse.ArgumentTypeError(f"{text!r} should be whole numbers joined with commas, such as 5,6")
    return tuple(int(item) for item in items)


def inspect(options: argparse.Namespace, client_factory: Callable[..., Any]) -> int:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        options.fail("COMMAND is missing: name the plugin's program")
    if options.log_level:
        show_log(options.log_level)
    client = None
    try:
        client = client_factory(command=command, config=_config(options))
        facts = asyncio.run(_facts(client, command, reflect=not options.no_reflection))
    except RPCPluginError as error:
        sys.stderr.write(failure_text(error, client))
        return EXIT_FAILED
    write(json.dumps(facts, indent=2) + "\n" if options.json else "\n".join(_text(facts)) + "\n")
    return EXIT_OK


def _config(options: argparse.Namespace) -> dict[str, Any]:
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


async def _facts(client: Any, command: list[str], *, reflect: bool) -> dict[str, Any]:
    """Drives the plugin once; the result is the object that `--json` prints."""
    began = time.monotonic()
    async with client:
        timings = {**client.timings, "start": time.monotonic() - began}
        services, reflection_error = None, None
        if reflect:
            began = time.monotonic()
            services, reflection_error = await _services(client.grpc_channel)
            timings["reflection"] = time.monotonic() - began
        facts = {
            "ferrule": ferrule.__version__,
            "command": command,
            "pid": client.pid,
            "protocol_version": client.protocol_version,
            "transport": client.transport,
            "address": client.address,
            "tls": _tls(client),
            "timings_ms": timings,
            "bytes": {"sent": client.bytes_sent, "received": client.bytes_received},
            "services": services,
            "reflection_error": reflection_error,
        }
    report = client.stop_report
    timings["stop"] = report.seconds
    facts["timings_ms"] = {phase: round(1000 * seconds, 3) for phase, seconds in timings.items()}
    facts["stop"] = {"rung": report.rung, "exit_status": report.exit_status}
    return facts


async def _services(channel: Any) -> tuple[list[dict[str, Any]] | None, str | None]:
    """The services with their methods, and the last reason why something is missing."""
    reflection = ServerReflection(channel)
    try:
        names = await reflection.services()
    except ProtocolError as error:
        return None, error.message
    services: list[dict[str, Any]] = []
    failure = None
    for name in names:
        try:
            methods = [dataclasses.asdict(method) for method in await reflection.methods(name)]
        except ProtocolError as error:
            services.append({"name": name, "methods": None})
            failure = error.message
        else:
            services.append({"name": name, "methods": methods})
    return services, failure


def _tls(client: Any) -> dict[str, str] | None:
    certificate = client.certificate_facts
    if certificate is None:
        return None
    return {
        "subject": certificate.subject,
        "key": certificate.key,
        "not_before": _utc(certificate.not_before),
        "not_after": _utc(certificate.not_after),
        "sha256": hashlib.sha256(ssl.PEM_cert_to_DER_cert(client.server_cert)).hexdigest(),
    }


def _utc(timestamp: int) -> str:
    return datetime.datetime.fromtimestamp(timestamp, datetime.UTC).isoformat()


def _text(facts: dict[str, Any]) -> Iterator[str]:
    """The facts as lines for people."""
    yield from _section(
        "plugin",
        {
            "command": shlex.join(facts["command"]),
            "pid": facts["pid"],
            "protocol version": facts["protocol_version"],
            "transport": facts["transport"],
            "address": facts["address"],
        },
    )
    tls = facts["tls"]
    if tls is None:
        yield from _section("TLS", {"none": "the connection is plaintext"})
    else:
        validity = {"valid from": tls["not_before"], "valid to": tls["not_after"]}
        yield from _section("TLS", {"subject": tls["subject"], "key": tls["key"], **validity, "SHA-256": tls["sha256"]})
    yield from _section("time", {phase: f"{value:9.1f} ms" for phase, value in facts["timings_ms"].items()})
    yield from _section("traffic", {way: f"{number:9,} bytes" for way, number in facts["bytes"].items()})
    yield from _services_text(facts["services"], facts["reflection_error"])
    stop = facts["stop"]
    status = "unknown" if stop["exit_status"] is None else stop["exit_status"]
    yield from _section("stopped", {"by": stop["rung"], "exit status": status})


def _section(title: str, rows: dict[str, Any]) -> Iterator[str]:
    yield title
    for name, value in rows.items():
        yield f"  {name:<17} {value}"


def _services_text(services: list[dict[str, Any]] | None, failure: str | None) -> Iterator[str]:
    if services is not None:
        yield f"services ({len(services)})"
    for service in services or []:
        yield f"  {service['name']}"
        for method in service["methods"] or []:
            request = "stream " * method["client_streaming"] + method["input_type"]
            response = "stream " * method["server_streaming"] + method["output_type"]
            yield f"    {method['name']}({request}) -> {response}"
    if failure is not None:
        yield f"services unknown: {failure}" if services is None else f"  incomplete: {failure}"
