"""Every way in which a start fails: which error, what it says, and that nothing is left."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from conftest import children
from ferrule import _core
from ferrule.errors import (
    ConnectTimeoutError,
    HandshakeError,
    LaunchError,
    PluginExitedError,
    ProtocolError,
    RPCPluginError,
    SecurityError,
    StartTimeoutError,
)
from ferrule.testing.kv_pb2 import PutRequest
from integration.failing_starts import SOON, Row, check_copies, go, line, link, python, script, with_missing_loader
from integration.kv import kv_client, kv_stub
from peers import go_kv, go_peer, python_kv

pytestmark = pytest.mark.timeout(60)

NOT_LAUNCHED = {
    "missing file": Row(
        lambda tmp: [str(tmp / "absent")], LaunchError, "launch.not-found", ("{tmp}/absent", "does not exist")
    ),
    "missing file by a relative path": Row(
        lambda _: ["./absent"], LaunchError, "launch.not-found", ("absent", "does not exist")
    ),
    "missing in PATH": Row(
        lambda _: ["absent"],
        LaunchError,
        "launch.not-found",
        ("absent", "PATH (/nowhere)"),
        {"env": {"PATH": "/nowhere"}},
    ),
    "directory": Row(lambda tmp: [str(tmp)], LaunchError, "launch.refused", ("{tmp}", "it is a directory")),
    "directory by a name that ends with a slash": Row(
        lambda _: ["./"], LaunchError, "launch.refused", ("it is a directory",), hint="Name the program in it"
    ),
    "path with a tilde": Row(
        lambda _: ["~/absent"], LaunchError, "launch.not-found", ("~/absent", "does not exist"), hint="expanduser"
    ),
    "command line as one element": Row(
        lambda _: ["absent -debug"],
        LaunchError,
        "launch.not-found",
        ("the plugin absent -debug was not found",),
        hint="an element of its own",
    ),
    "not executable": Row(
        script("#!/bin/sh\n", 0o644), LaunchError, "launch.refused", ("{tmp}/plugin", "mode 0644", "chmod +x")
    ),
    "empty file": Row(script(""), LaunchError, "launch.refused", ("{tmp}/plugin", "the file is empty")),
    "text without an interpreter": Row(
        script("exit 0\n"), LaunchError, "launch.refused", ("{tmp}/plugin", "no known executable format", "#!")
    ),
    "missing interpreter": Row(
        script("#!/nowhere/sh -e\n"),
        LaunchError,
        "launch.refused",
        ("{tmp}/plugin", "its interpreter /nowhere/sh does not exist", "a script for /nowhere/sh -e"),
    ),
    "line ends of Windows": Row(
        script("#!/bin/sh\r\nexit 0\r\n"),
        LaunchError,
        "launch.refused",
        ("{tmp}/plugin", r"its interpreter /bin/sh\r does not exist", "line ends of Windows"),
    ),
    "line ends of Windows behind env": Row(
        script("#!/usr/bin/env python3\r\nexit 0\r\n"),
        PluginExitedError,
        "handshake.exited",
        ("{tmp}/plugin", "before its handshake"),
        exit_status=127,
        tail="No such file",
        hint="line ends of Windows",
    ),
    "byte order mark": Row(
        script("\ufeff#!/bin/sh\nexit 0\n"), LaunchError, "launch.refused", ("{tmp}/plugin", "a byte order mark")
    ),
    "interpreter that is not executable": Row(
        script("#!/etc/passwd\n"), LaunchError, "launch.refused", ("interpreter /etc/passwd is not executable",)
    ),
    "missing loader": Row(
        lambda tmp: [str(with_missing_loader(tmp))],
        LaunchError,
        "launch.refused",
        ("{tmp}/elf", "its loader /lib", "? does not exist"),
    ),
    "missing loader of the interpreter": Row(
        lambda tmp: script(f"#!{with_missing_loader(tmp)}\n")(tmp),
        LaunchError,
        "launch.refused",
        ("{tmp}/plugin", "of its interpreter {tmp}/elf, the loader /lib", "? does not exist"),
    ),
    "dangling link": Row(
        lambda tmp: link(tmp / "plugin", "gone"),
        LaunchError,
        "launch.not-found",
        ("{tmp}/plugin", "does not exist", "a symbolic link to {tmp}/gone"),
    ),
    "links in a circle": Row(
        lambda tmp: link(tmp / "plugin", "plugin"),
        LaunchError,
        "launch.refused",
        ("cannot be reached", "Too many levels"),
    ),
    "a file in place of a directory": Row(
        lambda _: ["/etc/passwd/plugin"], LaunchError, "launch.refused", ("/etc/passwd/plugin", "Not a directory")
    ),
    "one large variable": Row(
        go(),
        LaunchError,
        "launch.refused",
        ("the largest is the variable LARGE with 200007 bytes", "131072 for each", "Argument list too long"),
        {"env": {"LARGE": "x" * 200_000}},
    ),
    "large arguments": Row(
        lambda _: [*go_kv(), *["x" * 100_000] * 70],
        LaunchError,
        "launch.refused",
        ("arguments take 70", "bytes in all", "Argument list too long"),
    ),
    "wrong architecture": Row(
        lambda _: [go_peer("wrong-arch")],
        LaunchError,
        "launch.refused",
        ("wrong-arch", "built for", f"this machine is {os.uname().machine}"),
    ),
    "missing working directory": Row(
        go(), LaunchError, "launch.failed", ("/nowhere/at/all", "cwd"), {"cwd": "/nowhere/at/all"}
    ),
    "missing working directory of a relative path": Row(
        lambda _: ["./kv"],
        LaunchError,
        "launch.failed",
        ("the working directory /nowhere/at/all (setting cwd) cannot be entered: No such file",),
        {"cwd": "/nowhere/at/all"},
        hint="the setting cwd",
    ),
}

ENDED = {
    "wrong cookie, Go": Row(
        go(),
        PluginExitedError,
        "handshake.exited",
        ("exit status 1", "before its handshake"),
        {"magic_cookie_value": "wrong"},
        exit_status=1,
        tail="This binary is a plugin",
        hint="ferrule.families",
    ),
    "wrong cookie, Python": Row(
        python(),
        PluginExitedError,
        "handshake.exited",
        ("exit status 1",),
        {"magic_cookie_value": "wrong"},
        exit_status=1,
        tail="This binary is a plugin",
        hint="ferrule.families",
    ),
    "exits at once": Row(
        go("exit=3"),
        PluginExitedError,
        "handshake.exited",
        ("exit status 3",),
        exit_status=3,
        tail="ending with status 3 before the handshake",
    ),
    "exits silently": Row(
        go("exit-zero-silent"),
        PluginExitedError,
        "handshake.exited",
        ("exit status 0", "printed nothing"),
        exit_status=0,
    ),
    "is killed": Row(
        script("#!/bin/sh\necho hello >&2\nkill -9 $$\n"),
        PluginExitedError,
        "handshake.exited",
        ("signal 9 (SIGKILL)",),
        exit_status=-9,
        tail="hello",
    ),
    "a refusal in other words than go-plugin's": Row(
        script("#!/bin/sh\necho 'This program is a plugin of Acme.' >&2\nexit 1\n"),
        PluginExitedError,
        "handshake.exited",
        ("exit status 1",),
        exit_status=1,
        tail="of Acme",
        hint="a wrong magic cookie",
    ),
    "a fault of the program": Row(
        lambda _: [sys.executable, "-c", "import no_such_plugin"],
        PluginExitedError,
        "handshake.exited",
        ("exit status 1",),
        exit_status=1,
        tail="No module named",
        hint="Read the plugin's last output.",
    ),
    "an unfinished line, then the end": Row(
        go("noise-start=no-newline-exit"),
        PluginExitedError,
        "handshake.exited",
        ("a line without an end",),
        exit_status=0,
    ),
    "is killed within its handshake line": Row(
        script("#!/bin/sh\nprintf '1|1|unix|/tmp/plug'\nkill -9 $$\n"),
        PluginExitedError,
        "handshake.exited",
        ("signal 9 (SIGKILL)", "within its handshake line", '"1|1|unix|/tmp/plug"'),
        exit_status=-9,
    ),
    "is killed within a line that could be whole": Row(
        script("#!/bin/sh\nprintf '1|1|unix|/tmp/plugin|grpc|'\nkill -9 $$\n"),
        PluginExitedError,
        "handshake.exited",
        ("signal 9 (SIGKILL)", "within its handshake line"),
        exit_status=-9,
    ),
    "a log line with bars, then the end": Row(
        script("#!/bin/sh\necho '1700000000|INFO|main|ready'\nexit 3\n"),
        PluginExitedError,
        "handshake.exited",
        ("exit status 3", 'began with "1700000000|INFO|main|ready"'),
        exit_status=3,
    ),
    "ends after its handshake": Row(
        script("#!/bin/sh\necho '1|1|unix|/nowhere|grpc|'\nsleep 0.1\necho sorry >&2\nexit 5\n"),
        PluginExitedError,
        "connect.exited",
        ("exit status 5", "after its handshake"),
        {"auto_mtls": False},
        exit_status=5,
        tail="sorry",
    ),
    "closes its standard output": Row(
        script("#!/bin/sh\nexec >&-\nexec sleep 600\n"),
        HandshakeError,
        "handshake.missing",
        ("closed its standard output",),
    ),
}

NO_HANDSHAKE = {
    "hang": Row(go("hang"), StartTimeoutError, "handshake.timeout", ("0.3 s", "printed nothing"), SOON),
    "a prompt on standard error": Row(
        script("#!/bin/sh\nprintf 'Passphrase of the key: ' >&2\nexec sleep 600\n"),
        StartTimeoutError,
        "handshake.timeout",
        ("0.3 s", "printed nothing"),
        SOON,
        tail="Passphrase of the key:",
    ),
    "a prompt after a banner": Row(
        script("#!/bin/sh\necho welcome\nprintf 'Password: '\nexec sleep 600\n"),
        StartTimeoutError,
        "handshake.timeout",
        ('began with "welcome"', '"Password: ", without a line break'),
        SOON,
    ),
    "garbage": Row(go("noise-start=garbage"), StartTimeoutError, "handshake.timeout", ("began with", r"\u{1b}"), SOON),
    "not UTF-8": Row(go("noise-start=latin1"), StartTimeoutError, "handshake.timeout", ("marrage du greffon",), SOON),
    "a line of 10 MB": Row(go("noise-start=long"), HandshakeError, "handshake.too-long", ("65536", "xxxxxxxx")),
    "NUL bytes": Row(go("noise-start=nul"), HandshakeError, "handshake.address", (r"/tmp/\0plugin\0", "NUL")),
    "more banner than the bound": Row(
        go("banner=65"), HandshakeError, "handshake.too-noisy", ("65 lines", "a stray line before the handshake")
    ),
    "a flood of lines": Row(
        script("#!/bin/sh\nexec yes\n"), HandshakeError, "handshake.too-noisy", ("65 lines", '"y"')
    ),
    "three fields": Row(line("1|1|unix"), HandshakeError, "handshake.fields", ("3 field(s)", '"1|1|unix"')),
}

UNUSABLE = {
    "wrong versions": Row(
        go("versions=3,7"),
        HandshakeError,
        "handshake.app-version",
        ("protocol 3", "[5, 6]"),
        {"protocol_versions": (5, 6)},
        tail="plugin address",
    ),
    "app version no number": Row(line("1|z|unix|/x|grpc|"), HandshakeError, "handshake.app-version-invalid", ('"z"',)),
    "core version": Row(line("2|1|unix|/x|grpc|"), HandshakeError, "handshake.core-version", ("core protocol 2",)),
    "core version no number": Row(
        line("x|1|unix|/x|grpc|"), HandshakeError, "handshake.core-version-invalid", ('"x"',)
    ),
    "unknown network": Row(line("1|1|udp|/x|grpc|"), HandshakeError, "handshake.network", ('"udp"', "unix", "tcp")),
    "tcp address": Row(line("1|1|tcp|nohost|grpc|"), HandshakeError, "handshake.address", ('"nohost"', "HOST:PORT")),
    "no address": Row(line("1|1|unix||grpc|"), HandshakeError, "handshake.address", ('""', "empty")),
    "tcp is excluded": Row(
        go("tcp"), HandshakeError, "handshake.network", ('"tcp"', "transports"), {"transports": ("unix",)}
    ),
    "unix is excluded": Row(
        go(), HandshakeError, "handshake.network", ('"unix"', "transports"), {"transports": ("tcp",)}
    ),
    "net/rpc": Row(go("netrpc"), ProtocolError, "handshake.protocol", ("net/rpc", "only gRPC")),
    "net/rpc by an absent field": Row(line("1|1|unix|/x"), ProtocolError, "handshake.protocol", ("net/rpc",)),
    "net/rpc of another version": Row(
        line("1|4|unix|/x|netrpc|"), ProtocolError, "handshake.protocol", ("net/rpc", "only gRPC")
    ),
    "net/rpc of another version, by an absent field": Row(
        line("1|4|unix|/x"), ProtocolError, "handshake.protocol", ("net/rpc", "only gRPC")
    ),
    "Packer": Row(line("5|0|unix|/x"), ProtocolError, "handshake.protocol", ("Packer's own protocol, version 5.0",)),
    "empty protocol": Row(line("1|1|unix|/x||"), ProtocolError, "handshake.protocol", ('""', '"grpc"')),
}

INSECURE = {
    "no certificate, Go": Row(go("no-cert"), SecurityError, "handshake.certificate-missing", ("no certificate",)),
    "no certificate, Python": Row(
        python("no-cert"), SecurityError, "handshake.certificate-missing", ("no certificate",)
    ),
    "certificate not base64": Row(
        line(f"1|1|unix|/x|grpc|{'!' * 60}"), SecurityError, "handshake.certificate", ("!!!!!!!!",)
    ),
    "certificate not DER": Row(
        line(f"1|1|unix|/x|grpc|{'QUJD' * 20}"), SecurityError, "handshake.certificate", ("QUJDQUJD",)
    ),
    "another certificate": Row(
        go("different-cert"), SecurityError, "tls.certificate-mismatch", ("another certificate", "unix:")
    ),
    "expired certificate": Row(go("expired-cert"), SecurityError, "tls.certificate-expired", ("expired", "unix:")),
}

UNREACHABLE = {
    "nobody listens on the socket": Row(
        line("1|1|unix|/nowhere/socket|grpc|"),
        ConnectTimeoutError,
        "connect.timeout",
        ("unix:/nowhere/socket", "0.3 s", "No such file"),
        {"connect_timeout": 0.3, "auto_mtls": False},
    ),
    "nobody listens on the port": Row(
        line("1|1|tcp|127.0.0.1:1|grpc|"),
        ConnectTimeoutError,
        "connect.timeout",
        ("127.0.0.1:1", "0.3 s", "refused"),
        {"connect_timeout": 0.3, "auto_mtls": False},
    ),
    "socket path too long": Row(
        line(f"1|1|unix|/{'x' * 200}|grpc|"),
        HandshakeError,
        "handshake.address",
        ("longer than the path of a socket can be",),
        {"auto_mtls": False},
    ),
}

TABLE = NOT_LAUNCHED | ENDED | NO_HANDSHAKE | UNUSABLE | INSECURE | UNREACHABLE


def check_evidence(error: RPCPluginError, row: Row, tmp: Path) -> None:
    assert (type(error), error.code) == (row.error, row.code), error
    if row not in NOT_LAUNCHED.values():
        assert f"the plugin {row.command(tmp)[0]}" in error.message
    for piece in row.says:
        assert piece.replace("{tmp}", str(tmp)) in error.message
    assert error.hint
    assert row.hint in error.hint
    assert error.hint in str(error)
    assert error.exit_status == row.exit_status
    if row.tail:
        assert any(row.tail in text for text in error.stderr_tail)
        assert row.tail in str(error)


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE.keys())
async def test_failing_start(row: Row, tmp_path: Path, temporary_directory: Path) -> None:
    before = children()
    client = kv_client(row.command(tmp_path), **row.settings)
    # Twice: a failed start has cleaned up after itself and may be called again.
    for _ in range(2):
        with pytest.raises(RPCPluginError) as caught:
            await client.start()
        check_evidence(caught.value, row, tmp_path)
        check_copies(caught.value)
        assert not client.is_started
        assert client.grpc_channel is None
        # Without close(): a failed start needs none.
        assert (children(), _core.live_plugins()) == (before, 0)
        assert list(temporary_directory.iterdir()) == []
    async with kv_client(python_kv()) as other:
        await kv_stub(other).Put(PutRequest(key="k"))
