"""Ferrule as the host."""

from ferrule.client import RPCPluginClient
from ferrule.testing import kv_pb2, kv_pb2_grpc
from hosts import cycle


class FerruleHost:
    """The life of a plugin under `ferrule.client.RPCPluginClient`."""

    def __init__(self, plugin: str, mtls: bool) -> None:
        self._client = RPCPluginClient(
            command=[plugin],
            config={
                "magic_cookie_key": cycle.COOKIE_KEY,
                "magic_cookie_value": cycle.COOKIE_VALUE,
                "protocol_versions": (cycle.APP_VERSION,),
                "auto_mtls": mtls,
            },
        )

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
    cycle.main(FerruleHost)
