"""What the machine refuses, and what it has oddly: errors of the library's own, and directories of any name."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.exchange_pb2 import ExchangeRequest, IdentifyRequest
from broker.exchange_pb2_grpc import CounterStub, WitnessStub
from broker.witness import Witness, serve_witness
from ferrule import _socket_directory as socket_directory
from ferrule._socket_directory import socket_base
from ferrule.client import RPCPluginClient
from ferrule.testing import kv_pb2
from integration.kv import both_plugins, started
from integration.test_strangers import NOBODY, root
from peers import EXCHANGE_CONFIG, ROOT, Command, go_exchange, go_kv, kv_config, python_kv

pytestmark = pytest.mark.timeout(120)

PROGRAM = ROOT / "tests" / "integration" / "machine_program.py"

faces = pytest.mark.parametrize("face", ["asyncio", "blocking"])


def outcome_on(what: str, face: str, number: int = 0) -> str:
    """How a start ended on a machine that refuses something."""
    command = [sys.executable, str(PROGRAM), what, face, str(number)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.strip()


@faces
@pytest.mark.parametrize("what", ["descriptors", "directory", pytest.param("threads", marks=root)])
def test_refused_at_the_first_use(what: str, face: str) -> None:
    outcome = outcome_on(what, face)
    assert outcome.startswith("LaunchError launch.failed True"), outcome
    assert ("TMPDIR" in outcome) == (what == "directory")


@faces
def test_few_descriptors_are_never_a_bare_error(face: str) -> None:
    """Whichever descriptor is the one too many, up to where the start succeeds."""
    outcomes = []
    for number in range(1, 60, 3):
        outcomes.append(outcome_on("descriptors", face, number))
        if outcomes[-1] == "started":
            break
    assert outcomes[-1] == "started"
    for outcome in outcomes[:-1]:
        assert outcome.split()[1] not in {"None", "client.cancelled"}, outcome


ODD = ["a b", "a#b", "a?b", "a%20b", "a%b", "a:b", "ä", "a|b", "a\nb", "a\rb", "a\x1b[1mb", "not \udcff text"]


@pytest.mark.parametrize("channel", ["native", "grpcio"])
@pytest.mark.parametrize("name", ODD, ids=[ascii(name) for name in ODD])
@both_plugins
async def test_directories_of_any_name(plugin: Command, name: str, channel: str, temporary_directory: Path) -> None:
    base = temporary_directory / name
    base.mkdir()
    async with started(plugin(), unix_socket_dir=base, channel=channel) as (client, kv):
        await kv.Put(kv_pb2.PutRequest(key="key"), timeout=10)
        assert client.target_endpoint is not None
        assert str(client.address).startswith(str(base) if name in ODD[:7] else "/tmp/ferrule-")
    base.rmdir()


@pytest.mark.go
async def test_brokered_sockets_in_an_odd_directory(temporary_directory: Path) -> None:
    base = temporary_directory / "a#b?c%20d"
    base.mkdir()
    settings = {**EXCHANGE_CONFIG, "unix_socket_dir": base}
    async with RPCPluginClient(go_exchange(), settings) as client:
        number, server = await serve_witness(client.broker, Witness(7))
        request = ExchangeRequest(host_service=number, token=7)
        answer = await CounterStub(client.grpc_channel).Exchange(request, timeout=10)
        async with await client.broker.dial(answer.plugin_service) as theirs:
            assert (await WitnessStub(theirs).Identify(IdentifyRequest(), timeout=10)).token
        await server.stop()
    base.rmdir()


async def test_relative_directory_is_this_process_own(
    temporary_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin with another working directory makes its sockets in the same place."""
    (temporary_directory / "here").mkdir()
    monkeypatch.chdir(temporary_directory)
    async with started(python_kv(), unix_socket_dir="here", cwd=tmp_path) as (client, kv):
        await kv.Put(kv_pb2.PutRequest(key="key"), timeout=10)
        assert str(client.address).startswith(f"{temporary_directory}/here/")
    (temporary_directory / "here").rmdir()


async def test_missing_directory_is_named() -> None:
    client = RPCPluginClient(python_kv(), kv_config(unix_socket_dir="/nowhere/at/all"))
    with pytest.raises(ConnectionError) as failure:
        await client.start()
    assert "/nowhere/at/all" in str(failure.value)
    assert "unix_socket_dir" in str(failure.value)


@pytest.mark.parametrize("channel", ["native", "grpcio"])
@both_plugins
async def test_umask_that_takes_from_the_owner(plugin: Command, channel: str) -> None:
    """Root may use what is closed to its owner, so modes tell whether others could."""
    before = os.umask(0o777)
    try:
        async with started(plugin(), channel=channel) as (client, kv):
            await kv.Put(kv_pb2.PutRequest(key="key"), timeout=10)
            assert client.address is not None
            directory = Path(client.address).parent
            assert directory.stat().st_mode & 0o777 == 0o700
            if channel == "grpcio":
                assert (directory / "grpc").stat().st_mode & 0o677 == 0o600
            if plugin is go_kv:
                # The others have no broker.
                listener = await client.broker.accept(client.broker.next_id())
                assert listener.address is not None
                assert Path(listener.address).stat().st_mode & 0o677 == 0o600
                await listener.close()
    finally:
        os.umask(before)


@pytest.fixture
def not_warned() -> Iterator[None]:
    socket_directory._warn_of_others.cache_clear()
    yield
    socket_directory._warn_of_others.cache_clear()


@pytest.mark.usefixtures("not_warned")
def test_directory_in_which_others_may_rename_is_warned_of(
    temporary_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = temporary_directory / "shared"
    below = shared / "below"
    below.mkdir(parents=True)
    with caplog.at_level(logging.WARNING, "ferrule"):
        shared.chmod(0o1777)
        socket_base(below)
        assert caplog.text == ""
        shared.chmod(0o777)
        # Once for each.
        for _ in range(2):
            socket_base(shared)
    assert [record.getMessage() for record in caplog.records] == [
        f"sockets are made in {shared}, and others may rename what is in {shared}: its mode is 777, without the sticky "
        "bit. Set TMPDIR, or the setting unix_socket_dir, to a directory of this user's."
    ]
    caplog.clear()
    socket_base(f"{below}/")
    socket_directory._warn_of_others.cache_clear()
    socket_base(below)
    assert caplog.messages == [caplog.messages[0]] * len(caplog.messages)
    assert f"rename what is in {shared}:" in caplog.text
    below.rmdir()
    shared.rmdir()


@root
@pytest.mark.usefixtures("not_warned")
def test_directory_of_another_user_is_warned_of(temporary_directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    theirs = temporary_directory / "theirs"
    theirs.mkdir()
    # Not nobody, by whom namespaces stand for what they do not know.
    os.chown(theirs, NOBODY - 1, -1)
    socket_base(theirs)
    assert f"it belongs to user {NOBODY - 1}" in caplog.text
    theirs.rmdir()
