"""GRPCBroker: further gRPC connections between a host and its plugin, in both directions.

Each side gives out ids for what it serves and tells them to the other in calls of the application, which then dials
them. Host and plugin use the same class; `RPCPluginClient.broker` is the host's. All connections are protected as the
main one is, with the same certificates.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import grpc.aio

from ferrule import _core
from ferrule._broker_common import SERVER_OPTIONS, ListenerView, checked_id, listen, start
from ferrule._mailbox import outcome
from ferrule._threaded_servicers import ThreadedServicers
from ferrule.channel import Channel

__all__ = ["BrokerListener", "BrokerServer", "GRPCBroker", "Register"]

Register = Callable[[grpc.aio.Server], object]
"""Adds servicers to a server, such as `lambda server: add_KVServicer_to_server(KV(), server)`."""


class GRPCBroker:
    """One side's access to the broker, for the event loop of its client or server, which closes it.

    A host serves, and has its plugin call it back, like this::

        service_id = client.broker.next_id()
        async with await client.broker.accept_and_serve(service_id, lambda server: add_servicer(servicer, server)):
            await stub.CallMeBack(Request(service_id=service_id))

    Args:
        core: Returns the core's broker; called for each operation, so that it may be one after the other.
        settings: Settings of the core's channels that are dialled, as `channel_settings` returns them.
        secure: Whether those channels are protected by TLS, so that calls may carry credentials.
    """

    def __init__(self, core: Callable[[], _core.Broker], settings: dict[str, Any], secure: bool) -> None:
        self._core = core
        self._settings = settings
        self._secure = secure
        self._channels: weakref.WeakSet[Channel] = weakref.WeakSet()
        self._listeners: set[BrokerListener] = set()
        self._servers: set[BrokerServer] = set()

    def next_id(self) -> int:
        """An id for something to serve, different at each call."""
        return self._core().next_id()

    async def dial(self, service_id: int) -> Channel:
        """Connects to what the other side serves under an id. Waits up to 5 seconds for it to be announced,
        multiplexed for the dials before it as well.

        Without multiplexing an id that was announced can be dialled once; the channel reconnects by itself.

        Args:
            service_id: The id, as the other side told it.

        Returns:
            A connected channel on the core, whatever the setting `channel` is. Close it after use; closing the client
            or server does that too.

        Raises:
            ConfigError: The id is no number of 32 bits.
            ProtocolError: The id was not announced in time, or not answered, or the broker is closed.
            TransportError: The address that was announced cannot be connected to.
            SecurityError: Something with the wrong certificate answers there.
        """
        number = checked_id(service_id)
        return self._opened(await outcome(lambda *to: self._core().dial(number, self._settings, *to)))

    async def dial_address(self, network: str, address: str) -> Channel:
        """Connects to an address of the other side that came by other means, under the same protection.

        Args:
            network: `unix` or `tcp`.
            address: A path, or `HOST:PORT`.

        Raises:
            TransportError: Nothing listens there.
            SecurityError: Something with the wrong certificate answers there.
        """
        return self._opened(await outcome(lambda *to: self._core().dial_address(network, address, self._settings, *to)))

    async def accept(self, service_id: int) -> BrokerListener:
        """Lets the other side dial an id, for a server of one's own; `accept_and_serve` brings one.

        Args:
            service_id: An id from `next_id()`.

        Raises:
            ConfigError: The id is no number of 32 bits.
            ProtocolError: The id is in use, or the broker is closed.
            SecurityError: There is no certificate to show to those who dial.
            TransportError: No socket could be opened.
        """
        number = checked_id(service_id)
        core: _core.BrokerListener = await outcome(lambda *to: self._core().accept(number, *to))
        listener = BrokerListener(core, self._listeners.discard)
        self._listeners.add(listener)
        return listener

    async def accept_and_serve(
        self, service_id: int, register: Register, *, options: Sequence[tuple[str, Any]] | None = None
    ) -> BrokerServer:
        """Serves under an id until stopped: a server of `grpc.aio` behind the core's TLS.

        Args:
            service_id: An id from `next_id()`.
            register: Adds servicers to the server that it is given; they may be asynchronous or not.
            options: Options of the server, which win over the default of messages without limit.

        Returns:
            The server, started: the other side may be told the id.

        Raises:
            ConfigError: As for `accept`; so for the other errors. What `register` raises comes through.
            TransportError: The other side, or this one, was stopped meanwhile.
        """
        server = grpc.aio.server(interceptors=[ThreadedServicers(None)], options=[*SERVER_OPTIONS, *(options or ())])
        try:
            register(server)
            listener = await self.accept(service_id)
            try:
                listen(server, listener.target)
                await start(server)
            except BaseException:
                await listener.close()
                raise
        except BaseException:
            await server.stop(None)
            raise
        served = BrokerServer(server, listener, self._servers.discard)
        self._servers.add(served)
        return served

    async def close(self) -> None:
        """Ends everything that was opened here, also calls that run. Called by the client or server.

        In a forked child it does nothing, and so do the listeners and servers: all is the parent's.
        """
        if _core.is_forked():
            return
        await asyncio.gather(*(channel.close() for channel in list(self._channels)))
        await asyncio.gather(*(server.stop() for server in list(self._servers)))
        await asyncio.gather(*(listener.close() for listener in list(self._listeners)))

    def _opened(self, core: _core.Channel) -> Channel:
        # Takes up the connection that was made, which else would wait, unwatched, for the first call.
        core.connect()
        channel = Channel(core, secure=self._secure)
        self._channels.add(channel)
        return channel


class BrokerListener(ListenerView):
    """An id that the other side can dial, and the socket to which its connections are carried, without their TLS.

    A gRPC server is to listen at `target` within 5 seconds of the first connection. As a context manager it is closed
    on exit.
    """

    def __init__(self, core: _core.BrokerListener, forget: Callable[[BrokerListener], object]) -> None:
        self._core = core
        self._forget = forget

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets nobody dial any more, ends the connections, and removes the socket; does nothing if it is closed."""
        if not _core.is_forked():
            self._forget(self)
            await outcome(self._core.close)


class BrokerServer:
    """A gRPC server that the other side reaches under an id. As a context manager it is stopped on exit.

    Attributes:
        listener (BrokerListener): What it listens on.
    """

    def __init__(
        self, server: grpc.aio.Server, listener: BrokerListener, forget: Callable[[BrokerServer], object]
    ) -> None:
        self.listener = listener
        self._server = server
        self._forget = forget

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self, grace: float | None = None) -> None:
        """Stops serving and gives everything back; may be called again.

        Args:
            grace: Seconds for calls that run; default None, they are cancelled at once.
        """
        if _core.is_forked():
            return
        try:
            await self._server.stop(grace)
        finally:
            await self.listener.close()
            self._forget(self)

    async def wait_stopped(self) -> None:
        """Returns when the server has been stopped, by whomever."""
        await self._server.wait_for_termination()
