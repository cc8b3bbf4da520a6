"""The client's two classes: a plugin, and a plain connection with byte counters and framing."""

from ferrule.client.connection import ClientConnection
from ferrule.client.plugin_client import RPCPluginClient

__all__ = ["ClientConnection", "RPCPluginClient"]
