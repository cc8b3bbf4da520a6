"""The blocking client, for scripts, threads, workers and notebooks: `ferrule.client` without an event loop.

`Provider` is `ferrule.terraform.Provider` without one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ferrule.sync.broker import BrokerListener, BrokerServer, GRPCBroker
from ferrule.sync.managed import cleanup_clients
from ferrule.sync.plugin_client import RPCPluginClient

if TYPE_CHECKING:
    from ferrule.terraform.sync.provider import Provider as Provider

# Not Provider: `import *` would need the package that it needs.
__all__ = ["BrokerListener", "BrokerServer", "GRPCBroker", "RPCPluginClient", "cleanup_clients"]


def __getattr__(name: str) -> Any:
    if name != "Provider":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Loaded late: it needs a package that the client does without.
    from ferrule.terraform.sync.provider import Provider

    globals()["Provider"] = Provider
    return Provider


def __dir__() -> list[str]:
    return [*__all__, "Provider"]
