"""pyvider-rpcplugin as the host."""

import os

# Its loggers take their level at import. Left alone they write ten lines per cycle to standard error, about a tenth of
# its CPU time, and its users can turn that off: the rival is measured at its best.
os.environ.setdefault("PROVIDE_LOG_LEVEL", "CRITICAL")

from pyvider.rpcplugin import RPCPluginClient, configure

from ferrule.testing import kv_pb2, kv_pb2_grpc
from hosts import cycle

# It retries a channel that does not become ready three times. The default of 10 s turns a refused TLS handshake into a
# wait of half a minute; a plugin on the same machine that needs 2 s is broken.
CHANNEL_READY_TIMEOUT_S = 2.0


class PyviderHost:
    """The life of a plugin under `pyvider.rpcplugin.RPCPluginClient`, whose settings are global."""

    def __init__(self, plugin: str, mtls: bool) -> None:
        configure(
            magic_cookie=cycle.COOKIE_VALUE,
            auto_mtls=mtls,
            magic_cookie_key=cycle.COOKIE_KEY,
            client_retry_enabled=False,
            channel_ready_timeout=CHANNEL_READY_TIMEOUT_S,
        )
        self._client = RPCPluginClient(command=[plugin])

    async def start(self) -> None:
        await self._client.start()

    async def echo(self, payload: bytes) -> bytes:
        stub = kv_pb2_grpc.KVStub(self._client.grpc_channel)
        response = await stub.Echo(kv_pb2.EchoRequest(payload=payload))
        return bytes(response.payload)

    async def stop(self) -> None:
        await self._client.shutdown_plugin()
        await self._client.close()


if __name__ == "__main__":
    cycle.main(PyviderHost)
