"""RPCPluginClient: one plugin, from launch to clean end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import grpc.aio

from ferrule import _core
from ferrule._contexts import AsyncContext
from ferrule._finalizers import finalizer
from ferrule._host.channels import native_settings, open_channel, open_sync_channel
from ferrule._host.launch import core_settings
from ferrule._host.lifecycle import (
    already_starting,
    belongs_to_parent,
    check_process,
    closed_while_starting,
    end_plugins_at_exit,
    is_permanent,
    no_plugin,
    retry_pauses,
    warn_of_unclosed,
)
from ferrule._host.managed import manage, release
from ferrule._host.plugin_info import PluginInfo
from ferrule._mailbox import cannot_await, mailbox, outcome
from ferrule._secrecy import forgetful
from ferrule.channel import Channel
from ferrule.client.output import LoopOutputForwarder
from ferrule.client.session import Session
from ferrule.config import ClientConfig
from ferrule.errors import RPCPluginError, TransportError
from ferrule.reattach import ReattachConfig

if TYPE_CHECKING:
    from ferrule.broker import GRPCBroker
    from ferrule.channel.sync import SyncChannel

__all__ = ["RPCPluginClient"]

end_plugins_at_exit()


class RPCPluginClient(PluginInfo, AsyncContext):
    """Launches a go-plugin plugin, or attaches to one that runs, and talks to it over gRPC.

    A client belongs to the event loop that starts it. As a context manager it starts on entry and on exit shuts the
    plugin down and closes, also when the body raised.

    Args:
        command: The program and its arguments. A program without a slash is looked up on PATH.
        config: Settings: a `ClientConfig`, a mapping with the same names, or None for the defaults, which are
            Terraform's, so that any provider binary works.
        reattach: A plugin that runs already, to attach to instead of launching one: a `ReattachConfig` or a mapping of
            its settings; default None. The command is left out then.

    Attributes:
        command (tuple[str, ...]): The command line; empty with `reattach`.
        config (ClientConfig): The checked settings.
        reattach (ReattachConfig | None): The plugin to attach to.
        grpc_channel (grpc.aio.Channel | None): For stubs; None before `start()` and after `close()`: a stub then says
            "'NoneType' object has no attribute 'unary_unary'".
        stop_report: The course of `shutdown_plugin()`: `rung`, the step that ended the plugin ("shutdown", "sigterm",
            "sigkill", "exited" if the plugin had ended before, "detached" if this host does not own it), `seconds`,
            `steps` (seconds by rung) and `exit_status`; None before.

    Raises:
        ConfigError: The command or a setting does not fit.

    Example:
        >>> import asyncio
        >>> from ferrule.client import RPCPluginClient
        >>> from ferrule.testing import KV_CONFIG, KVStub, kv_pb2, plugin_command
        >>> async def main():
        ...     async with RPCPluginClient(plugin_command(), KV_CONFIG) as client:
        ...         stub = KVStub(client.grpc_channel)
        ...         await stub.Put(kv_pb2.PutRequest(key="colour", value=b"green"))
        ...         return (await stub.Get(kv_pb2.GetRequest(key="colour"))).value
        >>> asyncio.run(main())
        b'green'
    """

    @forgetful
    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]] = (),
        config: ClientConfig | Mapping[str, Any] | None = None,
        *,
        reattach: ReattachConfig | Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(command, config, reattach)
        self.grpc_channel: grpc.aio.Channel | None = None
        self.stop_report: _core.StopReport | None = None
        self._output = LoopOutputForwarder(self.command, self.config)
        self._session: Session | None = None
        self._sync_channel: SyncChannel | None = None
        self._broker: GRPCBroker | None = None
        self._exited: asyncio.Future[int | None] | None = None

    def __repr__(self) -> str:
        is_open = self._session is not None and self._session.is_open
        state = f"pid {self.pid}" if self.is_started else "open" if is_open else "not started"
        return f"<RPCPluginClient {self._name}: {state}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        # In a forked child the plugin belongs to the parent.
        if belongs_to_parent(self._process_id):
            return
        session = self._session
        if session is not None and cannot_await(exc_info[0], session.loop):
            session.abandon()
            return
        try:
            await self.shutdown_plugin()
        finally:
            await self.close()

    @finalizer
    def __del__(self) -> None:
        # An __init__ that raised leaves an object without this attribute; in a forked child the plugin is the parent's.
        session: Session | None = getattr(self, "_session", None)
        if (
            session is not None
            and session.is_open
            and self._host is not None
            and not belongs_to_parent(self._process_id)
        ):
            # First: where warnings are errors, nothing comes after one.
            session.abandon()
            warn_of_unclosed(self)

    async def start(self) -> None:
        """Launches the plugin and returns when calls work. Does nothing if it is started.

        Covers launch, handshake, negotiation of version and transport, TLS, a health check of the service `plugin`, and
        the subscription to its output. A start that failed or was cancelled has cleaned up after itself and may be
        repeated; so may one after `close()`.

        Raises:
            RPCPluginError: One of its subclasses; see `ferrule.errors`.
        """
        current = self._session
        if current is not None and current.closing is not None:
            await asyncio.shield(current.closing)
            current = self._session
        if current is not None and current.is_open:
            check_process(self, self._process_id)
            if self.is_started:
                return
            raise already_starting()
        session = self._session = Session(self._output)
        self._facts = self.stop_report = None
        self._process_id = os.getpid()
        if self.config.managed:
            manage(self, asyncio.get_running_loop())
        try:
            host, self._facts = await self._start_with_retries(session)
            # close() may have begun after the core was done and before this task heard of it.
            if session.given_up:
                raise closed_while_starting()
            self.grpc_channel = open_channel(host, self._facts, self.config, self._is_secure)
            self._channel_record.start(self.grpc_channel)
        except GeneratorExit:
            # The coroutine is closed: nothing can be awaited any more.
            session.abandon()
            raise
        except BaseException:
            # Another start() may have opened a session since.
            if session is self._session:
                await self.close()
            raise

    async def shutdown_plugin(self) -> None:
        """Ends the plugin and waits for its end; does nothing if it is not started.

        Asks by `GRPCController.Shutdown` and waits up to `shutdown_timeout`; then SIGTERM, up to `kill_timeout`; then
        SIGKILL for the plugin's whole process group. `stop_report` says which step ended the plugin. Everything that
        the plugin wrote before its end has been delivered when the method returns, and its socket directory is gone,
        unless `channel="grpcio"` still goes through it. A plugin that was attached to, and is not `owned`, runs on.
        """
        if self._host is None or not self.is_started:
            return
        report = await outcome(self._host.stop)
        # A second call finds the plugin ended, which says nothing about how.
        self.stop_report = self.stop_report or report
        await self._output.drain()

    async def close(self) -> None:
        """Gives everything back: channels, connections, sockets, directory; kills the plugin if it still runs.

        Calls under way end with UNAVAILABLE, and with a `CancelledError` if the setting `channel` is "grpcio".
        A plugin that was attached to, and is not `owned`, runs on. The method may be called at any moment, also during
        `start()`, and any number of times; every call returns when all is given back. Does nothing in a forked child:
        the plugin belongs to the parent.
        """
        if belongs_to_parent(self._process_id):
            return
        session = self._session
        if session is None or not session.is_open:
            return
        closing = session.closing
        if closing is None:
            if self._waits_for_nothing(session):
                # A task would cost the loop three turns, about as much as all the rest of the close.
                await self._close(session)
                return
            closing = asyncio.get_running_loop().create_task(self._close(session), name="ferrule close")
            # An eager one may be over.
            if not closing.done():
                session.closing = closing
        # A caller that is cancelled must not stop the cleaning up.
        await asyncio.shield(closing)

    async def wait_exited(self) -> int | None:
        """Waits until the plugin's process ends, for any reason; a crash is noticed at once.

        Returns:
            Its exit status as `subprocess` has it (negative: killed by that signal), None where unknown.

        Raises:
            RPCPluginError: The plugin was never started.
        """
        if self._host is None:
            raise no_plugin("wait for")
        loop = asyncio.get_running_loop()
        # One future for all waiters: those of a watchdog that asks again and again must not pile up.
        if self._exited is None or self._exited.get_loop() is not loop:
            exited = loop.create_future()
            self._host.exited(mailbox(), exited)
            self._exited = exited
        status = await asyncio.shield(self._exited)
        if status is None and self._facts is None and not self._host.was_launched:
            raise no_plugin("wait for")
        await self._output.drain()
        return status

    @property
    def is_started(self) -> bool:
        session = self._session
        is_open = session is not None and session.is_open and session.closing is None
        return is_open and self.grpc_channel is not None

    @property
    def sync_channel(self) -> SyncChannel:
        """A `grpc.Channel` to the plugin for threads and scripts: one object until `close()` closes it.

        Its calls block, and must not block the event loop: use the channel from other threads.

        Raises:
            RPCPluginError: The plugin is not started.
        """
        if self._host is None or not self.is_started:
            raise no_plugin("talk to")
        if self._sync_channel is None:
            self._sync_channel = open_sync_channel(self._host, self.config, self._is_secure)
            self._channel_record.add(self._sync_channel)
        return self._sync_channel

    @property
    def broker(self) -> GRPCBroker:
        """The broker, for further connections between host and plugin in both directions; `close()` closes them.

        Raises:
            RPCPluginError: The plugin is not started.
        """
        if self._host is None or not self.is_started:
            raise no_plugin("talk to")
        if self._broker is None:
            # Loaded late: few plugins have a use for it.
            from ferrule.broker import GRPCBroker

            self._broker = GRPCBroker(self._host.broker, native_settings(self.config), self._is_secure)
        return self._broker

    async def open_broker_subchannel(self, sub_id: int, address: str) -> Channel:
        """Connects to an address that the plugin named in a call of its own, under the plugin's TLS.

        If the plugin announces its service by its broker, `broker.dial` finds the address by the id alone.

        Args:
            sub_id: The id under which the plugin serves, for messages.
            address: `unix:PATH`, a path with a slash, or `HOST:PORT`.

        Returns:
            A connected channel.

        Raises:
            RPCPluginError: The plugin is not started.
            ProtocolError: Nothing answers at the address.
            SecurityError: The peer at the address has the wrong certificate.
        """
        # Loaded late: few plugins have a use for it.
        from ferrule._broker_common import service_not_reached, split_address

        try:
            return await self.broker.dial_address(*split_address(address))
        except TransportError as error:
            raise service_not_reached(sub_id, error) from error

    async def _start_with_retries(self, session: Session) -> tuple[_core.Host, _core.Facts]:
        for pause in retry_pauses(self.config.retry):
            try:
                return await self._start_once(session)
            except RPCPluginError as error:
                if session.given_up or is_permanent(error):
                    raise
                self._output.log.logger.warning("start failed, next attempt in %.2f s: %s", pause, error)
            if await session.pause(pause):
                raise closed_while_starting()
        return await self._start_once(session)

    async def _start_once(self, session: Session) -> tuple[_core.Host, _core.Facts]:
        program = await session.check_program(self.command, self.config)
        with program or contextlib.nullcontext():
            desk = session.open_runner(self.config)
            bridge = self.config.channel == "grpcio"
            settings = core_settings(self.command, self.config, self.reattach, program, desk, bridge)
            host = self._host = session.open_host(settings)
            # Those who waited for the end of an earlier attempt have been told of that one.
            self._exited = None
            return host, await session.start(host)

    def _waits_for_nothing(self, session: Session) -> bool:
        """Whether `_close` would not suspend, so that nobody could cancel it: the usual case after a stop."""
        if self._broker is not None or self._sync_channel is not None:
            return False
        return (self.grpc_channel is None or isinstance(self.grpc_channel, Channel)) and session.is_over()

    async def _close(self, session: Session) -> None:
        session.give_up()
        try:
            await self._close_channels()
        finally:
            try:
                await session.close()
            finally:
                session.is_open = False
                session.closing = session.loop = None
                self._channel_record.end()
                release(self)

    async def _close_channels(self) -> None:
        channel, self.grpc_channel = self.grpc_channel, None
        sync_channel, self._sync_channel = self._sync_channel, None
        broker, self._broker = self._broker, None
        if sync_channel is not None and sync_channel.begin_to_close():
            # Its callbacks may wait for this very loop. Where no thread is to be had, they run on by themselves.
            with contextlib.suppress(RuntimeError):
                await asyncio.to_thread(sync_channel.close)
        if broker is not None:
            await broker.close()
        if channel is not None:
            await channel.close()
