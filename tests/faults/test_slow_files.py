"""A file system that is slow to make and to remove files: it holds up the one plugin whose they are, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from faults import preload
from peers import ROOT, go_kv

PROGRAM = """
import asyncio, ctypes, os, sys
from pathlib import Path

from faults import preload
from ferrule.client import RPCPluginClient
from ferrule.testing import KV_CONFIG, KVStub, kv_pb2
from waiting import until

gate, command = sys.argv[1].encode(), sys.argv[2:]
preload.keep_from_plugins()
place = Path(os.environ["TMPDIR"])


async def used(client):
    for _ in range(10):
        await KVStub(client.grpc_channel).Put(kv_pb2.PutRequest(key="k"))


async def main():
    slow, other, bridged = (
        RPCPluginClient(command, {**KV_CONFIG, **more}) for more in ({}, {}, {"channel": "grpcio"})
    )
    async with other, asyncio.timeout(30):
        before = set(place.iterdir())
        await slow.start()
        os.mkfifo(gate)
        opened = os.open(gate, os.O_RDWR)
        ctypes.CDLL(None).close_gate(gate)

        os.close(opened)
        listening = asyncio.create_task(slow.broker.accept(slow.broker.next_id()))
        starting = asyncio.create_task(bridged.start())
        await used(other)
        assert not listening.done() and not starting.done()
        opened = os.open(gate, os.O_RDWR)
        listener = await listening
        await starting
        print("sockets made")

        os.close(opened)
        await listener.close()
        await used(other)
        print("listener closed")

        stopping = [asyncio.create_task(each.shutdown_plugin()) for each in (slow, bridged)]
        await slow.wait_exited()
        await used(other)
        await asyncio.gather(*stopping)
        await slow.close()
        print("stopped")

        opened = os.open(gate, os.O_RDWR)
        await bridged.close()
        await until(lambda: set(place.iterdir()) == before)
        print("all gone")


asyncio.run(main())
"""


def test_other_plugins_work_meanwhile_and_nothing_stays(tmp_path: Path) -> None:
    environment = {**os.environ, **preload.environment("slow_files"), "PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "gate"), *go_kv()]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert run.stdout.splitlines() == ["sockets made", "listener closed", "stopped", "all gone"], run
