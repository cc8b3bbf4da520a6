"""What the calls of a blocking pool know of the plugin that they are made to, and want of their pool."""

from __future__ import annotations

import threading
from typing import Any, Protocol, Self

from ferrule import _core
from ferrule.channel.sync import SyncChannel
from ferrule.pool import PluginSpec
from ferrule.pool.policy import Plugin

__all__ = ["LeasedPlugin", "PooledClient", "Replacement", "Replacements"]


class PooledClient(Protocol):
    """What a pool's client, one of asyncio, is asked by threads; `wait_exited` by the loop's thread alone."""

    stop_report: _core.StopReport | None

    @property
    def sync_channel(self) -> SyncChannel: ...

    @property
    def is_started(self) -> bool: ...

    @property
    def pid(self) -> int | None: ...

    @property
    def exit_status(self) -> int | None: ...

    @property
    def stderr_tail(self) -> tuple[str, ...]: ...

    async def wait_exited(self) -> int | None: ...


class LeasedPlugin(Protocol):
    """One plugin of a pool.

    Attributes:
        sync_channel: The client's own channel.
        client: Its client.
        plugin: The plugin as the pool's policy sees it.
        spec: The spec that its process was started by.
        turns: The calls that it may still be sent at once; None for any number.
        replacements: The pool.
    """

    sync_channel: SyncChannel
    client: PooledClient
    plugin: Plugin
    spec: PluginSpec
    turns: threading.BoundedSemaphore | None
    replacements: Replacements

    def wait_exited(self, limit: float) -> bool:
        """Waits until the plugin has ended, at most some seconds; whether it has."""


class Replacement(Protocol):
    """A lease of the plugin that serves now."""

    @property
    def channel(self) -> Any:
        """The plugin, a `LeasedPlugin`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...


class Replacements(Protocol):
    """What calls want of their pool when their plugin is lost."""

    @property
    def retry_unsent(self) -> bool:
        """Whether a call that had not begun is made again."""

    def lease_for_call(self, spec: PluginSpec, timeout: float | None) -> Replacement:
        """A lease, not begun yet."""

    def count(self, plugin: Plugin, method: str, seconds: float, error: Exception | None) -> None:
        """Counts a call that has ended; without an error it has succeeded."""

    def wait_exited(self, client: PooledClient, limit: float) -> bool:
        """Waits until a client's plugin has ended, at most some seconds; whether it has."""
