"""HashiCorp's go-plugin protocol, both sides: drive plugins of any language, and write plugins for any host.

Names are loaded when they are first used, so that `import ferrule` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferrule import families
    from ferrule._core import __version__, build_info
    from ferrule.broker import GRPCBroker
    from ferrule.certificate import Certificate
    from ferrule.client import ClientConnection, RPCPluginClient, cleanup_clients
    from ferrule.config import ClientConfig, KeepalivePolicy, RetryPolicy, SecureConfig, TLSConfig
    from ferrule.errors import (
        ConfigError,
        ConnectTimeoutError,
        HandshakeError,
        LaunchError,
        PluginExitedError,
        ProtocolError,
        RPCPluginError,
        SecurityError,
        StartTimeoutError,
        TransportError,
    )
    from ferrule.reattach import ReattachConfig, ReattachTLS
    from ferrule.reflection import ServerReflection
    from ferrule.runner import Runner
    from ferrule.server import HclogHandler, RPCPluginServer, ServerConfig, serve

__all__ = [
    "Certificate",
    "ClientConfig",
    "ClientConnection",
    "ConfigError",
    "ConnectTimeoutError",
    "GRPCBroker",
    "HandshakeError",
    "HclogHandler",
    "KeepalivePolicy",
    "LaunchError",
    "PluginExitedError",
    "ProtocolError",
    "RPCPluginClient",
    "RPCPluginError",
    "RPCPluginServer",
    "ReattachConfig",
    "ReattachTLS",
    "RetryPolicy",
    "Runner",
    "SecureConfig",
    "SecurityError",
    "ServerConfig",
    "ServerReflection",
    "StartTimeoutError",
    "TLSConfig",
    "TransportError",
    "__version__",
    "build_info",
    "cleanup_clients",
    "families",
    "serve",
]

_HOME_OF_OTHERS = {
    "Certificate": "ferrule.certificate",
    "ClientConfig": "ferrule.config",
    "ClientConnection": "ferrule.client",
    "GRPCBroker": "ferrule.broker",
    "HclogHandler": "ferrule.server",
    "KeepalivePolicy": "ferrule.config",
    "RPCPluginClient": "ferrule.client",
    "RPCPluginServer": "ferrule.server",
    "ReattachConfig": "ferrule.reattach",
    "ReattachTLS": "ferrule.reattach",
    "RetryPolicy": "ferrule.config",
    "Runner": "ferrule.runner",
    "SecureConfig": "ferrule.config",
    "ServerConfig": "ferrule.server",
    "ServerReflection": "ferrule.reflection",
    "TLSConfig": "ferrule.config",
    "__version__": "ferrule._core",
    "build_info": "ferrule._core",
    "cleanup_clients": "ferrule.client",
    "families": "ferrule.families",
    "serve": "ferrule.server",
}


def __getattr__(name: str) -> Any:
    # The import of the package loads nothing else of it.
    from ferrule._late_names import late_name

    return late_name(__name__, name, _HOME_OF_OTHERS.get(name, "ferrule.errors") if name in __all__ else None)


def __dir__() -> list[str]:
    return __all__
