"""Drive a plugin from a plain script, without asyncio: blocking calls, threads, and the plugin's log.

Run: python examples/sync_script.py

The plugin is the small one that comes with Ferrule; examples/quickstart.py is the same for asyncio.
"""

import logging
import sys
from concurrent.futures import ThreadPoolExecutor

from ferrule.sync import RPCPluginClient
from ferrule.testing import KV_CONFIG, KVStub, plugin_command
from ferrule.testing.kv_pb2 import EchoRequest, GetRequest, NoiseRequest, PutRequest

THREADS = 8
SECONDS = 10  # The deadline of every call.


def main() -> None:
    # The plugin's lines come by themselves, whatever this thread does.
    logging.basicConfig(stream=sys.stdout, format="%(threadName)s: %(message)s")
    with RPCPluginClient(command=plugin_command(), config=KV_CONFIG) as client:
        print(f"plugin {client.pid} speaks protocol version {client.protocol_version} on {client.target_endpoint}")
        kv = KVStub(client.grpc_channel)
        kv.Put(PutRequest(key="colour", value=b"green"), timeout=SECONDS)
        print(f"colour is {kv.Get(GetRequest(key='colour'), timeout=SECONDS).value.decode()}")
        kv.Noise(NoiseRequest(stderr_lines=["[WARN] watch out"]), timeout=SECONDS)

        def echo(number: int) -> bool:
            payload = str(number).encode()
            return bool(kv.Echo(EchoRequest(payload=payload), timeout=SECONDS).payload == payload)

        with ThreadPoolExecutor(THREADS) as threads:
            print(f"{THREADS} threads, {sum(threads.map(echo, range(THREADS)))} right answers")
    print(client.stop_report)


if __name__ == "__main__":
    main()
