"""From a client's configuration to what the core and gRPC are told."""

from __future__ import annotations

import functools
import os
import ssl
from typing import TYPE_CHECKING, Any

import grpc.aio

from ferrule._core import Facts, Host
from ferrule.channel import Channel
from ferrule.channel.options import channel_settings
from ferrule.config import ClientConfig
from ferrule.tls import TLSConfig

if TYPE_CHECKING:
    from ferrule.channel.sync import SyncChannel

__all__ = ["core_settings", "der_to_pem", "open_channel", "open_sync_channel", "tls_settings"]

# A plugin has one socket on this machine: a long pause before the next attempt would help nobody.
_RECONNECT_MS = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200))


def core_settings(command: tuple[str, ...], config: ClientConfig) -> dict[str, Any]:
    """The settings of the core's `Host`, by name; read together with the process's environment at this moment."""
    # Loads a good deal that an import of the client should not cost.
    import tempfile

    tls = config.tls
    return {
        "command": list(command),
        "working_directory": config.cwd,
        "host_environment": {} if config.skip_host_env else dict(os.environ),
        "environment": dict(config.env),
        "search_path": config.env.get("PATH", os.environ.get("PATH", os.defpath)),
        "cookie": (config.magic_cookie_key, config.magic_cookie_value),
        "protocol_versions": list(config.protocol_versions),
        "auto_mtls": config.auto_mtls,
        "curve": config.certificate_curve,
        "tls": None if tls is None else tls_settings(tls),
        "transports": list(config.transports),
        "ports": (config.min_port, config.max_port),
        "start_timeout": config.start_timeout,
        "connect_timeout": config.connect_timeout,
        "shutdown_timeout": config.shutdown_timeout,
        "kill_timeout": config.kill_timeout,
        "socket_base": tempfile.gettempdir(),
        "die_with_host": config.die_with_host,
        "sync_stdout": config.sync_stdout is not None,
        "sync_stderr": config.sync_stderr is not None,
        "bridge": config.channel == "grpcio",
    }


def tls_settings(tls: TLSConfig) -> dict[str, Any]:
    """Certificates as the core takes them."""
    return {"ca": tls.ca, "certificate": tls.certificate, "key": tls.key, "server_name": tls.server_name}


def open_channel(host: Host, facts: Facts, config: ClientConfig) -> grpc.aio.Channel:
    """The channel that the settings ask for."""
    if config.channel == "grpcio":
        _keep_grpc_running()
        # Over the core's local socket; connects when it is first used.
        return grpc.aio.insecure_channel(f"unix:{facts.bridge}", options=_options(config))
    return Channel(host.channel(channel_settings(_options(config), None)), secure=_is_secure(config))


def open_sync_channel(host: Host, config: ClientConfig) -> SyncChannel:
    """The same for threads, always on the core."""
    # Loaded late: few need both.
    from ferrule.channel.sync import SyncChannel

    return SyncChannel(host.channel(channel_settings(_options(config), None)), secure=_is_secure(config))


def _is_secure(config: ClientConfig) -> bool:
    return config.auto_mtls or config.tls is not None


@functools.cache
def _keep_grpc_running() -> None:
    # Without this gRPC ends its thread with the last channel and starts it again with the next: 0.7 ms each time.
    grpc.aio.init_grpc_aio()


def _options(config: ClientConfig) -> list[tuple[str, Any]]:
    unlimited = -1
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", config.max_receive_bytes or unlimited),
        ("grpc.max_send_message_length", config.max_send_bytes or unlimited),
        # The name in go-plugin's certificates; else it would be the percent-encoded path of the local socket.
        ("grpc.default_authority", "localhost"),
        *_RECONNECT_MS,
    ]
    if config.keepalive is not None:
        options += [
            ("grpc.keepalive_time_ms", round(config.keepalive.time * 1000)),
            ("grpc.keepalive_timeout_ms", round(config.keepalive.timeout * 1000)),
            ("grpc.keepalive_permit_without_calls", 1),
        ]
    # Last, so that the caller's word is the last.
    return [*options, *config.grpc_options]


def der_to_pem(certificate: bytes | None) -> str | None:
    """A certificate as PEM text."""
    return None if certificate is None else ssl.DER_cert_to_PEM_cert(certificate)
