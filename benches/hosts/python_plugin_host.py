"""python-plugin (imported as pyplugin) as the host; its gRPC library is grpclib, hence the stub of its own."""

from typing import Any

from grpclib.client import Channel, UnaryUnaryMethod
from pyplugin import Client, ClientConfig, HandshakeConfig, Plugin

from ferrule.testing import kv_pb2
from hosts import cycle


class KVPlugin(Plugin):  # type: ignore[misc]  # the package has no type information
    """The host side of the KV plugin: a stub for the one method that is measured."""

    def servicers(self, broker: Any) -> list[Any]:
        return []

    def stub(self, broker: Any, channel: Channel) -> Any:
        return UnaryUnaryMethod(channel, "/kv.KV/Echo", kv_pb2.EchoRequest, kv_pb2.EchoResponse)


class PythonPluginHost:
    """The life of a plugin under `pyplugin.Client`."""

    def __init__(self, plugin: str, mtls: bool) -> None:
        handshake = HandshakeConfig(cycle.APP_VERSION, cycle.COOKIE_KEY, cycle.COOKIE_VALUE)
        self._client = Client(
            ClientConfig(handshake_config=handshake, plugins={"kv": KVPlugin()}, cmd=[plugin], auto_mtls=mtls)
        )

    async def start(self) -> None:
        await self._client.start()

    async def echo(self, payload: bytes) -> bytes:
        response = await self._client.dispense("kv")(kv_pb2.EchoRequest(payload=payload))
        return bytes(response.payload)

    async def stop(self) -> None:
        await self._client.kill()


if __name__ == "__main__":
    cycle.main(PythonPluginHost)
