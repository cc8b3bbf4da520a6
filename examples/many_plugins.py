"""Run many plugins at once from one process, and see that the number of threads does not grow with them.

Run: python examples/many_plugins.py 50 [--plugin PATH]

PATH is a Go plugin of the KV service; without it, Ferrule's own Python plugin is started, which takes longer.
"""

import argparse
import asyncio
import threading
import time
from pathlib import Path

from ferrule.client import RPCPluginClient
from ferrule.testing import KV_CONFIG, KVStub, plugin_command
from ferrule.testing.kv_pb2 import EchoRequest, EchoResponse, GetRequest, GetResponse, PutRequest

CALLS_PER_PLUGIN = 20


def thread_count() -> int:
    """Threads of this process, those of native code included where the system lists them."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()


async def use(number: int, client: RPCPluginClient) -> int:
    """Call one plugin; the number of its good answers."""
    kv = KVStub(client.grpc_channel)
    value = str(number).encode()
    await kv.Put(PutRequest(key="number", value=value))
    answers: list[EchoResponse] = await asyncio.gather(
        *(kv.Echo(EchoRequest(payload=value)) for _ in range(CALLS_PER_PLUGIN))
    )
    kept: GetResponse = await kv.Get(GetRequest(key="number"))
    return sum(answer.payload == value for answer in answers) + (kept.value == value)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("count", type=int, nargs="?", default=50, metavar="N", help="number of plugins (default: 50)")
    parser.add_argument("--plugin", metavar="PATH", help="a Go plugin of the KV service")
    options = parser.parse_args()
    command = [options.plugin] if options.plugin else plugin_command()
    clients = [RPCPluginClient(command=command, config=KV_CONFIG) for _ in range(options.count)]
    print(f"threads before: {thread_count()}")
    try:
        began = time.perf_counter()
        await clients[0].start()
        print(f"threads with 1 plugin: {thread_count()}")
        await asyncio.gather(*(client.start() for client in clients[1:]))
        print(
            f"threads with {len(clients)} plugins: {thread_count()}, all started in {time.perf_counter() - began:.2f} s"
        )
        began = time.perf_counter()
        good = sum(await asyncio.gather(*(use(number, client) for number, client in enumerate(clients))))
        print(f"good answers: {good} in {time.perf_counter() - began:.2f} s")
        began = time.perf_counter()
        await asyncio.gather(*(client.shutdown_plugin() for client in clients))
    finally:
        await asyncio.gather(*(client.close() for client in clients))
    print(f"all stopped in {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    asyncio.run(main())
