"""The common part of the brokers for asyncio and for threads: ids, addresses, and the servers behind listeners."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from ferrule._validation import check, whole_number
from ferrule.errors import ProtocolError, TransportError

if TYPE_CHECKING:
    import grpc
    import grpc.aio

    from ferrule import _core

__all__ = [
    "SERVER_OPTIONS",
    "ListenerInfo",
    "checked_id",
    "listen",
    "service_not_reached",
    "split_address",
    "start_server",
    "unix_target",
]

_SERVICE_ID = whole_number(0, 2**32 - 1)
_UNLIMITED = -1
SERVER_OPTIONS = (
    ("grpc.max_receive_message_length", _UNLIMITED),
    ("grpc.max_send_message_length", _UNLIMITED),
)
"""Default options of the servers that `accept_and_serve` makes: messages without limit, as go-plugin has them."""


def checked_id(service_id: int) -> int:
    """An id as the core takes it: an unsigned number of 32 bits, by go-plugin's message ConnInfo.

    Raises:
        ConfigError: The id is no such number.
    """
    number: int = check("service_id", service_id, _SERVICE_ID, "Take it from the broker's next_id().")
    return number


def listen(server: grpc.Server | grpc.aio.Server, target: str) -> None:
    """Has a server listen at `target`, to which the core carries a listener's connections.

    Raises:
        TransportError: The server cannot listen there, for example because the plugin was stopped meanwhile and its
            sockets are gone.
    """
    try:
        server.add_insecure_port(target)
    except RuntimeError as error:
        message = f"the server of a brokered service cannot listen at {target}: {error}"
        raise TransportError(message, "Serve while the plugin runs.", "listen.failed") from error


async def start_server(server: grpc.aio.Server) -> None:
    """Starts a server, and finishes even if the caller is cancelled: grpcio's own start would break half-way."""
    starting = asyncio.ensure_future(server.start())
    cancelled = None
    # The start takes a turn of the loop, in which the caller may be cancelled more than once.
    while not starting.done():
        try:
            await asyncio.wait([starting])
        except asyncio.CancelledError as error:
            cancelled = error
    await starting
    if cancelled is not None:
        raise cancelled


def split_address(address: str) -> tuple[str, str]:
    """The network and the location of an address: `unix:PATH`, a path with a slash, or `HOST:PORT`."""
    if address.startswith("unix:"):
        # A gRPC target is a URI.
        return "unix", unquote(address.removeprefix("unix:"))
    return "unix" if "/" in address else "tcp", address


def service_not_reached(sub_id: int, error: TransportError) -> ProtocolError:
    """The error for an address that a plugin named, and at which nothing answers."""
    return ProtocolError(f"the brokered service {sub_id} was not reached: {error.message}", error.hint, error.code)


def unix_target(path: str | os.PathLike[str]) -> str:
    """The gRPC target of a Unix socket: the path is quoted, as part of a URI."""
    return f"unix:{quote(os.fsencode(path))}"


class ListenerInfo:
    """Properties of an id that the other side can dial. The base of the brokers' listeners."""

    _core: _core.BrokerListener

    @property
    def target(self) -> str:
        """The target for the `add_insecure_port` of the server: a Unix socket in a private directory of this user."""
        return unix_target(self._core.backend)

    @property
    def address(self) -> str | None:
        """The address to which the other side connects, a path or `IP:PORT`; None with multiplexing."""
        return self._core.address

    @property
    def connections(self) -> int:
        """The number of connections that are open now."""
        return self._core.connections
