"""Attaching to plugins that run already: who gets in, who may end them, and how their end is noticed."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from ferrule.client import RPCPluginClient
from ferrule.errors import ConfigError, ConnectTimeoutError, RPCPluginError, SecurityError, TransportError
from ferrule.reattach import ReattachConfig, ReattachTLS
from ferrule.testing.kv_pb2 import GetRequest, PutRequest
from integration.certificates import self_signed
from integration.kv import both_plugins, kv_stub, started
from integration.processes import is_running
from integration.test_tls import Authority
from peers import Command, go_kv, kv_config, python_kv
from waiting import LIMIT

pytestmark = pytest.mark.timeout(60)


def attached(config: ReattachConfig, **settings: Any) -> RPCPluginClient:
    """A client for a KV plugin that runs, not started."""
    return RPCPluginClient(config=kv_config(**settings), reattach=config)


@contextlib.asynccontextmanager
async def running_elsewhere(*mode_words: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, ReattachConfig]]:
    """The Go plugin under somebody else, in go-plugin's test mode, and what it prints."""
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*go_kv("test", *mode_words), stdout=pipe, stderr=nowhere)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LIMIT):
            line = (await process.stdout.readline()).decode()
        config = ReattachConfig.from_json(line)
        yield process, config
        # Left behind by SIGKILL.
        Path(config.address).unlink(missing_ok=True)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        async with asyncio.timeout(LIMIT):
            await process.communicate()


async def put(client: RPCPluginClient, value: bytes) -> None:
    await kv_stub(client).Put(PutRequest(key="k", value=value))


async def get(client: RPCPluginClient) -> bytes:
    return bytes((await kv_stub(client).Get(GetRequest(key="k"))).value)


@pytest.mark.go
async def test_hosts_come_and_go_in_running_elsewhere(temporary_directory: Path) -> None:
    async with running_elsewhere() as (process, config):
        assert (config.test, config.pid, config.protocol_version) == (True, process.pid, 1)
        async with attached(config) as first:
            await put(first, b"first")
            assert (first.pid, first.address, first.transport) == (process.pid, config.address, "unix")
            assert (first.protocol_version, first.server_cert, first.client_cert) == (1, None, None)
            assert "reattached to" in repr(first)
        assert first.stop_report is not None
        assert (first.stop_report.rung, first.exit_status) == ("detached", None)
        second = attached(config)
        for _ in range(2):
            async with second, attached(config) as third:
                assert await get(second) == await get(third) == b"first"
        assert process.returncode is None


@pytest.mark.go
async def test_provider_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_elsewhere() as (_, config):
        printed = {"registry.terraform.io/hashicorp/time": json.loads(config.to_json())}
        monkeypatch.setenv("TF_REATTACH_PROVIDERS", json.dumps(printed))
        async with attached(ReattachConfig.from_environment("hashicorp/time")) as client:
            await put(client, b"x")


@pytest.mark.go
@pytest.mark.parametrize("kind", ["SIGKILL", "SIGTERM"])
async def test_end_of_the_plugin_is_noticed_at_once(kind: str) -> None:
    async with running_elsewhere() as (process, config), attached(config) as client:
        waiting = asyncio.create_task(client.wait_exited())
        await put(client, b"x")
        assert not waiting.done()
        process.send_signal(signal.Signals[kind])
        # Whoever is not its parent cannot know its status.
        assert await asyncio.wait_for(waiting, 1) is None
        assert await client.wait_exited() is None
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await put(client, b"y")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        await process.wait()
    with pytest.raises(TransportError, match=f"no process {process.pid}") as gone:
        await client.start()
    assert gone.value.code == "reattach.gone"


@pytest.mark.go
async def test_channel_and_bridge_of_a_running_plugin() -> None:
    async with running_elsewhere() as (_, config):
        async with attached(config, channel="grpcio") as client:
            await put(client, b"x")
            kv = kv_stub(client)
            assert type(client.grpc_channel).__module__.startswith("grpc.")
            assert await asyncio.to_thread(lambda: client.sync_channel.unary_unary("/kv.KV/Absent") is not None)
            assert (await kv.Get(GetRequest(key="k"))).value == b"x"


@both_plugins
@pytest.mark.parametrize("network", ["unix", "tcp"])
@pytest.mark.parametrize("auto_mtls", [True, False], ids=["mtls", "plain"])
async def test_second_host_of_a_launched_plugin(plugin: Command, network: str, auto_mtls: bool) -> None:
    words = ["tcp"] if network == "tcp" else []
    async with started(plugin(*words), auto_mtls=auto_mtls) as (first, _):
        config = first.reattach_config(include_secrets=True)
        assert (config.pid, config.network, config.address) == (first.pid, network, first.address)
        assert (config.tls is not None, config.protocol_version, config.owned) == (auto_mtls, 1, False)
        await put(first, b"first")
        async with attached(ReattachConfig.from_json(config.to_json(include_secrets=True))) as second:
            assert await get(second) == b"first"
            assert (second.client_cert, second.server_cert) == (first.client_cert, first.server_cert)
            assert (second.traffic.content_sent < second.traffic.wire_sent) == auto_mtls
            assert second.reattach_config(include_secrets=True) == config
            assert second.reattach_config() == first.reattach_config() == config.without_secrets()
        assert await get(first) == b"first"
    assert first.stop_report is not None
    assert first.stop_report.rung == "shutdown"


@both_plugins
async def test_without_the_certificates_nobody_gets_in(plugin: Command) -> None:
    async with started(plugin()) as (first, kv):
        with pytest.raises(RPCPluginError) as caught:
            await attached(first.reattach_config(), connect_timeout=1).start()
        assert caught.value.code in {"connect.http2", "connect.timeout", "connect.health"}
        config = first.reattach_config(include_secrets=True)
        assert config.tls is not None
        stranger = self_signed()
        own, key = stranger.certificate_pem.decode(), stranger.key_pem.decode()
        wrong = [
            # grpcio closes the connection without a word.
            (RPCPluginError, dataclasses.replace(config.tls, certificate=own, private_key=key)),
            (SecurityError, dataclasses.replace(config.tls, server_certificate=own)),
            (SecurityError, dataclasses.replace(config.tls, private_key=key)),
            (SecurityError, dataclasses.replace(config.tls, server_certificate="no PEM")),
            (SecurityError, dataclasses.replace(config.tls, certificate="no PEM")),
        ]
        for error, tls in wrong:
            with pytest.raises(error):
                await attached(dataclasses.replace(config, tls=tls), connect_timeout=2).start()
        await kv.Put(PutRequest(key="k"))


@pytest.mark.go
async def test_plugin_with_certificates_of_its_own(tmp_path: Path) -> None:
    authority = Authority.make("the authority")
    certificate, key = authority.issue("a plugin", "localhost")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "server.pem").write_bytes(certificate)
    (tmp_path / "server.key").write_bytes(key)
    own, own_key = authority.issue("a host")
    tls = {"ca": authority.pem, "certificate": own, "key": own_key}
    async with running_elsewhere(f"user-tls={tmp_path}") as (_, config):
        async with attached(config, tls=tls) as client:
            await put(client, b"x")
            assert client.traffic.content_sent < client.traffic.wire_sent
            assert client.reattach_config(include_secrets=True).tls is None
        with pytest.raises(RPCPluginError):
            await attached(config, connect_timeout=1).start()
    pair = ReattachTLS(certificate=own.decode(), private_key=own_key.decode(), server_certificate=own.decode())
    with pytest.raises(ConfigError, match=r"settings tls and reattach\.tls are both given"):
        RPCPluginClient(config=kv_config(tls=tls), reattach=dataclasses.replace(config, tls=pair))


@both_plugins
async def test_host_that_owns_the_plugin_ends_it(plugin: Command) -> None:
    async with started(plugin()) as (first, _):
        config = dataclasses.replace(first.reattach_config(include_secrets=True), owned=True)
        async with attached(config) as second:
            await put(second, b"x")
        assert second.stop_report is not None
        assert (second.stop_report.rung, second.stop_report.exit_status) == ("shutdown", None)
        assert await asyncio.wait_for(first.wait_exited(), 1) == 0


@pytest.mark.parametrize(
    ("words", "rung"), [(["ignore-shutdown"], "sigterm"), (["ignore-shutdown", "ignore-sigterm"], "sigkill")]
)
async def test_host_that_owns_the_plugin_goes_up_the_ladder(words: list[str], rung: str) -> None:
    async with started(python_kv(*words)) as (first, _):
        config = dataclasses.replace(first.reattach_config(include_secrets=True), owned=True)
        async with attached(config, shutdown_timeout=0.3, kill_timeout=0.3) as second:
            pass
        assert second.stop_report is not None
        assert second.stop_report.rung == rung
        assert await asyncio.wait_for(first.wait_exited(), 1) == {"sigterm": -15, "sigkill": -9}[rung]


@both_plugins
async def test_closing_without_owning_leaves_the_plugin_alone(plugin: Command) -> None:
    async with started(plugin()) as (first, kv):
        config = first.reattach_config(include_secrets=True)
        second = attached(config, managed=True)
        await second.start()
        await second.close()
        await second.start()
        with pytest.warns(ResourceWarning, match="was never closed"):  # noqa: PT031 - both may warn.
            third = attached(config)
            await third.start()
            del third
            gc.collect()
        await second.shutdown_plugin()
        await second.close()
        assert first.pid is not None
        assert is_running(first.pid)
        await kv.Put(PutRequest(key="k"))


async def test_owned_plugin_ends_with_a_close_alone() -> None:
    async with started(python_kv()) as (first, _):
        second = attached(dataclasses.replace(first.reattach_config(include_secrets=True), owned=True))
        await second.start()
        await second.close()
        assert await asyncio.wait_for(first.wait_exited(), 1) == -9


async def test_process_that_is_not_there() -> None:
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    config = ReattachConfig(network="unix", address="/nowhere", pid=process.pid)
    for _ in range(2):
        with pytest.raises(TransportError) as caught:
            await attached(config).start()
        assert caught.value.code == "reattach.gone"


async def test_address_at_which_nobody_answers(temporary_directory: Path) -> None:
    config = ReattachConfig(network="unix", address=str(temporary_directory / "absent"))
    for pid in (None, os.getpid()):
        with pytest.raises(ConnectTimeoutError, match="absent"):
            await attached(dataclasses.replace(config, pid=pid), connect_timeout=0.3).start()


@pytest.mark.parametrize("how", ["absent socket", "wrong certificate", "closed meanwhile"])
async def test_failed_reattach_kills_nobody(how: str, temporary_directory: Path) -> None:
    # As if the plugin had ended and its number been given to somebody else.
    innocent = await asyncio.create_subprocess_exec("sleep", "100")
    async with started(python_kv()) as (first, _), contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(innocent.wait)
        stack.callback(innocent.kill)
        config = first.reattach_config(include_secrets=True)
        assert config.tls is not None
        tls, config = config.tls, dataclasses.replace(config, pid=innocent.pid, owned=True)
        if how == "absent socket":
            config = dataclasses.replace(config, address=str(temporary_directory / "absent"))
        elif how == "wrong certificate":
            other = self_signed().certificate_pem.decode()
            config = dataclasses.replace(config, tls=dataclasses.replace(tls, server_certificate=other))
        else:
            silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            host, port = silent.getsockname()
            config = dataclasses.replace(config, network="tcp", address=f"{host}:{port}")
        client = attached(config, connect_timeout=LIMIT if how == "closed meanwhile" else 0.3)
        starting = asyncio.create_task(client.start())
        if how == "closed meanwhile":
            connection, _ = await asyncio.to_thread(silent.accept)
            stack.enter_context(connection)
            await client.close()
        with pytest.raises(RPCPluginError):
            await starting
        await client.close()
        assert is_running(innocent.pid)


async def test_plugin_whose_process_is_unknown() -> None:
    async with started(python_kv()) as (first, _):
        config = dataclasses.replace(first.reattach_config(include_secrets=True), pid=None)
        client = attached(config)
        await client.start()
        assert client.pid is None
        await put(client, b"x")
        await client.shutdown_plugin()
        await client.close()
        assert first.pid is not None
        assert is_running(first.pid)


@pytest.mark.go
async def test_multiplexed_plugin_cannot_be_reattached() -> None:
    async with started(go_kv(), broker_multiplex=True) as (client, _):
        with pytest.raises(ConfigError, match="broker_multiplex is True"):
            client.reattach_config()


OTHER_USER = """
import asyncio, os, sys, tempfile
from ferrule.client import RPCPluginClient
from ferrule.reattach import ReattachConfig
from ferrule.testing import KV_CONFIG, KVStub
from ferrule.testing.kv_pb2 import PutRequest

os.setgid(65534)
os.setuid(65534)

async def main():
    config = ReattachConfig.from_json(sys.stdin.read())
    try:
        os.kill(config.pid, 0)
    except PermissionError:
        print("may not be signalled", flush=True)
    client = RPCPluginClient(config=KV_CONFIG, reattach=config)
    async with client:
        await KVStub(client.grpc_channel).Put(PutRequest(key="k"))
        print("reached", flush=True)
        await client.wait_exited()
        print("ended", flush=True)

asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
async def test_process_of_another_user_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/tmp")
    pipe = asyncio.subprocess.PIPE
    async with started(python_kv("tcp")) as (client, _):
        config = client.reattach_config(include_secrets=True).to_json(include_secrets=True)
        other = await asyncio.create_subprocess_exec(sys.executable, "-c", OTHER_USER, stdin=pipe, stdout=pipe)
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(config.encode())
        other.stdin.close()
        async with asyncio.timeout(LIMIT):
            assert await other.stdout.readline() == b"may not be signalled\n"
            assert await other.stdout.readline() == b"reached\n"
        assert client.pid is not None
        assert is_running(client.pid)
        await client.shutdown_plugin()
        async with asyncio.timeout(LIMIT):
            assert await other.stdout.readline() == b"ended\n"
            assert await other.wait() == 0
