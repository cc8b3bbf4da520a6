"""The asyncio clients with the setting `managed`, ended together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ferrule._host.managed import managed_clients

if TYPE_CHECKING:
    from ferrule.client.plugin_client import RPCPluginClient

__all__ = ["cleanup_clients"]


async def cleanup_clients() -> None:
    """Shuts down and closes all clients with the setting `managed` that were started on the running event loop.

    They end at the same time, each as by `shutdown_plugin()` and `close()`. Meant for the end of a program; more
    clients may be started afterwards.

    Example:
        >>> import asyncio
        >>> import ferrule
        >>> from ferrule.testing import KV_CONFIG, plugin_command
        >>> async def main():
        ...     client = ferrule.RPCPluginClient(plugin_command(), {**KV_CONFIG, "managed": True})
        ...     await client.start()
        ...     await ferrule.cleanup_clients()
        ...     return client.stop_report.rung
        >>> asyncio.run(main())
        'shutdown'
    """
    clients = managed_clients(asyncio.get_running_loop())
    results = await asyncio.gather(*(_end(client) for client in clients), return_exceptions=True)
    # By now all clients have ended or failed: one failure does not keep the others.
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _end(client: RPCPluginClient) -> None:
    try:
        await client.shutdown_plugin()
    finally:
        await client.close()
