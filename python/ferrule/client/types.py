"""Names for annotations of programs that use a client or a connection."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import grpc
from grpc import aio

__all__ = [
    "ClientT",
    "ConnectionT",
    "GrpcChannelType",
    "GrpcCredentialsType",
    "ReceiveFuncType",
    "RpcConfigType",
    "SecureRpcClientT",
    "SendFuncType",
]

SendFuncType: TypeAlias = Callable[[bytes], Awaitable[None]]
"""The sending function of a `ClientConnection`: takes all bytes of one `send_data`, returns when more may be sent."""

ReceiveFuncType: TypeAlias = Callable[[int], Awaitable[bytes]]
"""The receiving function of a `ClientConnection`: takes the most bytes wanted, returns some; none at the end."""

GrpcChannelType: TypeAlias = aio.Channel | grpc.Channel
"""A channel for stubs: `grpc_channel` of the client for asyncio is of the first kind, `sync_channel` of the second."""

GrpcCredentialsType: TypeAlias = grpc.ChannelCredentials | None
"""The credentials of a channel; None is plaintext."""

RpcConfigType: TypeAlias = dict[str, Any]
"""The settings of a client by their names, which are those of `ClientConfig`."""


@runtime_checkable
class ConnectionT(Protocol):
    """An object that moves bytes to and from one peer, such as a `ClientConnection`."""

    async def send_data(self, data: bytes) -> None:
        """Sends bytes."""

    async def receive_data(self, size: int = ...) -> bytes:
        """Receives at most `size` bytes; none when the peer has closed its side."""

    async def close(self) -> None:
        """Closes the connection; does nothing if it is closed."""


@runtime_checkable
class SecureRpcClientT(Protocol):
    """An object that starts a plugin and has a protected channel to it, such as an `RPCPluginClient`.

    Its `start` does handshake, certificates and channel.
    """

    @property
    def grpc_channel(self) -> aio.Channel | None:
        """The channel for stubs; None before `start` and after `close`."""

    @property
    def client_cert(self) -> str | None:
        """The host's certificate, which the plugin checks, as PEM; None before `start` and without TLS."""

    async def start(self) -> None:
        """Starts the plugin and connects to it."""

    async def shutdown_plugin(self) -> None:
        """Ends the plugin, and waits for its end."""

    async def close(self) -> None:
        """Gives everything back; does nothing if it is closed."""


ClientT = TypeVar("ClientT", bound=SecureRpcClientT)
"""A type variable for signatures that take and return a client of one class."""
