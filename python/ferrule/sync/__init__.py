"""The blocking client, for scripts, threads, workers and notebooks: `ferrule.client` without an event loop."""

from ferrule.sync.broker import BrokerListener, BrokerServer, GRPCBroker
from ferrule.sync.managed import cleanup_clients
from ferrule.sync.plugin_client import RPCPluginClient

__all__ = ["BrokerListener", "BrokerServer", "GRPCBroker", "RPCPluginClient", "cleanup_clients"]
