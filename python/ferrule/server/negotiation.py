"""The decisions of a plugin before it listens: protocol version, security, address."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from ferrule._secrecy import Sealed
from ferrule._socket_directory import socket_base
from ferrule._validation import INVALID
from ferrule.errors import ConfigError
from ferrule.server.config import ServerConfig
from ferrule.server.handshake import choose_version
from ferrule.tls import tls_settings

__all__ = ["Negotiated", "host_variables", "negotiate"]

_VARIABLES = (
    "PLUGIN_PROTOCOL_VERSIONS",
    "PLUGIN_CLIENT_CERT",
    "PLUGIN_MULTIPLEX_GRPC",
    "PLUGIN_MIN_PORT",
    "PLUGIN_MAX_PORT",
    "PLUGIN_UNIX_SOCKET_DIR",
    "PLUGIN_UNIX_SOCKET_GROUP",
)
# The words that Go's ParseBool takes for true.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})


class Negotiated(NamedTuple):
    """The result of a plugin's settings and its host's variables."""

    protocol_version: int
    core_settings: Sealed
    """Settings of the core's `PluginServer`, by name."""
    ignored_versions: list[str]
    """Items of the host's list of versions that are not integers."""


def host_variables() -> dict[str, str]:
    """The variables that the host wrote into the environment.

    Other variables are left out, because a traceback with local variables shows the result.
    """
    return {name: os.environ[name] for name in _VARIABLES if name in os.environ}


def negotiate(config: ServerConfig, versions: Collection[int], environment: Mapping[str, str]) -> Negotiated:
    """Combines the plugin's settings with its host's variables.

    Args:
        config: The plugin's settings.
        versions: Protocol versions that the plugin speaks, at least one.
        environment: The result of `host_variables`; empty for a plugin without a host.

    Raises:
        ConfigError: The host's port range is reversed or not made of numbers.
    """
    version, ignored = choose_version(versions, environment.get("PLUGIN_PROTOCOL_VERSIONS", ""))
    host_certificate = environment.get("PLUGIN_CLIENT_CERT") or None
    settings = Sealed(
        security="certificates" if config.tls else "auto-mtls" if host_certificate else "plaintext",
        # As in Go, a plugin with its own certificates ignores AutoMTLS.
        client_certificate=None if config.tls else host_certificate,
        tls=None if config.tls is None else tls_settings(config.tls),
        curve=config.certificate_curve,
        multiplex=environment.get("PLUGIN_MULTIPLEX_GRPC") in _TRUE,
        protocol_version=version,
        network=config.network,
        ports=_ports(environment),
        socket_directory=environment.get("PLUGIN_UNIX_SOCKET_DIR") or None,
        socket_group=environment.get("PLUGIN_UNIX_SOCKET_GROUP") or None,
        # A host that names a directory removes it, and with it what a killed plugin leaves there.
        socket_base=socket_base(environment.get("PLUGIN_UNIX_SOCKET_DIR")),
    )
    return Negotiated(version, settings, ignored)


def _ports(environment: Mapping[str, str]) -> tuple[int, int]:
    low, high = (_port(environment, name) for name in ("PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT"))
    if low > high:
        message = f"PLUGIN_MIN_PORT and PLUGIN_MAX_PORT are {low} and {high}, expected a range"
        raise ConfigError(message, "Swap the two.", INVALID)
    return low, high


def _port(environment: Mapping[str, str], name: str) -> int:
    """One end of the host's port range; 0, any free port, if the host names none."""
    text = environment.get(name) or "0"
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > 65535:
        raise ConfigError(f"{name} is {text!r}, expected a port from 0 to 65535", "Correct it in the host.", INVALID)
    return int(text)
