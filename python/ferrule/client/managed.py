"""Clients with the setting `managed`: kept until they are closed, and ended together."""

from __future__ import annotations

import asyncio
import atexit
import functools
import time
from typing import TYPE_CHECKING, Any

from ferrule.client.lifecycle import end_plugins_at_exit, is_parents
from ferrule.client.view import PluginView

if TYPE_CHECKING:
    from ferrule.sync.operation import Operation

__all__ = ["cleanup_clients", "manage", "managed_clients", "release"]

# Seconds beyond the ladder's own, for SIGKILL and for giving everything back.
_MARGIN = 1.0
# Seconds. An interpreter that ends must end, whatever the clients' settings are.
_EXIT_LIMIT = 10.0

_loop_by_client: dict[PluginView, asyncio.AbstractEventLoop | None] = {}


def manage(client: PluginView, loop: asyncio.AbstractEventLoop | None) -> None:
    """Keeps a client that begins to start, for whoever cleans up on that loop; None for the blocking ones."""
    _end_at_exit()
    _loop_by_client[client] = loop


def release(client: PluginView) -> None:
    """Forgets a client that is closed."""
    _loop_by_client.pop(client, None)


def managed_clients(loop: asyncio.AbstractEventLoop | None) -> list[Any]:
    """The clients that are managed for a loop; None for the blocking ones."""
    of_loop = (client for client, theirs in list(_loop_by_client.items()) if theirs is loop)
    return [client for client in of_loop if not is_parents(client._process_id)]


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
    # All have ended or failed by now: one that fails must not keep the others.
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _end(client: Any) -> None:
    try:
        await client.shutdown_plugin()
    finally:
        await client.close()


@functools.cache
def _end_at_exit() -> None:
    # Not loaded by those who manage nothing, and too late at the exit itself.
    from ferrule.sync.operation import Operation

    # Functions for the exit run last first: what is left over after the ladder is killed by the other.
    end_plugins_at_exit()
    atexit.register(_end_all, Operation)


def _end_all(operation: type[Operation]) -> None:
    """Ends the plugins of all managed clients by the ladder, at the same time. Their loops run no more."""
    clients = [client for client in _loop_by_client if not is_parents(client._process_id)]
    limits = [client.config.shutdown_timeout + client.config.kill_timeout for client in clients]
    deadline = time.monotonic() + min(max(limits, default=0.0) + _MARGIN, _EXIT_LIMIT)
    stops = [operation(host.stop) for client in clients if (host := client._host) is not None]
    for stop in stops:
        stop.begin()
    for stop in stops:
        try:
            stop.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            return
