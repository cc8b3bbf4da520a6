"""A file system that is slow to remove a directory: it holds up that one stop, for no longer than a limit."""

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


async def main():
    place = Path(os.environ["TMPDIR"])
    stopped, other = (RPCPluginClient(command, KV_CONFIG) for _ in range(2))
    async with other, asyncio.timeout(20):
        before = set(place.iterdir())
        await stopped.start()
        os.mkfifo(gate)
        ctypes.CDLL(None).close_gate(gate)
        stopping = asyncio.create_task(stopped.shutdown_plugin())
        await stopped.wait_exited()
        for _ in range(10):
            await KVStub(other.grpc_channel).Put(kv_pb2.PutRequest(key="k"))
        print("others work")
        await stopping
        await stopped.close()
        left = set(place.iterdir()) - before
        print("stopped,", len(left), "left")
        opened = os.open(gate, os.O_RDWR)
        await until(lambda: set(place.iterdir()) == before)
        print("all gone")


asyncio.run(main())
"""


def test_other_plugins_work_meanwhile_and_the_directory_goes_in_the_end(tmp_path: Path) -> None:
    environment = {**os.environ, **preload.environment("slow_rmdir"), "PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "gate"), *go_kv()]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert run.stdout.splitlines() == ["others work", "stopped, 1 left", "all gone"], run
