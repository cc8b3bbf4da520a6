"""Plugins on ferrule.server under real hosts: our own client, go-plugin's, and a plain gRPC client by hand."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from ferrule import logs
from ferrule.channel import insecure_channel, secure_channel
from ferrule.reflection import ServerReflection
from ferrule.testing import COOKIE_KEY, KVStub
from ferrule.testing.kv_pb2 import EchoRequest, GetRequest, PutRequest, WatchRequest
from ferrule.tls import TLSConfig
from integration.certificates import issue, self_signed
from integration.kv import started
from integration.processes import ended, sleeps
from integration.server_process import Launch, deed, launcher, plugin
from integration.server_program import SERVICE, add_echo
from peers import ROOT, go_peer
from waiting import LIMIT, until

pytestmark = pytest.mark.timeout(60)

SHUTDOWN_SECONDS = 2.0
"""What a Go host gives its plugins."""


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    with launcher(tmp_path) as start:
        yield start


HOSTS = pytest.mark.parametrize(
    ("words", "settings"),
    [
        pytest.param((), {}, id="mtls"),
        pytest.param((), {"auto_mtls": False}, id="plaintext"),
        pytest.param(("tcp",), {}, id="tcp mtls"),
        pytest.param(("tcp",), {"auto_mtls": False}, id="tcp plaintext"),
        pytest.param((), {"certificate_curve": "P-521"}, id="P-521"),
        pytest.param((), {"channel": "grpcio"}, id="grpcio"),
    ],
)


@HOSTS
async def test_our_own_client(words: tuple[str, ...], settings: dict[str, Any]) -> None:
    async with started(plugin(*words), **settings) as (client, kv):
        await kv.Put(PutRequest(key="colour", value=b"green"))
        assert (await kv.Get(GetRequest(key="colour"))).value == b"green"
        assert [len(answer.payload) async for answer in kv.Watch(WatchRequest(count=3, size=4))] == [4] * 3
        assert len((await kv.Echo(EchoRequest(payload=b"x" * (5 << 20)))).payload) == 5 << 20
        assert client.transport == ("tcp" if "tcp" in words else "unix")
        assert (client.server_cert is None) is (settings.get("auto_mtls") is False)
    assert client.stop_report is not None
    assert (client.stop_report.rung, client.stop_report.exit_status) == ("shutdown", 0)


@pytest.mark.go
@pytest.mark.parametrize("flags", [["-mtls"], []], ids=["mtls", "plaintext"])
@pytest.mark.parametrize("words", [(), ("tcp",)], ids=["unix", "tcp"])
async def test_go_plugins_own_host(flags: list[str], words: tuple[str, ...]) -> None:
    program, *arguments = plugin(*words)
    command = [go_peer("host"), "-n", "2", "-warmup", "0", *flags, "-plugin", program, *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    stdout, stderr = await asyncio.wait_for(process.communicate(), LIMIT)
    assert (process.returncode, stderr) == (0, b"")
    cycles = [json.loads(line) for line in stdout.splitlines()]
    # Killed after 2 s otherwise.
    assert [cycle["stop_ms"] < SHUTDOWN_SECONDS * 1000 for cycle in cycles] == [True, True]


async def test_example() -> None:
    async with started([sys.executable, str(ROOT / "examples" / "kv_plugin.py")]) as (_, kv):
        await kv.Put(PutRequest(key="colour", value=b"green"))
        assert (await kv.Get(GetRequest(key="colour"))).value == b"green"


@pytest.mark.parametrize(
    ("offered", "spoken"), [((1,), 1), ((1, 2, 3), 3), ((3, 9), 3)], ids=["1", "3 of 1 to 3", "3 of 3 and 9"]
)
async def test_version_choice(offered: tuple[int, ...], spoken: int) -> None:
    async with started(plugin(), protocol_versions=offered) as (client, _):
        assert client.protocol_version == spoken


@pytest.mark.parametrize("environment", [{COOKIE_KEY: "wrong"}, {COOKIE_KEY: ""}], ids=["wrong", "empty"])
def test_without_its_cookie_it_explains_itself_and_exits_1(environment: dict[str, str], launch: Launch) -> None:
    process = launch(**environment)
    assert process.popen.wait(LIMIT) == 1
    assert process.stdout.read() == b""
    assert process.stderr.read_text().startswith("This binary is a plugin.")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"PLUGIN_CLIENT_CERT": "no certificate"}, "certificate"),
        ({"PLUGIN_UNIX_SOCKET_DIR": "/proc/nonexistent"}, "nonexistent"),
        ({"PLUGIN_UNIX_SOCKET_GROUP": "no-such-group"}, "no-such-group"),
        ({"PLUGIN_MIN_PORT": "2", "PLUGIN_MAX_PORT": "1"}, "PLUGIN_MIN_PORT"),
    ],
)
def test_a_start_that_fails_is_logged(environment: dict[str, str], reason: str, launch: Launch) -> None:
    process = launch(**environment)
    assert process.popen.wait(LIMIT) == 1
    # What was printed meanwhile has no host to go to, and must not look like a handshake.
    assert process.stdout.read() == b""
    (entry,) = [entry for entry in process.log() if entry["@level"] == "error"]
    assert entry["@message"] == "plugin init error"
    assert reason in entry["error"]


def test_handshake_line_is_first_and_alone(launch: Launch, temporary_directory: Path) -> None:
    process = launch(PLUGIN_PROTOCOL_VERSIONS="1")
    fields = process.fields()
    assert fields == ["1", "1", "unix", fields[3], "grpc", ""]
    assert Path(fields[3]).parent == temporary_directory
    process.popen.send_signal(signal.SIGTERM)
    assert process.popen.wait(LIMIT) == 0
    assert process.stdout.read() == b""


async def test_reflection_and_health() -> None:
    async with started(plugin()) as (client, _):
        channel: Any = client.grpc_channel
        reflection = ServerReflection(channel)
        assert await reflection.services() == [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "kv.KV",
            "plugin.GRPCBroker",
            "plugin.GRPCController",
            "plugin.GRPCStdio",
            SERVICE,
        ]
        assert (await reflection.message_type("kv.GetRequest")).DESCRIPTOR.full_name == "kv.GetRequest"
        assert (await reflection.message_type("plugin.ConnInfo")).DESCRIPTOR.full_name == "plugin.ConnInfo"
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        for name in (b"plugin", b""):
            assert await check(b"\x0a" + bytes([len(name)]) + name) == b"\x08\x01"
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await check(b"\x0a\x05kv.KV")
        assert failure.value.code() is grpc.StatusCode.NOT_FOUND
        assert "unknown service" in (failure.value.details() or "")
        # SERVING, and SERVICE_UNKNOWN; the calls stay open until the plugin ends.
        for name, status in ((b"plugin", b"\x08\x01"), (b"other", b"\x08\x03")):
            watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"\x0a" + bytes([len(name)]) + name)
            assert await watch.read() == status
    assert client.stop_report is not None
    assert client.stop_report.rung == "shutdown"


@contextlib.asynccontextmanager
async def connected(fields: list[str], tls: TLSConfig | None) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the address of a handshake line, over the plugin's own rules or against them."""
    target = f"unix:{fields[3]}" if fields[2] == "unix" else fields[3]
    channel = insecure_channel(target) if tls is None else secure_channel(target, tls)
    async with channel:
        yield channel


def certificate_of(fields: list[str]) -> bytes:
    der = base64.b64decode(fields[5] + "=" * (-len(fields[5]) % 4), validate=True)
    return b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"


STRANGERS = pytest.mark.parametrize("stranger", ["wrong certificate", "no certificate", "plaintext"])


@STRANGERS
@pytest.mark.parametrize("words", [(), ("tcp",)], ids=["unix", "tcp"])
async def test_automtls_admits_its_host_alone(stranger: str, words: tuple[str, ...], launch: Launch) -> None:
    host, other = self_signed(), self_signed()
    process = launch(*words, PLUGIN_CLIENT_CERT=host.certificate_pem.decode())
    fields = await asyncio.to_thread(process.fields)
    ca = certificate_of(fields)
    given = {
        "wrong certificate": TLSConfig(ca=ca, certificate=other.certificate_pem, key=other.key_pem),
        "no certificate": TLSConfig(ca=ca),
        "plaintext": None,
    }[stranger]
    async with connected(fields, given) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await KVStub(channel).Put(PutRequest(key="k"), timeout=LIMIT)
        assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    await process.logs("refused a connection", "warn")
    async with connected(fields, TLSConfig(ca=ca, certificate=host.certificate_pem, key=host.key_pem)) as channel:
        await KVStub(channel).Put(PutRequest(key="k"), timeout=LIMIT)


@pytest.fixture
def deployment(tmp_path: Path) -> dict[str, Any]:
    """A plugin with certificates of an authority: its command, and what its host needs."""
    authority = issue("the authority", authority=True, names=())
    server, host = issue("a plugin", by=authority), issue("a host", by=authority)
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    (tmp_path / "server.pem").write_bytes(server.certificate_pem)
    (tmp_path / "server.key").write_bytes(server.key_pem)
    tls = {"ca": authority.certificate_pem, "certificate": host.certificate_pem, "key": host.key_pem}
    return {"command": plugin(f"tls={tmp_path}"), "tls": tls}


async def test_own_certificates(deployment: dict[str, Any]) -> None:
    async with started(deployment["command"], tls=deployment["tls"]) as (_, kv):
        await kv.Put(PutRequest(key="k"))


async def test_own_certificates_refuse_those_of_others(deployment: dict[str, Any]) -> None:
    other = self_signed()
    tls = {**deployment["tls"], "certificate": other.certificate_pem, "key": other.key_pem}
    with pytest.raises(Exception, match=r"tls|certificate|alert"):
        async with started(deployment["command"], tls=tls):
            pass


@pytest.mark.parametrize("settings", [{}, {"auto_mtls": False}], ids=["mtls", "plaintext"])
@pytest.mark.parametrize("broker_multiplex", [False, True], ids=["sockets", "multiplex"])
async def test_broker_both_ways(settings: dict[str, Any], broker_multiplex: bool) -> None:
    async with started(plugin(), broker_multiplex=broker_multiplex, **settings) as (client, _):
        service_id = client.broker.next_id()
        async with await client.broker.accept_and_serve(service_id, lambda server: add_echo(server, "host")):
            assert await deed(client.grpc_channel, "call_back", str(service_id).encode()) == b"host: from the plugin"
        offered = int(await deed(client.grpc_channel, "offer"))
        async with await client.broker.dial(offered) as channel:
            answer = await channel.unary_unary("/plugin/Echo")(b"from the host", timeout=LIMIT)
            assert answer == b"plugin: from the host"


@pytest.mark.parametrize("broker_multiplex", [False, True], ids=["sockets", "multiplex"])
async def test_dials_that_were_given_up_hold_nobody_up(broker_multiplex: bool) -> None:
    async with started(plugin(), broker_multiplex=broker_multiplex) as (client, _):
        channel: Any = client.grpc_channel
        nobodys = range(900_000, 900_006)
        calls = [channel.unary_unary(f"/{SERVICE}/call_back")(str(number).encode(), timeout=0.2) for number in nobodys]
        dials = [asyncio.wait_for(client.broker.dial(number), 0.2) for number in nobodys]
        ends = await asyncio.gather(*calls, *dials, return_exceptions=True)
        assert all(isinstance(end, grpc.aio.AioRpcError | TimeoutError) for end in ends)
        begun = time.monotonic()
        service_id = client.broker.next_id()
        async with await client.broker.accept_and_serve(service_id, lambda server: add_echo(server, "host")):
            assert await deed(channel, "call_back", str(service_id).encode()) == b"host: from the plugin"
        async with await client.broker.dial(int(await deed(channel, "offer"))) as offered:
            assert await offered.unary_unary("/plugin/Echo")(b"", timeout=LIMIT) == b"plugin: "
        # One knock on each side was on its way, and is waited for, for five seconds at most.
        assert time.monotonic() - begun < 9


async def test_shutdown_with_everything_open() -> None:
    async with started(plugin()) as (client, _):
        service_id = client.broker.next_id()
        await client.broker.accept_and_serve(service_id, lambda server: add_echo(server, "host"))
        channel: Any = client.grpc_channel
        held = channel.unary_stream(f"/{SERVICE}/hold")(b"")
        assert await held.read() == b"held"
        # A servicer's thread that never ends must not keep the process.
        blocked = channel.unary_unary(f"/{SERVICE}/block")(b"")
        await deed(client.grpc_channel, "log", b"all is open")
        begun = time.monotonic()
        await client.shutdown_plugin()
        assert time.monotonic() - begun < SHUTDOWN_SECONDS
        with pytest.raises(grpc.aio.AioRpcError):
            await blocked
        with pytest.raises(grpc.aio.AioRpcError):
            await held.read()
    assert client.stop_report is not None
    assert (client.stop_report.rung, client.stop_report.exit_status) == ("shutdown", 0)


async def test_sigint_is_the_hosts_business(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logs.TRACE):
        async with started(plugin()) as (client, kv):
            await deed(client.grpc_channel, "interrupt")
            await kv.Put(PutRequest(key="k"))
            os.kill(client.pid or 0, signal.SIGINT)
            await kv.Put(PutRequest(key="k"))
    last: Any
    (*_, last) = [record for record in caplog.records if "plugin received interrupt signal" in record.getMessage()]
    assert (last.levelno, last.plugin_fields) == (logs.TRACE, {"count": 2})


async def test_sigterm_is_a_clean_end() -> None:
    async with started(plugin()) as (client, kv):
        await kv.Put(PutRequest(key="k"))
        os.kill(client.pid or 0, signal.SIGTERM)
        assert await asyncio.wait_for(client.wait_exited(), LIMIT) == 0
        assert client.address is not None
        assert not Path(client.address).exists()


@pytest.mark.parametrize("word", ["hang", "sleep"])
async def test_sigterm_ends_a_plugin_whose_registration_hangs(
    word: str, launch: Launch, temporary_directory: Path
) -> None:
    process = launch(word)
    await process.logs("hangs", "info")
    # A signal just before a thread waits for a lock, in C, is not noticed: no Python runs until the lock is free.
    await until(lambda: sleeps(process.popen.pid))
    process.popen.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.popen.wait, SHUTDOWN_SECONDS) == 0
    assert list(temporary_directory.iterdir()) == []


async def test_sigterm_ends_a_plugin_whose_loop_is_occupied(launch: Launch, temporary_directory: Path) -> None:
    process = launch("pool")
    fields = await asyncio.to_thread(process.fields)
    children = Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children")
    workers = [int(pid) for pid in children.read_text().split()]
    assert len(workers) == 2
    async with connected(fields, None) as channel:
        occupied = asyncio.ensure_future(deed(channel, "occupy"))
        # Not all that a plugin with such a pool writes there is JSON.
        await until(lambda: "occupied" in process.stderr.read_text())
        for _ in range(2):
            process.popen.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.popen.wait, SHUTDOWN_SECONDS) == 0
        with pytest.raises(grpc.aio.AioRpcError):
            await occupied
    assert list(temporary_directory.iterdir()) == []
    for worker in workers:
        await ended(worker)


async def test_records_reach_the_hosts_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logs.TRACE):
        async with started(plugin()) as (client, _):
            await deed(client.grpc_channel, "log", b"disk is nearly full")
    record: Any
    (record,) = [record for record in caplog.records if record.getMessage() == "disk is nearly full"]
    assert (record.levelno, record.plugin_module) == (logging.WARNING, "deeds")
    assert record.plugin_fields == {"asked": True}
    address: Any
    (address,) = [record for record in caplog.records if record.getMessage() == "plugin address"]
    assert address.plugin_fields == {"network": "unix", "address": client.address}
