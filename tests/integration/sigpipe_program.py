"""A host that has SIGPIPE at its default action, as command-line tools do that may be piped into `head`.

Run as: python -m integration.sigpipe_program FACE LIVES COMMAND..., with FACE native, grpcio or sync.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import grpc

import ferrule.sync
from ferrule.client import RPCPluginClient
from ferrule.testing import KV_CONFIG, KVStub
from ferrule.testing.kv_pb2 import PutRequest

CALLS_AFTER_THE_END = 5
LIMIT = 10.0


async def live(channel: str, command: list[str]) -> None:
    """One life of a plugin, which is killed between two calls."""
    settings: dict[str, Any] = {**KV_CONFIG, "channel": channel}
    async with RPCPluginClient(command, settings) as client:
        kv = KVStub(client.grpc_channel)
        await kv.Put(PutRequest(key="k", value=b"v"))
        os.kill(client.pid or 0, signal.SIGKILL)
        for _ in range(CALLS_AFTER_THE_END):
            try:
                await kv.Put(PutRequest(key="k", value=b"v"), timeout=LIMIT)
            except grpc.RpcError:
                continue


def live_without_loop(command: list[str]) -> None:
    """The same on the blocking client."""
    with ferrule.sync.RPCPluginClient(command, KV_CONFIG) as client:
        kv = KVStub(client.grpc_channel)
        kv.Put(PutRequest(key="k", value=b"v"))
        os.kill(client.pid or 0, signal.SIGKILL)
        for _ in range(CALLS_AFTER_THE_END):
            try:
                kv.Put(PutRequest(key="k", value=b"v"), timeout=LIMIT)
            except grpc.RpcError:
                continue


def main(face: str, lives: int, command: list[str]) -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for _ in range(lives):
        if face == "sync":
            live_without_loop(command)
        else:
            asyncio.run(live(face, command))
    sys.stdout.write("survived\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
