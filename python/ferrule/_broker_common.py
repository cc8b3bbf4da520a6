"""What the brokers for event loops and for threads have in common, and the servers behind them."""

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

__all__ = ["SERVER_OPTIONS", "ListenerView", "checked_id", "listen", "network_of", "start", "unix_target", "unreached"]

_SERVICE_ID = whole_number(0, 2**32 - 1)
_UNLIMITED = -1
SERVER_OPTIONS = (
    ("grpc.max_receive_message_length", _UNLIMITED),
    ("grpc.max_send_message_length", _UNLIMITED),
)
"""Of a server that is brought by the broker."""


def checked_id(service_id: int) -> int:
    """An id as the core takes it.

    Raises:
        ConfigError: It is no number of 32 bits.
    """
    number: int = check("service_id", service_id, _SERVICE_ID, "Take it from the broker's next_id().")
    return number


def listen(server: grpc.Server | grpc.aio.Server, target: str) -> None:
    """Has a server listen where a listener's connections are carried.

    Raises:
        TransportError: It cannot, for example because the plugin was stopped meanwhile and its sockets are gone.
    """
    try:
        server.add_insecure_port(target)
    except RuntimeError as error:
        message = f"the server of a brokered service cannot listen at {target}: {error}"
        raise TransportError(message, "Serve while the plugin runs.", "listen.failed") from error


async def start(server: grpc.aio.Server) -> None:
    """Starts a server, to the end even if the caller is cancelled: grpcio's own start would break half-way."""
    starting = asyncio.ensure_future(server.start())
    try:
        await asyncio.shield(starting)
    finally:
        # It takes a turn of the loop.
        await starting


def network_of(address: str) -> tuple[str, str]:
    """Network and location of an address that a plugin names: `unix:PATH`, a path with a slash, or `HOST:PORT`."""
    if address.startswith("unix:"):
        # A target, which gRPC reads as a URI.
        return "unix", unquote(address.removeprefix("unix:"))
    return "unix" if "/" in address else "tcp", address


def unreached(sub_id: int, error: TransportError) -> ProtocolError:
    """The error for an address that a plugin named, and at which nobody answers."""
    return ProtocolError(f"the brokered service {sub_id} was not reached: {error.message}", error.hint, error.code)


def unix_target(path: str | os.PathLike[str]) -> str:
    """A socket as gRPC takes it: the path is part of a URI."""
    return f"unix:{quote(os.fsencode(path))}"


class ListenerView:
    """What is known of an id that the other side can dial."""

    _core: _core.BrokerListener

    @property
    def target(self) -> str:
        """Where the server is to listen, for its `add_insecure_port`: a socket in a directory of this user's."""
        return unix_target(self._core.backend)

    @property
    def address(self) -> str | None:
        """Where the other side connects to: a path or `IP:PORT`; None with multiplexing, which has no address."""
        return self._core.address

    @property
    def connections(self) -> int:
        """How many connections there are now."""
        return self._core.connections
