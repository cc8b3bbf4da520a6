"""GRPCBroker: further gRPC connections between a host and its plugin, in both directions.

Each side gives out ids for what it serves and tells them, in calls of the application, to the other side, which dials
them: go-plugin's GRPCBroker. Host and plugin use the same class; `RPCPluginClient.broker` is the host's. All
connections are protected as the main one is, with the same certificates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Self

import grpc.aio

from ferrule import _core
from ferrule._broker_common import SERVER_OPTIONS, ListenerInfo, checked_id, listen, start_server
from ferrule._mailbox import outcome
from ferrule._threaded_servicers import ThreadedServicers
from ferrule._weak_set import WeakSet
from ferrule.channel import Channel
from ferrule.channel.status import BROKER_CLOSED

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
        core: Returns the core's broker; called for each operation, since a restart brings another one.
        settings: Settings of the core's channels that are dialled, as `channel_settings` returns them.
        secure: Whether those channels are protected by TLS, so that calls may carry credentials.
    """

    def __init__(self, core: Callable[[], _core.Broker], settings: dict[str, Any], secure: bool) -> None:
        self._core = core
        self._settings = settings
        self._secure = secure
        self._channels: WeakSet[Channel] = WeakSet()
        self._listeners: set[BrokerListener] = set()
        self._servers: set[BrokerServer] = set()

    def next_id(self) -> int:
        """An id under which something can be served, another one at each call."""
        return self._core().next_id()

    async def dial(self, service_id: int) -> Channel:
        """Connects to the service that the other side serves under an id.

        Waits up to 5 seconds, as go-plugin does, for the id to be announced; with multiplexing also for the dials
        before this one. Without multiplexing an announced id can be dialled once; the channel reconnects by itself.

        Args:
            service_id: The id that the other side told, in a call of the application.

        Returns:
            A connected channel on the core, with any setting `channel`. Close it after use; closing the client
            or server does that too.

        Raises:
            ConfigError: The id is no number of 32 bits.
            ProtocolError: The id was not announced in time, or not answered, or the broker is closed.
            TransportError: The announced address cannot be connected to.
            SecurityError: The peer at the announced address has the wrong certificate.
        """
        number = checked_id(service_id)
        dialling: list[_core.Dialling] = []
        try:
            begun = outcome(lambda *to: dialling.append(self._core().dial(number, self._settings, *to)))
            return self._opened(await begun)
        except asyncio.CancelledError:
            # With multiplexing the dials after this one wait for it.
            for each in dialling:
                each.give_up()
            raise

    async def dial_address(self, network: str, address: str) -> Channel:
        """Connects to an address of the other side that came by other means than the broker.

        The connection is protected as the main one is, with the same certificates.

        Args:
            network: `unix` or `tcp`.
            address: A path, or `HOST:PORT`.

        Returns:
            A connected channel. Close it after use; closing the client
            or server does that too.

        Raises:
            TransportError: Nothing listens at the address.
            SecurityError: The peer at the address has the wrong certificate.
        """
        return self._opened(await outcome(lambda *to: self._core().dial_address(network, address, self._settings, *to)))

    async def accept(self, service_id: int) -> BrokerListener:
        """Lets the other side dial an id, for a server that the caller brings; `accept_and_serve` makes one.

        Args:
            service_id: An id from `next_id()`.

        Returns:
            A listener, whose `target` the server is to listen on. Close it after use.

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
            ConfigError: The id is no number of 32 bits.
            ProtocolError: The id is in use, or the broker is closed.
            SecurityError: There is no certificate to show to those who dial.
            TransportError: No socket could be opened, or the other side, or this one, was stopped meanwhile.
            Exception: What `register` raises.
        """
        server = grpc.aio.server(interceptors=[ThreadedServicers(None)], options=[*SERVER_OPTIONS, *(options or ())])
        try:
            register(server)
            listener = await self.accept(service_id)
            try:
                listen(server, listener.target)
                await start_server(server)
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
        """Ends everything that was opened by this object, running calls included. Called by the client or server.

        Does nothing in a forked child, nor do listeners and servers there: all of it belongs to the parent.
        """
        if _core.is_forked():
            return
        await asyncio.gather(*(channel.close() for channel in self._channels))
        await asyncio.gather(*(server.stop() for server in list(self._servers)))
        await asyncio.gather(*(listener.close() for listener in list(self._listeners)))

    def _opened(self, core: _core.Channel) -> Channel:
        # The channel takes up the connection at once, which else would wait, unwatched, for the first call.
        core.connect()
        channel = Channel(core, secure=self._secure, close_status=BROKER_CLOSED)
        self._channels.add(channel)
        return channel


class BrokerListener(ListenerInfo):
    """An id that the other side can dial, and the socket to which its connections are carried, without their TLS.

    A gRPC server is to listen at `target` within 5 seconds of the first connection. As a context manager the listener
    is closed on exit.
    """

    def __init__(self, core: _core.BrokerListener, forget: Callable[[BrokerListener], object]) -> None:
        self._core = core
        self._forget = forget

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Refuses further dials, ends the connections, and removes the socket; does nothing if it is closed."""
        if not _core.is_forked():
            self._forget(self)
            await outcome(self._core.close)


class BrokerServer:
    """A gRPC server that the other side reaches under an id. As a context manager the server is stopped on exit.

    Attributes:
        listener (BrokerListener): The listener whose connections it serves.
    """

    def __init__(
        self, server: grpc.aio.Server, listener: BrokerListener, forget: Callable[[BrokerServer], object]
    ) -> None:
        self.listener = listener
        self._server = server
        self._forget = forget

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
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
        """Waits until the server has been stopped, by any caller."""
        await self._server.wait_for_termination()
