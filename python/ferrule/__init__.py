"""Host side of HashiCorp's go-plugin protocol: launch a plugin, lock the connection, hand out a gRPC channel, stop it.

Names are loaded when they are first used, so that `import ferrule` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferrule._core import __version__, build_info
    from ferrule.client import ClientConnection, RPCPluginClient
    from ferrule.config import ClientConfig, KeepalivePolicy, RetryPolicy, TLSConfig
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
    from ferrule.reflection import ServerReflection

__all__ = [
    "ClientConfig",
    "ClientConnection",
    "ConfigError",
    "ConnectTimeoutError",
    "HandshakeError",
    "KeepalivePolicy",
    "LaunchError",
    "PluginExitedError",
    "ProtocolError",
    "RPCPluginClient",
    "RPCPluginError",
    "RetryPolicy",
    "SecurityError",
    "ServerReflection",
    "StartTimeoutError",
    "TLSConfig",
    "TransportError",
    "__version__",
    "build_info",
]

_HOME_OF_OTHERS = {
    "ClientConfig": "ferrule.config",
    "ClientConnection": "ferrule.client",
    "KeepalivePolicy": "ferrule.config",
    "RPCPluginClient": "ferrule.client",
    "RetryPolicy": "ferrule.config",
    "ServerReflection": "ferrule.reflection",
    "TLSConfig": "ferrule.config",
    "__version__": "ferrule._core",
    "build_info": "ferrule._core",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF_OTHERS.get(name, "ferrule.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
