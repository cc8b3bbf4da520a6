"""A plugin's steps before it serves: the cookie, the address, and the handshake line."""

import base64
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ferrule.testing import COOKIE_KEY, COOKIE_VALUE

CORE_VERSION = 1


class Address(NamedTuple):
    """The plugin's address, in the words of the handshake line."""

    network: str
    location: str


def cookie_matches(environment: Mapping[str, str]) -> bool:
    """Whether a host that knows this plugin started the process."""
    return environment.get(COOKIE_KEY) == COOKIE_VALUE


def candidate_addresses(environment: Mapping[str, str], tcp: bool) -> Iterator[Address]:
    """Addresses to try in turn: one for a Unix socket, each free port of the host's range for TCP.

    Raises:
        ValueError: The port range is reversed or not made of numbers.
    """
    if not tcp:
        directory = environment.get("PLUGIN_UNIX_SOCKET_DIR") or tempfile.gettempdir()
        yield Address("unix", os.path.join(directory, f"plugin{int.from_bytes(os.urandom(8))}"))
        return
    lowest, highest = (int(environment.get(name) or 0) for name in ("PLUGIN_MIN_PORT", "PLUGIN_MAX_PORT"))
    if lowest > highest:
        raise ValueError(f"PLUGIN_MIN_PORT {lowest} is above PLUGIN_MAX_PORT {highest}; swap them")
    for port in range(lowest, highest + 1):
        # A plain socket tries the port first, because gRPC reports every port in use on stderr.
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            free = probe.getsockname()[1]
        yield Address("tcp", f"127.0.0.1:{free}")


def line(version: int, address: Address, certificate: bytes, multiplexing_asked: bool) -> str:
    """The handshake line without its line break.

    Args:
        version: The chosen application version.
        address: The plugin's address.
        certificate: DER of the plugin's certificate; empty for plaintext.
        multiplexing_asked: Whether the host set `PLUGIN_MULTIPLEX_GRPC`. The line then answers `false`, so that the
            host fails with a clear error.
    """
    encoded = base64.b64encode(certificate).decode().rstrip("=")
    multiplexing = "|false" if multiplexing_asked else ""
    return f"{CORE_VERSION}|{version}|{address.network}|{address.location}|grpc|{encoded}{multiplexing}"
