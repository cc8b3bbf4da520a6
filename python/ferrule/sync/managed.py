"""The blocking clients with the setting `managed`, ended together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ferrule._host.managed import managed_clients

if TYPE_CHECKING:
    from ferrule.sync.plugin_client import RPCPluginClient

__all__ = ["cleanup_clients"]


def cleanup_clients() -> None:
    """Shuts down and closes all blocking clients with the setting `managed`, at the same time.

    Each ends as by `shutdown_plugin()` and `close()`. Meant for the end of a program; more clients may be started
    afterwards. A managed client that was not cleaned up ends at the interpreter's exit.

    Example:
        >>> from ferrule.sync import RPCPluginClient, cleanup_clients
        >>> from ferrule.testing import KV_CONFIG, plugin_command
        >>> client = RPCPluginClient(plugin_command(), {**KV_CONFIG, "managed": True})
        >>> client.start()
        >>> cleanup_clients()
        >>> client.stop_report.rung
        'shutdown'
    """
    clients = managed_clients(None)
    if clients:
        with ThreadPoolExecutor(len(clients), thread_name_prefix="ferrule-cleanup") as threads:
            ends = [threads.submit(_end, client) for client in clients]
        # By now all clients have ended or failed: one failure does not keep the others.
        for end in ends:
            end.result()


def _end(client: RPCPluginClient) -> None:
    try:
        client.shutdown_plugin()
    finally:
        client.close()
