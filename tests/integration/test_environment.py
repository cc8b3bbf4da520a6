"""What the plugin's process is given: variables, working directory, search path, and nothing of the host's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ferrule.client import RPCPluginClient
from ferrule.errors import LaunchError, PluginExitedError
from ferrule.testing import COOKIE_KEY, COOKIE_VALUE
from ferrule.testing.kv_pb2 import PutRequest
from integration.kv import both_plugins, kv_client, started
from integration.processes import environment_of
from peers import Command, go_kv

pytestmark = pytest.mark.timeout(60)

PROTOCOL_NAMES = {
    "PLUGIN_MIN_PORT",
    "PLUGIN_MAX_PORT",
    "PLUGIN_PROTOCOL_VERSIONS",
    "PLUGIN_CLIENT_CERT",
    "PLUGIN_UNIX_SOCKET_DIR",
}


def variables(client: RPCPluginClient) -> dict[str, str]:
    assert client.pid is not None
    return environment_of(client.pid)


@both_plugins
async def test_what_the_protocol_asks_for(plugin: Command) -> None:
    settings = {"min_port": 20001, "max_port": 20099, "protocol_versions": (7, 1)}
    async with started(plugin(), **settings) as (client, _):
        given = variables(client)
        assert given[COOKIE_KEY] == COOKIE_VALUE
        assert (given["PLUGIN_MIN_PORT"], given["PLUGIN_MAX_PORT"]) == ("20001", "20099")
        assert sorted(given["PLUGIN_PROTOCOL_VERSIONS"].split(",")) == ["1", "7"]
        assert given["PLUGIN_CLIENT_CERT"] == client.client_cert
        assert given["PLUGIN_UNIX_SOCKET_DIR"] == str(Path(client.address or "").parent)
        assert {name for name in given if name.startswith("PLUGIN_")} == PROTOCOL_NAMES
        key = client.client_key_pem
        assert key
        assert not any(line in value for value in given.values() for line in key.splitlines()[1:-1])


@pytest.mark.go
async def test_callers_variables_win_over_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FT_SHARED", "host")
    monkeypatch.setenv("FT_HOST", "kept")
    async with started(go_kv(), env={"FT_SHARED": "caller", "FT_CALLER": "grün", "FT_EMPTY": ""}) as (client, _):
        given = variables(client)
        names = ("FT_SHARED", "FT_HOST", "FT_CALLER", "FT_EMPTY")
        assert [given[name] for name in names] == ["caller", "kept", "grün", ""]
        assert "FT_CALLER" not in os.environ


@pytest.mark.go
async def test_environment_is_read_at_each_start(monkeypatch: pytest.MonkeyPatch) -> None:
    client = kv_client(go_kv())
    seen = []
    for value in ("one", "two"):
        monkeypatch.setenv("FT_MOMENT", value)
        async with client:
            seen.append(variables(client)["FT_MOMENT"])
    assert seen == ["one", "two"]


@pytest.mark.go
async def test_hosts_environment_can_be_kept_from_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FT_SECRET", "host")
    async with started(go_kv(), skip_host_env=True, env={"FT_CALLER": "1"}) as (client, _):
        assert variables(client).keys() == PROTOCOL_NAMES | {COOKIE_KEY, "FT_CALLER"}


@pytest.mark.go
@pytest.mark.parametrize("auto_mtls", [True, False], ids=["mtls", "plain"])
async def test_host_that_is_a_plugin_itself_hands_nothing_of_that_on(
    monkeypatch: pytest.MonkeyPatch, auto_mtls: bool
) -> None:
    inherited = PROTOCOL_NAMES | {"PLUGIN_MULTIPLEX_GRPC", "PLUGIN_UNIX_SOCKET_GROUP"}
    for name in inherited:
        monkeypatch.setenv(name, "inherited")
    monkeypatch.setenv("PLUGIN_OF_SOMEBODY_ELSE", "kept")
    async with started(go_kv(), auto_mtls=auto_mtls) as (client, kv):
        given = variables(client)
        assert "inherited" not in given.values()
        assert given["PLUGIN_OF_SOMEBODY_ELSE"] == "kept"
        assert given.keys() & inherited == PROTOCOL_NAMES - (set() if auto_mtls else {"PLUGIN_CLIENT_CERT"})
        await kv.Put(PutRequest(key="k"))


@both_plugins
async def test_working_directory(plugin: Command, tmp_path: Path) -> None:
    for cwd, expected in ((None, Path.cwd()), (str(tmp_path), tmp_path), (tmp_path, tmp_path)):
        async with started(plugin(), cwd=cwd) as (client, _):
            assert Path(f"/proc/{client.pid}/cwd").readlink() == expected


@pytest.mark.go
async def test_program_beside_a_relative_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "plugin").symlink_to(go_kv()[0])
    monkeypatch.chdir(tmp_path)
    async with started(["./plugin"], cwd="there") as (client, _):
        assert Path(f"/proc/{client.pid}/cwd").readlink() == tmp_path / "there"
    async with started([os.path.relpath(go_kv()[0], tmp_path / "there")], cwd="there") as (client, _):
        assert client.is_started


@pytest.mark.go
@pytest.mark.parametrize("where", ["host", "caller", "neither"])
async def test_program_is_looked_up_on_path(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some-plugin").symlink_to(go_kv()[0])
    path = f"/nowhere:{tmp_path}:/also-nowhere"
    if where == "host":
        monkeypatch.setenv("PATH", path)
    client = kv_client(["some-plugin"], env={"PATH": path} if where == "caller" else {})
    if where == "neither":
        with pytest.raises(ConnectionError, match="some-plugin was not found in PATH"):
            await client.start()
        return
    async with client:
        assert client.pid is not None
        # The name that the caller used, as a shell passes it on.
        assert Path(f"/proc/{client.pid}/cmdline").read_bytes().split(b"\0")[0] == b"some-plugin"


@pytest.mark.go
async def test_path_prefers_what_can_be_executed(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "some-plugin").write_text("a document of the same name")
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "some-plugin").symlink_to(go_kv()[0])
    env = {"PATH": f"{tmp_path / 'first'}:{tmp_path / 'second'}"}
    async with started(["some-plugin"], env=env) as (client, _):
        assert client.is_started


async def test_file_of_the_current_directory_is_not_meant_but_mentioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some-plugin").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LaunchError, match=r"write \./some-plugin to mean it"):
        await kv_client(["some-plugin"]).start()


async def last_words(command: list[str]) -> tuple[str, ...]:
    """What a program that is no plugin wrote on its standard error before it ended."""
    with pytest.raises(PluginExitedError) as caught:
        await kv_client(command).start()
    return caught.value.stderr_tail


async def test_arguments_arrive_as_they_are() -> None:
    odd = ["", "two words", "$HOME", "*", "grün", "a\nb", "--flag=value"]
    program = "import sys; sys.exit(repr(sys.argv[1:]))"
    assert await last_words([sys.executable, "-c", program, *odd]) == (repr(odd),)


async def test_no_descriptor_of_the_host_is_inherited() -> None:
    read, write = os.pipe()
    try:
        os.set_inheritable(read, True)
        name = str(Path(f"/proc/self/fd/{read}").readlink())
        listing = await last_words(["/bin/sh", "-c", "for fd in /proc/self/fd/*; do readlink $fd >&2; done; exit 1"])
        assert listing
        assert name not in listing
    finally:
        os.close(read)
        os.close(write)


async def test_no_blocked_or_ignored_signal_is_inherited() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        lines = await last_words(["/bin/sh", "-c", "grep Sig /proc/self/status >&2; exit 1"])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    masks = {name: int(value, 16) for name, _, value in (line.partition(":") for line in lines) if name != "SigQ"}
    assert masks["SigBlk"] == 0
    # Python itself ignores this one, and a Unix program expects to die of it.
    assert masks["SigIgn"] & 1 << signal.SIGPIPE - 1 == 0


def test_standard_input_is_the_hosts() -> None:
    program = """
import asyncio
from ferrule.client import RPCPluginClient
from ferrule.errors import PluginExitedError
try:
    asyncio.run(RPCPluginClient(["/bin/sh", "-c", "read line; echo got $line >&2; exit 3"]).start())
except PluginExitedError as error:
    print(error.exit_status, *error.stderr_tail)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], input="hello\n", capture_output=True, text=True, check=True, timeout=30
    )
    assert run.stdout == "3 got hello\n"
