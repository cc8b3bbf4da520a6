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
import datetime
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import ferrule
from ferrule._console import EXIT_FAILED, EXIT_OK, error_json, failure_text, show_log, write, write_to
from ferrule.cli.launching import add_launch_options, client_settings, name_options
from ferrule.cli.services import described_services, services_text
from ferrule.errors import RPCPluginError
from ferrule.reflection import ServerReflection

__all__ = ["EPILOG", "add_options", "inspect"]

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
    add_launch_options(parser)
    add("--no-reflection", action="store_true", help="do not ask for services and methods")
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND...", help="the plugin's program and its arguments")
    # REMAINDER takes an empty command too, so that is checked later, with this parser's own usage text.
    parser.set_defaults(fail=parser.error)


def inspect(options: argparse.Namespace, client_factory: Callable[..., Any]) -> int:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        options.fail("COMMAND is missing: name the plugin's program")
    if options.log_level:
        show_log(options.log_level)
    client = None
    try:
        client = client_factory(command=command, config=client_settings(options))
        facts = asyncio.run(_facts(client, command, reflect=not options.no_reflection))
    except RPCPluginError as error:
        name_options(error)
        write_to(sys.stderr, failure_text(error, client))
        if options.json:
            write(_json({"error": error_json(error, client)}))
        return EXIT_FAILED
    write(_json(facts) if options.json else "\n".join(_text(facts)) + "\n")
    return EXIT_OK


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


async def _facts(client: Any, command: list[str], *, reflect: bool) -> dict[str, Any]:
    """Drives the plugin once; the result is the object that `--json` prints."""
    began = time.monotonic()
    async with client:
        timings = {**client.timings, "start": time.monotonic() - began}
        services, reflection_error = None, None
        if reflect:
            began = time.monotonic()
            services, reflection_error = await described_services(ServerReflection(client.grpc_channel))
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


def _tls(client: Any) -> dict[str, str] | None:
    certificate = client.certificate_facts
    if certificate is None:
        return None
    return {
        "subject": certificate.subject,
        "key": certificate.key,
        "not_before": _utc(certificate.not_before),
        "not_after": _utc(certificate.not_after),
        "sha256": ferrule.Certificate.from_pem(client.server_cert).fingerprint,
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
    yield from services_text(facts["services"], facts["reflection_error"])
    stop = facts["stop"]
    status = "unknown" if stop["exit_status"] is None else stop["exit_status"]
    yield from _section("stopped", {"by": stop["rung"], "exit status": status})


def _section(title: str, rows: dict[str, Any]) -> Iterator[str]:
    yield title
    for name, value in rows.items():
        yield f"  {name:<17} {value}"
