"""A program whose objects outlive the names of the modules that made them; started by test_finalizers.py."""

import asyncio
import builtins
import os
import sys
from typing import Any

import ferrule.channel
import ferrule.channel.sync
import ferrule.client
import ferrule.pool
import ferrule.sync
from ferrule.channel.sync.worker import Worker

METHOD = "/package.Service/Method"


def blocking() -> list[Any]:
    channel = ferrule.channel.sync.insecure_channel("unix:/nowhere")
    future = channel.unary_unary(METHOD).future(b"", wait_for_ready=True)
    stream = channel.unary_stream(METHOD)(b"", wait_for_ready=True)
    return [channel, future, stream, Worker("late"), ferrule.sync.RPCPluginClient(["x"]), ferrule.sync.PluginPool()]


async def of_asyncio() -> list[Any]:
    channel = ferrule.channel.insecure_channel("unix:/nowhere")
    stream = channel.unary_stream(METHOD)(b"", wait_for_ready=True)
    await asyncio.sleep(0)
    return [channel, stream, ferrule.client.RPCPluginClient(["x"]), ferrule.pool.PluginPool()]


def main() -> None:
    loop = asyncio.new_event_loop()
    # Modules that something holds are cleared, the latest first, and of `os` there is nothing that is older.
    os.kept = [*blocking(), *loop.run_until_complete(of_asyncio()), loop]  # type: ignore[attr-defined]
    builtins.modules = [module for name, module in sys.modules.items() if name == "os" or name[:7] == "ferrule"]  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
    print("end")  # noqa: T201 - for the test.
