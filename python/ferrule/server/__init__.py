"""The plugin side: write a plugin in Python that any go-plugin host can start, Terraform included.

Names are loaded on first use, because the small plugin of `ferrule.testing` needs only some of the modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferrule._late_names import late_name

if TYPE_CHECKING:
    from ferrule.broker import GRPCBroker
    from ferrule.server.config import ServerConfig
    from ferrule.server.hclog import HclogHandler
    from ferrule.server.plugin_server import RPCPluginServer
    from ferrule.server.program import ReattachTarget, serve

__all__ = ["GRPCBroker", "HclogHandler", "RPCPluginServer", "ReattachTarget", "ServerConfig", "serve"]

_HOMES = {
    "GRPCBroker": "ferrule.broker",
    "HclogHandler": "ferrule.server.hclog",
    "RPCPluginServer": "ferrule.server.plugin_server",
    "ReattachTarget": "ferrule.server.program",
    "ServerConfig": "ferrule.server.config",
    "serve": "ferrule.server.program",
}


def __getattr__(name: str) -> Any:
    return late_name(__name__, name, _HOMES.get(name))


def __dir__() -> list[str]:
    return __all__
