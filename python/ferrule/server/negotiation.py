"""What a plugin settles before it listens: which version it speaks and how it is reached."""

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
# Go's ParseBool.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})


class Negotiated(NamedTuple):
    """What the plugin's settings and its environment come to."""

    protocol_version: int
    core_settings: Sealed
    """Settings of the core's `PluginServer`, by name."""
    ignored_versions: list[str]
    """What the host offered that is no number."""


def host_variables() -> dict[str, str]:
    """What the host wrote into the environment; nothing else, since the frames of an error may show it."""
    return {name: os.environ[name] for name in _VARIABLES if name in os.environ}


def negotiate(config: ServerConfig, versions: Collection[int], environment: Mapping[str, str]) -> Negotiated:
    """Combines the plugin's settings with what its host wrote into the environment.

    Args:
        config: The plugin's settings.
        versions: Protocol versions that the plugin speaks, at least one.
        environment: What `host_variables` returned, or nothing for a plugin without a host.

    Raises:
        ConfigError: The host's port range is reversed or not made of numbers.
    """
    version, ignored = choose_version(versions, environment.get("PLUGIN_PROTOCOL_VERSIONS", ""))
    host_certificate = environment.get("PLUGIN_CLIENT_CERT") or None
    settings = Sealed(
        security="certificates" if config.tls else "auto-mtls" if host_certificate else "plaintext",
        # A plugin with certificates of its own takes no notice of AutoMTLS, as in Go.
        client_certificate=None if config.tls else host_certificate,
        tls=None if config.tls is None else tls_settings(config.tls),
        curve=config.certificate_curve,
        multiplex=environment.get("PLUGIN_MULTIPLEX_GRPC") in _TRUE,
        protocol_version=version,
        network=config.network,
        ports=_ports(environment),
        socket_directory=environment.get("PLUGIN_UNIX_SOCKET_DIR") or None,
        socket_group=environment.get("PLUGIN_UNIX_SOCKET_GROUP") or None,
        # A host that gives a directory removes it with all that a killed plugin leaves there.
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
    """A port of the host's range; 0, any free one, if the host has none."""
    text = environment.get(name) or "0"
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > 65535:
        raise ConfigError(f"{name} is {text!r}, expected a port from 0 to 65535", "Correct it in the host.", INVALID)
    return int(text)
