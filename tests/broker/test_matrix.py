"""{Python host, Go host} x {Python plugin, Go plugin} x AutoMTLS x multiplexing: brokered connections both ways."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from broker.exchange_pb2 import FilesRequest, GetRequest, PutRequest
from broker.exchange_pb2_grpc import CounterStub, add_AddHelperServicer_to_server
from broker.witness import LIMIT, Adder, exchanges
from conftest import descriptors
from ferrule.client import RPCPluginClient
from peers import EXCHANGE_CONFIG, ROOT, go_exchange, go_exchange_host
from waiting import pauses

pytestmark = [pytest.mark.timeout(120), pytest.mark.go]

COUNT = 400
EXCHANGES = int(os.environ.get("FERRULE_EXCHANGES", "250"))
GRPC_THREADS = 8

mtls = pytest.mark.parametrize("auto_mtls", [True, False], ids=["mtls", "plaintext"])
multiplexing = pytest.mark.parametrize("multiplex", [False, True], ids=["sockets", "multiplexed"])
plugins = pytest.mark.parametrize("language", ["go", "python"])


def plugin(language: str, *, sequential: bool = False) -> list[str]:
    """The plugin's command."""
    if language == "go":
        return go_exchange(sequential=sequential)
    # Its modules are found from the directory of the tests.
    run = "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_module('broker.plugin', run_name='__main__')"
    return [sys.executable, "-c", run, str(ROOT / "tests")]


@pytest.fixture(autouse=True)
def nothing_left_behind(no_leaks: None) -> None:
    """No plugin, child process or thread may outlive its test."""


@mtls
@multiplexing
@plugins
async def test_python_host(language: str, auto_mtls: bool, multiplex: bool) -> None:
    settings = {**EXCHANGE_CONFIG, "auto_mtls": auto_mtls, "broker_multiplex": multiplex}
    async with RPCPluginClient(plugin(language), settings) as client:
        broker, counter = client.broker, CounterStub(client.grpc_channel)
        for value in (3, 4):
            number = broker.next_id()
            adder = await broker.accept_and_serve(
                number, lambda server: add_AddHelperServicer_to_server(Adder(), server)
            )
            async with adder:
                await counter.Put(PutRequest(add_server=number, key="k", value=value), timeout=LIMIT)
        assert (await counter.Get(GetRequest(key="k"), timeout=LIMIT)).value == 7
        await exchanges(broker, counter, COUNT, COUNT)


@mtls
@multiplexing
@plugins
async def test_go_host(language: str, auto_mtls: bool, multiplex: bool, temporary_directory: Path) -> None:
    # Only go-plugin's own dialler needs to be held back: ours waits until it has been let in.
    command = plugin(language, sequential=multiplex)
    host = go_exchange_host(command, auto_mtls=auto_mtls, multiplex=multiplex, exchanges=COUNT, concurrency=COUNT)
    process = await asyncio.create_subprocess_exec(
        *host, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, said = await process.communicate()
    assert process.returncode == 0, f"{printed.decode()}\n{said.decode()[-5000:]}"
    result = json.loads(printed)
    assert (result["exchanges"], result["misrouted"], result["errors"]) == (COUNT, 0, [])
    if language == "go" and multiplex:
        # go-plugin never closes a multiplexed listener, so that its file stays; our host and our plugin remove it.
        for path in temporary_directory.glob("plugin*"):
            path.unlink()


@mtls
@multiplexing
@plugins
async def test_many_exchanges_leave_nothing_behind(
    language: str, auto_mtls: bool, multiplex: bool, temporary_directory: Path
) -> None:
    settings = {**EXCHANGE_CONFIG, "auto_mtls": auto_mtls, "broker_multiplex": multiplex}
    async with RPCPluginClient(plugin(language), settings) as client:
        broker, counter = client.broker, CounterStub(client.grpc_channel)

        async def held() -> tuple[tuple[int, ...], set[Path]]:
            theirs = await counter.Files(FilesRequest(), timeout=LIMIT)
            counts = (len(descriptors()), theirs.descriptors, theirs.sockets, len(asyncio.all_tasks()))
            return counts, set(temporary_directory.rglob("*"))

        # gRPC keeps a few things from its first servers on. Older releases close the others late, so that there may be
        # less in the end. Those of grpcio's own threads that begin later, where the machine is busy, have a descriptor
        # each; were anything left of an exchange, there would be one more for each.
        await exchanges(broker, counter, 50, 10)
        before, files_before = await held()
        await exchanges(broker, counter, EXCHANGES, 10)
        async with asyncio.timeout(LIMIT):
            # The plugin stops its last servers after it has answered.
            for pause in pauses():
                after, files = await held()
                assert files >= files_before
                if files == files_before and all(
                    now - then < GRPC_THREADS for now, then in zip(after, before, strict=True)
                ):
                    break
                await asyncio.sleep(pause)
