"""The call that is measured, as bytes: what protobuf costs is no matter of the plugin's."""

import argparse
from dataclasses import dataclass
from typing import Any, Final

import grpc.aio

from ferrule.cli.calling.definitions import definitions_of
from ferrule.cli.calling.messages import MessageCodec
from ferrule.cli.calling.methods import Method, find
from ferrule.cli.failures import CallError
from ferrule.client import RPCPluginClient
from ferrule.errors import ConfigError

__all__ = ["Work", "chosen_work"]


@dataclass(frozen=True)
class Work:
    """One method and its request.

    Attributes:
        method: The method as `service/method`.
        request: The request as it is sent.
    """

    method: str
    request: bytes

    def on(self, channel: grpc.aio.Channel) -> Any:
        """What makes the call on a channel."""
        return channel.unary_unary(f"/{self.method}")


HEALTH_CHECK: Final = Work("grpc.health.v1.Health/Check", b"\x0a\x06plugin")
"""As `start()` does it. Field 1 is the service, which is called `plugin` in every go-plugin plugin."""


async def chosen_work(client: RPCPluginClient, options: argparse.Namespace) -> Work:
    """The call that the options name, tried once on a plugin that runs.

    Raises:
        ConfigError: There is no such method, or the request does not fit it.
        CallError: The call fails.
    """
    work = await _described(client, options) if options.call else HEALTH_CHECK
    assert client.grpc_channel is not None
    try:
        await work.on(client.grpc_channel)(work.request)
    except grpc.aio.AioRpcError as error:
        raise CallError.of(error, work.method) from None
    return work


async def _described(client: RPCPluginClient, options: argparse.Namespace) -> Work:
    definitions = await definitions_of(client.grpc_channel, [])
    method = await find(definitions, options.call)
    if not isinstance(method, Method) or method.facts.client_streaming or method.facts.server_streaming:
        raise ConfigError(f"--call {options.call} names no method without streams", code="config.invalid")
    text = "{}" if options.request is None else options.request
    request = await MessageCodec(definitions).parsed(text, "--request", method.facts.input_type)
    return Work(method.name, request.SerializeToString())
