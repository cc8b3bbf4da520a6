"""The core's settings for a plugin that it starts or attaches to."""

from __future__ import annotations

import os
from typing import Any

from ferrule._core import RunnerRequests
from ferrule._executable import CheckedProgram, find_program, search_path
from ferrule._secrecy import Sealed
from ferrule._socket_directory import socket_base
from ferrule._validation import INVALID, shown
from ferrule.config import ClientConfig
from ferrule.errors import ConfigError
from ferrule.reattach import ReattachConfig
from ferrule.tls import tls_settings

__all__ = ["check_program", "core_settings"]


def check_program(command: tuple[str, ...], config: ClientConfig) -> CheckedProgram | None:
    """The program's open file, checked; None without `secure_config`. Reads the whole file, which takes time.

    Raises:
        LaunchError: There is no such program, or it cannot be read.
        SecurityError: The program has another checksum.
    """
    if config.secure_config is None:
        return None
    return CheckedProgram(find_program(command[0], config.cwd, search_path(config.env)), config.secure_config)


def core_settings(
    command: tuple[str, ...],
    config: ClientConfig,
    reattach: ReattachConfig | None = None,
    program: CheckedProgram | None = None,
    runner: RunnerRequests | None = None,
    bridge: bool = False,
) -> Sealed:
    """The settings of the core's `Host`, by name, with the process's environment of this moment.

    Args:
        command: The command line to launch; empty with `reattach`.
        config: The client's settings.
        reattach: A running plugin to attach to instead; default None.
        program: What `check_program` returned; may be closed once the core's `Host` has started.
        runner: The requests by which the core has a runner start the plugin; default None.
        bridge: Whether to open a local socket for a stock channel; default False.

    Raises:
        ConfigError: The setting `runner` is given, but not the argument: the client has no event loop for runners.
    """
    if config.runner is not None and runner is None:
        message = f"setting runner is {shown(config.runner)}, expected None for a client without an event loop"
        raise ConfigError(message, "Runners are asynchronous: use ferrule.RPCPluginClient.", INVALID)
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
        runner=runner,
    )


def _host_environment() -> dict[Any, Any]:
    """The environment variables of this process, as text or as bytes."""
    # The inside of `os.environ`, if that is the interpreter's own. `dict(os.environ)` decodes each variable, which the
    # core encodes again, and fails if another thread sets a variable meanwhile.
    held = getattr(os.environ, "_data", None)
    return held.copy() if isinstance(held, dict) else dict(os.environ)
