"""Clients with the setting `managed`: kept from a start until they are closed, or ended with the interpreter."""

from __future__ import annotations

import asyncio
import atexit
import functools
import time
from typing import Any

from ferrule._host.lifecycle import belongs_to_parent, end_plugins_at_exit
from ferrule._host.operation import Operation
from ferrule._host.plugin_info import PluginInfo

__all__ = ["manage", "managed_clients", "release"]

# Seconds beyond the ladder's own, for SIGKILL and for giving everything back.
_CLOSE_MARGIN = 1.0
# Seconds. An interpreter that ends must end, with any settings of the clients.
_EXIT_LIMIT = 10.0

_loop_by_client: dict[PluginInfo, asyncio.AbstractEventLoop | None] = {}


def manage(client: PluginInfo, loop: asyncio.AbstractEventLoop | None) -> None:
    """Keeps a client that begins to start, for the clean-up of its loop; None for the blocking clients."""
    _end_at_exit()
    _loop_by_client[client] = loop


def release(client: PluginInfo) -> None:
    """Forgets a client that is closed."""
    _loop_by_client.pop(client, None)


def managed_clients(loop: asyncio.AbstractEventLoop | None) -> list[Any]:
    """The clients that are managed for a loop; None for the blocking ones."""
    of_loop = (client for client, theirs in list(_loop_by_client.items()) if theirs is loop)
    return [client for client in of_loop if not belongs_to_parent(client._process_id)]


@functools.cache
def _end_at_exit() -> None:
    # Functions for the exit run last first: the one that kills comes after the ladder, for the plugins that are left.
    end_plugins_at_exit()
    atexit.register(_end_all)


def _end_all() -> None:
    """Ends the plugins of all managed clients by the ladder, at once. The event loops of the clients run no more."""
    clients = [client for client in list(_loop_by_client) if not belongs_to_parent(client._process_id)]
    limits = [client.config.shutdown_timeout + client.config.kill_timeout for client in clients]
    deadline = time.monotonic() + min(max(limits, default=0.0) + _CLOSE_MARGIN, _EXIT_LIMIT)
    stops = [Operation(host.stop) for client in clients if (host := client._host) is not None]
    for stop in stops:
        stop.begin()
    for stop in stops:
        try:
            stop.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            return
