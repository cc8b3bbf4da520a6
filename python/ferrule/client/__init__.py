"""The client's two classes: a plugin, and a plain connection with byte counters and framing."""

from ferrule.client.connection import ClientConnection
from ferrule.client.managed import cleanup_clients
from ferrule.client.plugin_client import RPCPluginClient

__all__ = ["ClientConnection", "RPCPluginClient", "cleanup_clients"]
