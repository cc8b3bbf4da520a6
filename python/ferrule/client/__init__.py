"""The client for asyncio, a plain connection with byte counters and framing, and types for annotations."""

from ferrule._host.client_stats import ClientStats
from ferrule.client.connection import ClientConnection
from ferrule.client.managed import cleanup_clients
from ferrule.client.plugin_client import RPCPluginClient
from ferrule.client.types import (
    ClientT,
    ConnectionT,
    GrpcChannelType,
    GrpcCredentialsType,
    ReceiveFuncType,
    RpcConfigType,
    SecureRpcClientT,
    SendFuncType,
)

__all__ = [
    "ClientConnection",
    "ClientStats",
    "ClientT",
    "ConnectionT",
    "GrpcChannelType",
    "GrpcCredentialsType",
    "RPCPluginClient",
    "ReceiveFuncType",
    "RpcConfigType",
    "SecureRpcClientT",
    "SendFuncType",
    "cleanup_clients",
]
