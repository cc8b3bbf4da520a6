"""The channels to a plugin, with the options that its client's settings come to."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import grpc.aio

from ferrule._core import Facts, Host
from ferrule.channel import Channel
from ferrule.channel.options import channel_settings
from ferrule.channel.status import CLIENT_CLOSED
from ferrule.config import ClientConfig, KeepalivePolicy

if TYPE_CHECKING:
    from ferrule.channel.sync import SyncChannel

__all__ = ["native_settings", "open_channel", "open_sync_channel"]

# A plugin has one socket on this machine: a long pause before the next attempt would not help.
_RECONNECT_MS = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200))


def open_channel(host: Host, facts: Facts, config: ClientConfig, secure: bool) -> grpc.aio.Channel:
    """The channel for asyncio, of the kind that the setting `channel` names."""
    if config.channel == "grpcio":
        _keep_grpc_running()
        # Loaded late: few need it.
        from ferrule._broker_common import unix_target

        # The channel goes over the core's local socket, and connects when it is first used.
        return grpc.aio.insecure_channel(unix_target(facts.bridge or ""), options=_options(config))
    return Channel(host.channel(native_settings(config)), secure=secure, close_status=CLIENT_CLOSED)


def open_sync_channel(host: Host, config: ClientConfig, secure: bool) -> SyncChannel:
    """The channel for threads, which is always Ferrule's own."""
    # Loaded late: few need both.
    from ferrule.channel.sync import SyncChannel

    return SyncChannel(host.channel(native_settings(config)), secure=secure, close_status=CLIENT_CLOSED)


def native_settings(config: ClientConfig) -> dict[str, Any]:
    """The settings of a core channel, to the plugin itself or to a service of its broker."""
    if config.grpc_options:
        return channel_settings(_options(config), None)
    return _usual_settings(config.max_receive_bytes, config.max_send_bytes, config.keepalive)


@functools.lru_cache
def _usual_settings(
    max_receive_bytes: int | None, max_send_bytes: int | None, keepalive: KeepalivePolicy | None
) -> dict[str, Any]:
    """The settings of a channel without options of the caller's: a host of many plugins has few of them."""
    return channel_settings(_own_options(max_receive_bytes, max_send_bytes, keepalive), None)


@functools.cache
def _keep_grpc_running() -> None:
    # Else gRPC ends its thread with the last channel and starts it again with the next: 0.7 ms each time.
    grpc.aio.init_grpc_aio()


def _options(config: ClientConfig) -> list[tuple[str, Any]]:
    # The caller's options come last, and win.
    own = _own_options(config.max_receive_bytes, config.max_send_bytes, config.keepalive)
    return [*own, *config.grpc_options]


def _own_options(
    max_receive_bytes: int | None, max_send_bytes: int | None, keepalive: KeepalivePolicy | None
) -> list[tuple[str, Any]]:
    unlimited = -1
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", max_receive_bytes or unlimited),
        ("grpc.max_send_message_length", max_send_bytes or unlimited),
        # The name in go-plugin's certificates; the default would be the percent-encoded path of the local socket.
        ("grpc.default_authority", "localhost"),
        *_RECONNECT_MS,
    ]
    if keepalive is not None:
        options += [
            ("grpc.keepalive_time_ms", round(keepalive.time * 1000)),
            ("grpc.keepalive_timeout_ms", round(keepalive.timeout * 1000)),
            ("grpc.keepalive_permit_without_calls", 1),
        ]
    return options
