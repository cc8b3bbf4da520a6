"""GRPCBroker for threads: further gRPC connections between a host and its plugin, in both directions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import grpc

from ferrule import _core
from ferrule._broker_common import SERVER_OPTIONS, ListenerInfo, checked_id, listen
from ferrule._host.operation import Operation
from ferrule._weak_set import WeakSet
from ferrule.channel.status import BROKER_CLOSED
from ferrule.channel.sync import SyncChannel

__all__ = ["BrokerListener", "BrokerServer", "GRPCBroker", "Register"]

Register = Callable[[grpc.Server], object]
"""Adds servicers to a server, such as `lambda server: add_KVServicer_to_server(KV(), server)`."""

# Seconds. Handlers are the user's, and one of them may stop its own server.
_STOP_LIMIT = 1.0


class GRPCBroker:
    """The host's access to the broker, for any number of threads, until its client is closed.

    A host serves, and has its plugin call it back, like this::

        service_id = client.broker.next_id()
        with client.broker.accept_and_serve(service_id, lambda server: add_servicer(servicer, server)):
            stub.CallMeBack(Request(service_id=service_id))

    Args:
        core: Returns the core's broker.
        settings: Settings of the core's channels that are dialled, as `channel_settings` returns them.
        secure: Whether those channels are protected by TLS, so that calls may carry credentials.
    """

    def __init__(self, core: Callable[[], _core.Broker], settings: dict[str, Any], secure: bool) -> None:
        self._core = core
        self._settings = settings
        self._secure = secure
        self._channels: WeakSet[SyncChannel] = WeakSet()
        self._listeners: set[BrokerListener] = set()
        self._servers: set[BrokerServer] = set()

    def next_id(self) -> int:
        """An id under which something can be served, another one at each call."""
        return self._core().next_id()

    def dial(self, service_id: int) -> SyncChannel:
        """Connects to the service that the plugin serves under an id.

        Waits up to 5 seconds, as go-plugin does, for the id to be announced; with multiplexing also for the dials
        before this one. Without multiplexing an announced id can be dialled once; the channel reconnects by itself.

        Args:
            service_id: The id that the plugin told, in a call of the application.

        Returns:
            A connected channel. Close it after use; closing the client does that too.

        Raises:
            ConfigError: The id is no number of 32 bits.
            ProtocolError: The id was not announced in time, or not answered, or the broker is closed.
            TransportError: The announced address cannot be connected to.
            SecurityError: The peer at the announced address has the wrong certificate.
        """
        return self._opened(functools.partial(self._core().dial, checked_id(service_id), self._settings))

    def dial_address(self, network: str, address: str) -> SyncChannel:
        """Connects to an address of the plugin that came by other means than the broker.

        The connection is protected as the main one is, with the same certificates.

        Args:
            network: `unix` or `tcp`.
            address: A path, or `HOST:PORT`.

        Returns:
            A connected channel. Close it after use; closing the client does that too.

        Raises:
            TransportError: Nothing listens at the address.
            SecurityError: The peer at the address has the wrong certificate.
        """
        return self._opened(functools.partial(self._core().dial_address, network, address, self._settings))

    def accept(self, service_id: int) -> BrokerListener:
        """Lets the plugin dial an id, for a server that the caller brings; `accept_and_serve` makes one.

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
        accepting = Operation(functools.partial(self._core().accept, checked_id(service_id)))
        listener = BrokerListener(accepting.result(), self._listeners.discard)
        self._listeners.add(listener)
        return listener

    def accept_and_serve(
        self,
        service_id: int,
        register: Register,
        *,
        options: Sequence[tuple[str, Any]] | None = None,
        max_workers: int = 10,
    ) -> BrokerServer:
        """Serves under an id until stopped: a `grpc.server` behind the core's TLS.

        Args:
            service_id: An id from `next_id()`.
            register: Adds servicers to the server that it is given.
            options: Options of the server, which win over the default of messages without limit.
            max_workers: Threads for the servicers' methods; default 10.

        Returns:
            The server, started: the plugin may be told the id.

        Raises:
            ConfigError: The id is no number of 32 bits.
            ProtocolError: The id is in use, or the broker is closed.
            SecurityError: There is no certificate to show to those who dial.
            TransportError: No socket could be opened, or the plugin was stopped meanwhile.
            Exception: What `register` raises.
        """
        threads = ThreadPoolExecutor(max_workers, thread_name_prefix=f"ferrule-broker-{service_id}")
        server = grpc.server(threads, options=[*SERVER_OPTIONS, *(options or ())])
        try:
            register(server)
            listener = self.accept(service_id)
            try:
                listen(server, listener.target)
                server.start()
            except BaseException:
                listener.close()
                raise
        except BaseException:
            server.stop(None)
            threads.shutdown(wait=False)
            raise
        served = BrokerServer(server, threads, listener, self._servers.discard)
        self._servers.add(served)
        return served

    def close(self) -> None:
        """Ends everything that was opened by this object, running calls included. Called by the client.

        Does nothing in a forked child, nor do listeners and servers there: all of it belongs to the parent.
        """
        if _core.is_forked():
            return
        for channel in self._channels:
            channel.close()
        for server in list(self._servers):
            server.stop()
        for listener in list(self._listeners):
            listener.close()

    def _opened(self, begin: Callable[[_core.Mailbox, Any], object]) -> SyncChannel:
        channel = SyncChannel(Operation(begin).result(), secure=self._secure, close_status=BROKER_CLOSED)
        self._channels.add(channel)
        return channel


class BrokerListener(ListenerInfo):
    """An id that the plugin can dial, and the socket to which its connections are carried, without their TLS.

    A gRPC server is to listen at `target` within 5 seconds of the first connection. As a context manager the listener
    is closed on exit.
    """

    def __init__(self, core: _core.BrokerListener, forget: Callable[[BrokerListener], object]) -> None:
        self._core = core
        self._forget = forget
        self._closing = Operation(core.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuses further dials, ends the connections, and removes the socket; may be called again."""
        if not _core.is_forked():
            self._closing.result()
            self._forget(self)


class BrokerServer:
    """A gRPC server that the plugin reaches under an id. As a context manager the server is stopped on exit.

    Attributes:
        listener (BrokerListener): The listener whose connections it serves.
    """

    def __init__(
        self,
        server: grpc.Server,
        threads: ThreadPoolExecutor,
        listener: BrokerListener,
        forget: Callable[[BrokerServer], object],
    ) -> None:
        self.listener = listener
        self._server = server
        self._threads = threads
        self._forget = forget

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self, grace: float | None = None) -> None:
        """Stops serving and gives everything back. May be called again, by any thread, a servicer's method included.

        Args:
            grace: Seconds for calls that run; default None, they are cancelled at once.
        """
        if _core.is_forked():
            return
        try:
            self._server.stop(grace).wait((grace or 0.0) + _STOP_LIMIT)
        finally:
            # Without waiting for methods that run on although their call has ended.
            self._threads.shutdown(wait=False, cancel_futures=True)
            self.listener.close()
            self._forget(self)

    def wait_stopped(self, timeout: float | None = None) -> bool:
        """Waits until the server has been stopped, by any caller.

        Args:
            timeout: Seconds to wait; default None, without limit.

        Returns:
            Whether it was stopped in time.
        """
        # gRPC says whether the time has passed.
        return not self._server.wait_for_termination(timeout)
