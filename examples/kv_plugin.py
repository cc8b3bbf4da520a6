"""A plugin in Python: the key-value service of `ferrule.testing`, for any go-plugin host, AutoMTLS or not.

Run: python examples/kv_plugin.py
which only explains itself: hosts start plugins. Here is one that does, from the same directory:

    async with RPCPluginClient([sys.executable, "examples/kv_plugin.py"], KV_CONFIG) as client:
        await KVStub(client.grpc_channel).Put(PutRequest(key="colour", value=b"green"))

To run it under a debugger, without a host: python examples/kv_plugin.py --debug
which prints how hosts attach to it, and runs until Ctrl-C.
"""

import sys
from typing import Any

from ferrule.server import GRPCBroker, ReattachTarget, ServerConfig, serve
from ferrule.testing import COOKIE_KEY, COOKIE_VALUE
from ferrule.testing.kv import KV
from ferrule.testing.kv_pb2_grpc import add_KVServicer_to_server

CONFIG = ServerConfig(magic_cookie_key=COOKIE_KEY, magic_cookie_value=COOKIE_VALUE, max_receive_bytes=None)


def register(server: Any, broker: GRPCBroker) -> None:
    add_KVServicer_to_server(KV(), server)


if __name__ == "__main__":
    serve(register, CONFIG, test=ReattachTarget() if "--debug" in sys.argv else None)
