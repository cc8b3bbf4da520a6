"""A program with a pool that `ferrule top` shows: some plugins of one kind, called without end, until a line comes.

Usage: pool_program.py NUMBER PROGRAM
"""

from __future__ import annotations

import asyncio
import itertools
import sys

from ferrule.pool import PluginPool, PluginSpec
from ferrule.testing import KV_CONFIG, KVStub, kv_pb2


async def main(number: int, program: str) -> None:
    specs = [
        PluginSpec([program], {**KV_CONFIG, "env": {"KV": str(each)}}, name=f"kv-{each}") for each in range(number)
    ]
    async with PluginPool(name="shown", metrics_socket=True) as pool:
        await pool.warm(specs)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        for spec in itertools.cycle(specs):
            async with pool.lease(spec) as lease:
                await lease.stub(KVStub).Echo(kv_pb2.EchoRequest(payload=b"x"))
                # The terminal has the processor meanwhile, and a lease to show.
                done, _ = await asyncio.wait([end], timeout=0.01)
            if done:
                break


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
