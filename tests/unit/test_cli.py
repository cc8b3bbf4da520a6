"""The command line: its options, output and exit statuses, with a stand-in for the client and with a real plugin."""

import contextlib
import datetime
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ferrule
from ferrule import Certificate, families
from ferrule.cli import main
from ferrule.cli.parser import command_line
from ferrule.errors import ConfigError, HandshakeError, PluginExitedError
from ferrule.testing import COOKIE_KEY, COOKIE_VALUE, plugin_command

LIMIT_SECONDS = 60.0

KV_OPTIONS = ["--cookie", f"{COOKIE_KEY}={COOKIE_VALUE}", "--protocol-versions", "1"]

IDENTITY = Certificate.generate()


class StubClient:
    """A client of a plugin that does not exist."""

    pid = 4711
    protocol_version = 6
    transport = "unix"
    address = "/run/plugin"
    server_cert: str | None = IDENTITY.certificate_pem
    certificate_facts: Any = SimpleNamespace(
        subject="O=HashiCorp, CN=localhost", key="P-521", not_before=1767323045, not_after=2714007845
    )
    bytes_sent = 1234
    bytes_received = 5678
    stderr_tail: tuple[str, ...] = ()
    grpc_channel: Any = None

    def __init__(self, command: list[str], config: dict[str, Any]) -> None:
        self.command = command
        self.config = config
        self.timings = {"launch": 0.001, "handshake": 0.0202, "connect": 0.003, "health": 0.0005}
        self.stop_report: Any = None

    async def __aenter__(self) -> "StubClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop_report = SimpleNamespace(rung="shutdown", seconds=0.0017, exit_status=0)


class Clients:
    """A client factory that remembers what it made."""

    def __init__(self, kind: type[StubClient] = StubClient) -> None:
        self.made: list[StubClient] = []
        self._kind = kind

    def __call__(self, command: list[str], config: dict[str, Any]) -> StubClient:
        self.made.append(self._kind(command, config))
        return self.made[-1]


def inspect(*arguments: str, clients: Callable[..., Any] | None = None) -> int:
    return main(["inspect", *arguments], client_factory=clients or Clients())


def inspect_process(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ferrule", "inspect", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("verb", [[], ["inspect"]])
def test_help(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*verb, "--help"])
    assert end.value.code == 0
    assert "usage: ferrule" in capsys.readouterr().out


def test_help_documents_every_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["inspect", "--help"])
    _, _, section = capsys.readouterr().out.partition("exit status:\n")
    assert [line.split()[0] for line in section.splitlines()[:4]] == ["0", "1", "2", "130"]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"ferrule {ferrule.__version__} (")
    for name, value in ferrule.build_info().items():
        assert value in text, name


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "VERB"),
        (["explode"], "invalid choice: 'explode'"),
        (["inspect"], "COMMAND is missing"),
        (["inspect", "--"], "COMMAND is missing"),
        (["inspect", "--bogus", "plugin"], "unrecognized arguments: --bogus"),
        (["inspect", "--js", "plugin"], "unrecognized arguments: --js"),
        (["inspect", "--cookie", "KEY", "plugin"], "'KEY' should have the form NAME=VALUE"),
        (["inspect", "--env", "=x", "plugin"], "'=x' should have the form NAME=VALUE"),
        (["inspect", "--protocol-versions", "5,x", "plugin"], "'5,x' should be whole numbers"),
        (["inspect", "--protocol-versions", "", "plugin"], "'' should be whole numbers"),
        (["inspect", "--start-timeout", "soon", "plugin"], "'soon' should be a number of seconds"),
        (["inspect", "--start-timeout", "0", "plugin"], "'0' should be a number of seconds"),
        (["inspect", "--start-timeout", "nan", "plugin"], "'nan' should be a number of seconds"),
        (["inspect", "--curve", "P-123", "plugin"], "invalid choice: 'P-123'"),
        (["inspect", "--log-level", "loud", "plugin"], "invalid choice: 'loud'"),
        (["inspect", "--family", "packer", "plugin"], "invalid choice: 'packer'"),
    ],
)
def test_wrong_command_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    clients = Clients()
    with pytest.raises(SystemExit) as end:
        main(arguments, client_factory=clients)
    assert end.value.code == 2
    assert complaint in capsys.readouterr().err
    assert not clients.made


def test_without_options_the_client_decides() -> None:
    clients = Clients()
    assert inspect("--no-reflection", "plugin", clients=clients) == 0
    assert clients.made[0].config == {}


def test_options_become_settings() -> None:
    clients = Clients()
    options = (
        "--cookie K=v=w --protocol-versions 5,6 --no-tls --curve P-384 --env A=1 --env B= --cwd / --start-timeout 2.5"
    )
    assert inspect("--no-reflection", *options.split(), "plugin", clients=clients) == 0
    assert clients.made[0].config == {
        "magic_cookie_key": "K",
        "magic_cookie_value": "v=w",
        "protocol_versions": (5, 6),
        "auto_mtls": False,
        "certificate_curve": "P-384",
        "env": {"A": "1", "B": ""},
        "cwd": "/",
        "start_timeout": 2.5,
    }


def test_a_family_gives_what_other_options_do_not() -> None:
    clients = Clients()
    options = "--family VAULT-backend --protocol-versions 4 --env A=1"
    assert inspect("--no-reflection", *options.split(), "plugin", clients=clients) == 0
    assert clients.made[0].config == {
        **families.VAULT_BACKEND,
        "protocol_versions": (4,),
        "env": {"VAULT_PLUGIN_AUTOMTLS_ENABLED": "true", "A": "1"},
    }


@pytest.mark.parametrize("separator", [[], ["--"]])
def test_what_follows_the_program_is_its_own(separator: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    clients = Clients()
    command = ["plugin", "--json", "--", "-x", "--env"]
    assert inspect("--no-reflection", *separator, *command, clients=clients) == 0
    assert clients.made[0].command == command
    assert capsys.readouterr().out.startswith("plugin\n")  # text: --json went to the plugin


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect("--json", "--no-reflection", "plugin", "-v") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["timings_ms"].pop("start") > 0
    assert facts == {
        "ferrule": ferrule.__version__,
        "command": ["plugin", "-v"],
        "pid": 4711,
        "protocol_version": 6,
        "transport": "unix",
        "address": "/run/plugin",
        "tls": {
            "subject": "O=HashiCorp, CN=localhost",
            "key": "P-521",
            "not_before": "2026-01-02T03:04:05+00:00",
            "not_after": "2056-01-02T03:04:05+00:00",
            "sha256": hashlib.sha256(IDENTITY.certificate_der).hexdigest(),
        },
        "timings_ms": {"launch": 1.0, "handshake": 20.2, "connect": 3.0, "health": 0.5, "stop": 1.7},
        "bytes": {"sent": 1234, "received": 5678},
        "services": None,
        "reflection_error": None,
        "stop": {"rung": "shutdown", "exit_status": 0},
    }


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect("--no-reflection", "plugin", "two words") == 0
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for row in (
        "command plugin 'two words'",
        "pid 4711",
        "protocol version 6",
        "transport unix",
        "address /run/plugin",
        "key P-521",
        "valid from 2026-01-02T03:04:05+00:00",
        "valid to 2056-01-02T03:04:05+00:00",
        "handshake 20.2 ms",
        "stop 1.7 ms",
        "sent 1,234 bytes",
        "by shutdown",
        "exit status 0",
    ):
        assert row in rows
    assert not any(row.startswith("services") for row in rows)


def test_plaintext_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    class Plaintext(StubClient):
        server_cert = None
        certificate_facts = None

    assert inspect("--json", "--no-reflection", "plugin", clients=Clients(Plaintext)) == 0
    assert json.loads(capsys.readouterr().out)["tls"] is None
    assert inspect("--no-reflection", "plugin", clients=Clients(Plaintext)) == 0
    assert "the connection is plaintext" in capsys.readouterr().out


def test_failed_start(capsys: pytest.CaptureFixture[str]) -> None:
    class Failing(StubClient):
        async def __aenter__(self) -> "StubClient":
            raise PluginExitedError(
                "the plugin ended before its handshake",
                hint="Run it by hand.",
                exit_status=3,
                stderr_tail=["no disk", "giving up"],
            )

    assert inspect("plugin", clients=Clients(Failing)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "ferrule: PluginExitedError: the plugin ended before its handshake",
        "exit status: 3",
        "hint: Run it by hand.",
        "last output of the plugin:",
        "  no disk",
        "  giving up",
    ]


def test_failed_start_with_output_known_to_the_client(capsys: pytest.CaptureFixture[str]) -> None:
    class Failing(StubClient):
        stderr_tail = ("panic: oh no",)

        async def __aenter__(self) -> "StubClient":
            raise HandshakeError("no handshake line")

    assert inspect("plugin", clients=Clients(Failing)) == 1
    assert capsys.readouterr().err.splitlines() == [
        "ferrule: HandshakeError: no handshake line",
        "last output of the plugin:",
        "  panic: oh no",
    ]


def test_settings_refused_by_the_client(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(command: list[str], config: dict[str, Any]) -> None:
        raise ConfigError(f"cwd {config['cwd']!r} is no directory")

    assert inspect("--cwd", "/nowhere", "plugin", clients=refuse) == 1
    assert capsys.readouterr().err == "ferrule: ConfigError: cwd '/nowhere' is no directory\n"


@contextlib.contextmanager
def closed_pipe() -> Iterator[int]:
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


@pytest.mark.parametrize("level", ["debug", "DEBUG", "Warn", "WARNING"])
def test_levels_in_any_case(level: str) -> None:
    for verb in (["inspect", "plugin"], ["schema", "provider"]):
        parsed = command_line(Clients()).parse_args([verb[0], "--log-level", level, *verb[1:]]).log_level
        assert parsed == ("debug" if "d" in level.lower() else "warning")


def test_json_of_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--json", "./no-such-plugin"]) == 1
    failure = json.loads(capsys.readouterr().out)["error"]
    assert failure.keys() == {"type", "message", "hint", "code"}
    assert (failure["type"], failure["code"]) == ("LaunchError", "launch.not-found")


@pytest.mark.parametrize(
    "verb", [["inspect", "--json"], ["call", "--json"], ["schema", "--json"]], ids=lambda verb: verb[0]
)
def test_json_of_a_plugin_that_ended(verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = tmp_path / "exits"
    plugin.write_text("#!/bin/sh\necho no licence >&2\nexit 3\n")
    plugin.chmod(0o755)
    assert main([*verb, str(plugin)]) == 1
    failure = json.loads(capsys.readouterr().out)["error"]
    assert failure["type"] == "PluginExitedError"
    assert (failure["code"], failure["exit_status"]) == ("handshake.exited", 3)
    assert failure["stderr_tail"] == ["no licence"]


def test_inspect_plugin_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--json", *KV_OPTIONS, "--", *plugin_command()]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["command"] == plugin_command()
    assert facts["protocol_version"] == 1
    assert facts["tls"]["key"] == "P-256"
    assert "localhost" in facts["tls"]["subject"]
    begin, end = (datetime.datetime.fromisoformat(facts["tls"][name]) for name in ("not_before", "not_after"))
    assert begin < datetime.datetime.now(datetime.UTC) < end
    assert {"launch", "handshake", "connect", "health", "start", "reflection", "stop"} <= facts["timings_ms"].keys()
    assert facts["bytes"]["sent"] > 0
    assert facts["bytes"]["received"] > 0
    assert facts["stop"] == {"rung": "shutdown", "exit_status": 0}
    services = {service["name"]: service["methods"] for service in facts["services"]}
    assert {
        "name": "Watch",
        "client_streaming": False,
        "server_streaming": True,
        "input_type": "kv.WatchRequest",
        "output_type": "kv.EchoResponse",
    } in services["kv.KV"]


def test_inspect_plugin_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", *KV_OPTIONS, "--no-tls", "--", *plugin_command("tcp")]) == 0
    text = capsys.readouterr().out
    assert "the connection is plaintext" in text
    assert "127.0.0.1:" in text
    assert "    Get(kv.GetRequest) -> kv.GetResponse\n" in text
    assert "    Chat(stream kv.EchoRequest) -> stream kv.EchoResponse\n" in text


def test_inspect_wrong_cookie(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--cookie", f"{COOKIE_KEY}=wrong", "--", *plugin_command()]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ferrule: ")
    assert "\n  This binary is a plugin." in captured.err


def test_closed_stdout() -> None:
    with closed_pipe() as stdout:
        process = inspect_process(*KV_OPTIONS, "--", *plugin_command(), stdout=stdout)
    _, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, errors) == (0, "")


def test_plugin_log() -> None:
    process = inspect_process(*KV_OPTIONS, "--log-level", "debug", "--", *plugin_command(), stdout=subprocess.PIPE)
    output, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0
    assert "DEBUG   ferrule.plugin." in errors
    assert "plugin address" in errors
    assert "plugin address" not in output
