"""From a client's configuration to what the core and gRPC are told."""

from __future__ import annotations

import functools
import os
import ssl
from typing import TYPE_CHECKING, Any

import grpc.aio

from ferrule._core import Facts, Host
from ferrule._executable import CheckedProgram, find_program, search_path
from ferrule._secrecy import Sealed
from ferrule._socket_directory import socket_base
from ferrule._validation import CODE, shown
from ferrule.channel import Channel
from ferrule.channel.options import channel_settings
from ferrule.config import ClientConfig
from ferrule.errors import ConfigError
from ferrule.reattach import ReattachConfig
from ferrule.tls import TLSConfig

if TYPE_CHECKING:
    from ferrule.channel.sync import SyncChannel
    from ferrule.client.runner_driver import RunnerDriver

__all__ = [
    "check_program",
    "core_settings",
    "der_to_pem",
    "native_settings",
    "open_channel",
    "open_runner",
    "open_sync_channel",
    "tls_settings",
]

# A plugin has one socket on this machine: a long pause before the next attempt would help nobody.
_RECONNECT_MS = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200))


def check_program(command: tuple[str, ...], config: ClientConfig) -> CheckedProgram | None:
    """The program's open file, if its checksum is asked for and right. Reads the whole file, which takes time.

    Raises:
        LaunchError: There is no such program, or it cannot be read.
        SecurityError: It has another checksum.
    """
    if config.secure_config is None:
        return None
    return CheckedProgram(find_program(command[0], config.cwd, search_path(config.env)), config.secure_config)


def core_settings(
    command: tuple[str, ...],
    config: ClientConfig,
    reattach: ReattachConfig | None = None,
    program: CheckedProgram | None = None,
    runner: RunnerDriver | None = None,
    bridge: bool = False,
) -> Sealed:
    """The settings of the core's `Host`, by name; read together with the process's environment at this moment.

    Args:
        command: What to launch; empty with `reattach`.
        config: How.
        reattach: The running plugin to attach to instead.
        program: What `check_program` returned; may be closed once the core's `Host` has started.
        runner: What `open_runner` returned.
        bridge: Whether to open a local socket for a stock channel; default False.

    Raises:
        ConfigError: There is such a setting, but nobody at hand who could run it.
    """
    if config.runner is not None and runner is None:
        message = f"setting runner is {shown(config.runner)}, expected None for a client without an event loop"
        raise ConfigError(message, "Runners are asynchronous: use ferrule.RPCPluginClient.", CODE)
    tls = config.tls
    return Sealed(
        command=list(command),
        working_directory=config.cwd,
        host_environment={} if config.skip_host_env else _host_environment(),
        environment=dict(config.env),
        search_path=search_path(config.env),
        cookie=(config.magic_cookie_key, config.magic_cookie_value),
        protocol_versions=list(config.protocol_versions),
        # A plugin that runs already was told of the certificate of its first host alone.
        auto_mtls=config.auto_mtls and (reattach is None or reattach.tls is not None),
        curve=config.certificate_curve,
        tls=None if tls is None else tls_settings(tls),
        transports=list(config.transports),
        ports=(config.min_port, config.max_port),
        start_timeout=config.start_timeout,
        connect_timeout=config.connect_timeout,
        shutdown_timeout=config.shutdown_timeout,
        kill_timeout=config.kill_timeout,
        socket_base=socket_base(config.unix_socket_dir),
        die_with_host=config.die_with_host,
        sync_stdout=config.sync_stdout is not None,
        sync_stderr=config.sync_stderr is not None,
        bridge=bridge,
        multiplex=config.broker_multiplex,
        socket_group=config.unix_socket_group,
        executable=None if program is None else program.descriptor,
        max_memory_bytes=config.max_memory_bytes,
        max_cpu_seconds=config.max_cpu_seconds,
        reattach=None if reattach is None else reattach.core_settings(),
        runner=None if runner is None else runner.desk,
    )


def _host_environment() -> dict[Any, Any]:
    """The variables of this process, as text or as bytes."""
    # What `os.environ` holds, if it is the interpreter's own. `dict(os.environ)` decodes each variable, which the core
    # encodes again, and fails if another thread sets a variable meanwhile.
    held = getattr(os.environ, "_data", None)
    return held.copy() if isinstance(held, dict) else dict(os.environ)


def open_runner(config: ClientConfig) -> RunnerDriver | None:
    """What lets the setting `runner` start one plugin, on the running event loop; to be closed after its end."""
    if config.runner is None:
        return None
    # Loaded late: few have one.
    from ferrule.client.runner_driver import RunnerDriver

    return RunnerDriver(config.runner)


def tls_settings(tls: TLSConfig) -> Sealed:
    """Certificates as the core takes them."""
    return Sealed(ca=tls.ca, certificate=tls.certificate, key=tls.key, server_name=tls.server_name)


def open_channel(host: Host, facts: Facts, config: ClientConfig, secure: bool) -> grpc.aio.Channel:
    """The channel that the settings ask for."""
    if config.channel == "grpcio":
        _keep_grpc_running()
        # Loaded late: few need it.
        from ferrule._broker_common import unix_target

        # Over the core's local socket; connects when it is first used.
        return grpc.aio.insecure_channel(unix_target(facts.bridge or ""), options=_options(config))
    return Channel(host.channel(native_settings(config)), secure=secure)


def open_sync_channel(host: Host, config: ClientConfig, secure: bool) -> SyncChannel:
    """The same for threads, always on the core."""
    # Loaded late: few need both.
    from ferrule.channel.sync import SyncChannel

    return SyncChannel(host.channel(native_settings(config)), secure=secure)


def native_settings(config: ClientConfig) -> dict[str, Any]:
    """The settings of a core channel, to the plugin itself or to what it serves by its broker."""
    return channel_settings(_options(config), None)


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
