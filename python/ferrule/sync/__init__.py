"""The blocking client, for scripts, threads, workers and notebooks: `ferrule.client` without an event loop.

`Provider` is `ferrule.terraform.Provider` without one, and `PluginPool` is `ferrule.pool.PluginPool`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ferrule._late_names import late_name
from ferrule.sync.broker import BrokerListener, BrokerServer, GRPCBroker
from ferrule.sync.managed import cleanup_clients
from ferrule.sync.plugin_client import RPCPluginClient

if TYPE_CHECKING:
    from ferrule.sync.pool.pool import PluginPool as PluginPool
    from ferrule.terraform.sync.provider import Provider as Provider

# Not those that are loaded late: `import *` would need the packages that they need.
__all__ = ["BrokerListener", "BrokerServer", "GRPCBroker", "RPCPluginClient", "cleanup_clients"]

_MODULE_BY_NAME: Final = {"PluginPool": "ferrule.sync.pool.pool", "Provider": "ferrule.terraform.sync.provider"}


def __getattr__(name: str) -> Any:
    return late_name(__name__, name, _MODULE_BY_NAME.get(name))


def __dir__() -> list[str]:
    return [*__all__, *_MODULE_BY_NAME]
