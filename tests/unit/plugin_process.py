"""A `ferrule.testing` plugin as a process, and a plain gRPC client to it, for the tests of the plugin itself."""

import base64
import contextlib
import os
import select
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from ferrule import Certificate
from ferrule.testing import COOKIE_KEY, COOKIE_VALUE, KVStub, plugin_command

LIMIT_SECONDS = 20.0


@dataclass
class Plugin:
    """A started plugin, its handshake fields and a plaintext channel to it."""

    process: subprocess.Popen[bytes]
    stderr: Path
    fields: list[str]
    channel: Any
    kv: Any

    def call(self, method: str, request: bytes = b"", limit: float = LIMIT_SECONDS) -> bytes:
        """A unary call with raw messages."""
        answer: bytes = self.channel.unary_unary(method)(request, timeout=limit, wait_for_ready=True)
        return answer

    def ping(self, service: bytes = b"plugin") -> bytes:
        return self.call("/grpc.health.v1.Health/Check", b"\x0a" + bytes([len(service)]) + service)

    def shutdown(self, limit: float = LIMIT_SECONDS) -> bytes:
        return self.call("/plugin.GRPCController/Shutdown", limit=limit)

    def stdio(self) -> Any:
        return self.channel.unary_stream("/plugin.GRPCStdio/StreamStdio")(b"", timeout=LIMIT_SECONDS)


Launch = Callable[..., Plugin]


def read_line(process: subprocess.Popen[bytes], limit: float = LIMIT_SECONDS) -> bytes:
    """One line of stdout; empty at its end or when the limit passes first."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], limit)
    return process.stdout.readline() if ready else b""


def environment(**more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PLUGIN_")}
    return inherited | {COOKIE_KEY: COOKIE_VALUE} | more


def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A plugin that is to end by itself."""
    command = plugin_command(*words)
    env = environment(**more)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)


@contextlib.contextmanager
def launcher(make_directory: Callable[[str], Path]) -> Iterator[Launch]:
    """A function that starts plugins, each with a fresh socket directory; all of them end with the context."""
    started: list[Plugin] = []

    def start(*words: str, identity: Certificate | None = None, **more: str) -> Plugin:
        directory = make_directory("p")
        stderr = directory / "stderr"
        with stderr.open("wb") as log:
            process = subprocess.Popen(
                plugin_command(*words),
                env=environment(PLUGIN_UNIX_SOCKET_DIR=str(directory), **more),
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
            )
        fields = read_line(process).decode().rstrip("\n").split("|")
        channel = connect(fields, identity)
        started.append(Plugin(process, stderr, fields, channel, KVStub(channel)))
        return started[-1]

    try:
        yield start
    finally:
        for plugin in started:
            plugin.channel.close()
            plugin.process.kill()
            plugin.process.wait(LIMIT_SECONDS)
            assert plugin.process.stdout is not None
            plugin.process.stdout.close()


def connect(fields: list[str], identity: Certificate | None) -> Any:
    """A channel to the address of a handshake line, with mutual TLS if the host has an identity."""
    network, address = (*fields, "", "", "", "")[2:4]
    target = f"unix:{address}" if network == "unix" else address
    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.ssl_target_name_override", "localhost"),
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if identity is None:
        return grpc.insecure_channel(target, options)
    server = pem(certificate_field(fields))
    own = (identity.private_key_pem.encode(), identity.certificate_pem.encode())
    credentials = grpc.ssl_channel_credentials(server, *own)
    return grpc.secure_channel(target, credentials, options)


def certificate_field(fields: list[str]) -> bytes:
    return base64.b64decode(fields[5] + "=" * (-len(fields[5]) % 4), validate=True)


def pem(der: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
