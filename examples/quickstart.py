"""Start a plugin, store a value in it, read it back, stop it.

Run: python examples/quickstart.py

The plugin is the small one that comes with Ferrule. For your own, give its command, its cookie and its protocol
versions, and use the stubs that grpcio-tools generated from your .proto files.
"""

import asyncio

from ferrule.client import RPCPluginClient
from ferrule.testing import KV_CONFIG, KVStub, plugin_command
from ferrule.testing.kv_pb2 import GetRequest, PutRequest


async def main() -> None:
    async with RPCPluginClient(command=plugin_command(), config=KV_CONFIG) as client:
        print(f"plugin {client.pid} speaks protocol version {client.protocol_version} on {client.target_endpoint}")
        kv = KVStub(client.grpc_channel)
        await kv.Put(PutRequest(key="colour", value=b"green"))
        response = await kv.Get(GetRequest(key="colour"))
        print(f"colour is {response.value.decode()}")
    print(client.stop_report)


if __name__ == "__main__":
    asyncio.run(main())
