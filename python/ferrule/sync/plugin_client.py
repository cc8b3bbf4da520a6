"""RPCPluginClient for threads: one plugin, from launch to clean end."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Self

from ferrule import _core
from ferrule._broker_common import service_not_reached, split_address
from ferrule._contexts import BlockingContext
from ferrule._finalizers import finalizer
from ferrule._gevent import refuse_greenlets
from ferrule._host.channels import native_settings, open_sync_channel
from ferrule._host.launch import check_program, core_settings
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
from ferrule._host.operation import Operation
from ferrule._host.plugin_info import PluginInfo
from ferrule._secrecy import forgetful
from ferrule.channel.sync import SyncChannel
from ferrule.config import ClientConfig
from ferrule.errors import RPCPluginError, TransportError
from ferrule.reattach import ReattachConfig
from ferrule.sync.broker import GRPCBroker
from ferrule.sync.output import ThreadOutputForwarder
from ferrule.sync.session import Session, StartAttempt

__all__ = ["RPCPluginClient"]

end_plugins_at_exit()


class RPCPluginClient(PluginInfo, BlockingContext):
    """Launches a go-plugin plugin, or attaches to one that runs, and talks to it over gRPC, without an event loop.

    The class has the names of `ferrule.client.RPCPluginClient`; methods that are awaited there block the calling thread
    here, without holding the interpreter's lock. Any number of threads may use a client at once. Ctrl-C, and any other
    exception of a signal's handler, ends each wait. As a context manager the client starts on entry and on exit shuts
    the plugin down and closes, also when the body raised.

    One thread, `ferrule-delivery`, forwards log lines and output of all plugins: handlers of loggers and functions for
    output run there. A handler that blocks holds up the lines of other plugins, but no call.

    In a thread that runs an event loop the client works, but blocks that loop: use `ferrule.client` there.

    Args:
        command: The program and its arguments. A program without a slash is looked up on PATH.
        config: Settings: a `ClientConfig`, a mapping with the same names, or None for the defaults, which are
            Terraform's, so that any provider binary works. The setting `channel` has no effect here, and `runner` is
            refused: runners need an event loop.
        reattach: A plugin that runs already, to attach to instead of launching one: a `ReattachConfig` or a mapping of
            its settings; default None. The command is left out then.

    Attributes:
        command (tuple[str, ...]): The command line; empty with `reattach`.
        config (ClientConfig): The checked settings.
        reattach (ReattachConfig | None): The plugin to attach to.
        grpc_channel (SyncChannel | None): For stubs; None before `start()` and after `close()`: a stub then says
            "'NoneType' object has no attribute 'unary_unary'".
        stop_report: The course of `shutdown_plugin()`: `rung`, the step that ended the plugin ("shutdown", "sigterm",
            "sigkill", "exited" if the plugin had ended before, "detached" if this host does not own it), `seconds`,
            `steps` (seconds by rung) and `exit_status`; None before.

    Raises:
        ConfigError: The command or a setting does not fit, or two contradict each other.

    Example:
        >>> from ferrule.sync import RPCPluginClient
        >>> from ferrule.testing import KV_CONFIG, KVStub, kv_pb2, plugin_command
        >>> with RPCPluginClient(plugin_command(), KV_CONFIG) as client:
        ...     stub = KVStub(client.grpc_channel)
        ...     _ = stub.Put(kv_pb2.PutRequest(key="colour", value=b"green"))
        ...     stub.Get(kv_pb2.GetRequest(key="colour")).value
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
        refuse_greenlets("the blocking client")
        super().__init__(command, config, reattach)
        self.grpc_channel: SyncChannel | None = None
        self.stop_report: _core.StopReport | None = None
        self._output = ThreadOutputForwarder(self.command, self.config)
        self._broker: GRPCBroker | None = None
        self._session: Session | None = None
        # Held for moments, never for a wait. Reentrant: a signal's handler may close the client that it interrupts.
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        is_open = self._session is not None and self._session.is_open
        state = f"pid {self.pid}" if self.is_started else "open" if is_open else "not started"
        return f"<RPCPluginClient {self._name}: {state}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        # In a forked child the plugin belongs to the parent.
        if belongs_to_parent(self._process_id):
            return
        try:
            self.shutdown_plugin()
        finally:
            self.close()

    @finalizer
    def __del__(self) -> None:
        # An __init__ that raised leaves an object without this attribute; in a forked child the plugin is the parent's.
        session: Session | None = getattr(self, "_session", None)
        if session is not None and session.is_open and not session.given_up and not belongs_to_parent(self._process_id):
            # First: where warnings are errors, nothing comes after one.
            if session.attempt is not None:
                self._output.abandon(session.attempt.host)
            warn_of_unclosed(self)

    def start(self) -> None:
        """Launches the plugin and returns when calls work. Does nothing if it is started.

        Covers launch, handshake, negotiation of version and transport, TLS, a health check of the service `plugin`, and
        the subscription to its output. A start that failed or was interrupted has cleaned up after itself and may be
        repeated; so may one after `close()`.

        Raises:
            RPCPluginError: One of its subclasses; see `ferrule.errors`.
        """
        session = Session()
        try:
            if self._enter(session):
                self._publish(session, self._start_with_retries(session))
        except BaseException:
            self._end(session)
            raise

    def shutdown_plugin(self) -> None:
        """Ends the plugin and waits for its end; does nothing if it is not started.

        Asks by `GRPCController.Shutdown` and waits up to `shutdown_timeout`; then SIGTERM, up to `kill_timeout`; then
        SIGKILL for the plugin's whole process group. `stop_report` says which step ended the plugin. Everything that
        the plugin wrote before its end has been delivered when the method returns, unless a handler blocks for seconds.
        A plugin that was attached to, and is not `owned`, runs on.
        """
        self._check_process()
        session = self._session
        if session is None or session.attempt is None or not self.is_started:
            return
        report = session.attempt.stopping.result()
        with self._lock:
            if session is self._session:
                self.stop_report = report
        self._output.drain()

    def close(self) -> None:
        """Gives everything back: channel, connections, sockets, directory; kills the plugin if it still runs.

        Calls under way end with UNAVAILABLE.
        A plugin that was attached to, and is not `owned`, runs on. The method may be called at any moment, also during
        `start()`, by any thread or a signal's handler, and any number of times; every call returns when all is given
        back. After an interrupt the closing goes on by itself, and the next call waits for the rest. Does nothing in a
        forked child: the plugin belongs to the parent.
        """
        if self._session is not None and not belongs_to_parent(self._process_id):
            self._end(self._session)

    def wait_exited(self, timeout: float | None = None) -> int | None:
        """Waits until the plugin's process ends, for any reason; a crash is noticed at once.

        Args:
            timeout: Seconds to wait; default None, without limit.

        Returns:
            Its exit status as `subprocess` has it (negative: killed by that signal), None where unknown.

        Raises:
            RPCPluginError: The plugin was never started.
            TimeoutError: The plugin still runs after that time.
        """
        self._check_process()
        session = self._session
        attempt = None if session is None else session.attempt
        if attempt is None:
            raise no_plugin("wait for")
        try:
            status: int | None = attempt.exiting.result(timeout)
        except TimeoutError:
            raise TimeoutError(f"the plugin {self._name} still runs after {timeout} s") from None
        if status is None and self._facts is None and not attempt.host.was_launched:
            raise no_plugin("wait for")
        self._output.drain()
        return status

    @property
    def is_started(self) -> bool:
        return self.grpc_channel is not None

    @property
    def sync_channel(self) -> SyncChannel:
        """The channel `grpc_channel`, but never None.

        Raises:
            RPCPluginError: The plugin is not started.
        """
        channel = self.grpc_channel
        if channel is None:
            raise no_plugin("talk to")
        return channel

    @property
    def broker(self) -> GRPCBroker:
        """The broker, for further connections between host and plugin in both directions; `close()` closes them.

        Raises:
            RPCPluginError: The plugin is not started.
        """
        with self._lock:
            if self._host is None or not self.is_started:
                raise no_plugin("talk to")
            if self._broker is None:
                self._broker = GRPCBroker(self._host.broker, native_settings(self.config), self._is_secure)
            return self._broker

    def open_broker_subchannel(self, sub_id: int, address: str) -> SyncChannel:
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
        try:
            return self.broker.dial_address(*split_address(address))
        except TransportError as error:
            raise service_not_reached(sub_id, error) from error

    def _enter(self, session: Session) -> bool:
        """Makes `session` the client's; returns False if the client is started already."""
        if self._host is not None:
            self._check_process()
        while True:
            with self._lock:
                current = self._session
                if current is None or not current.is_open:
                    self._session = session
                    self._facts = self.stop_report = None
                    self._process_id = os.getpid()
                    if self.config.managed:
                        manage(self, None)
                    return True
                if self.is_started:
                    return False
                if not current.given_up:
                    raise already_starting()
            # Another thread closes that session; this one joins in, and waits for the end.
            self._end(current)

    def _start_with_retries(self, session: Session) -> _core.Facts:
        for pause in retry_pauses(self.config.retry):
            try:
                return self._start_once(session)
            except RPCPluginError as error:
                if session.given_up or is_permanent(error):
                    raise
                self._output.log.logger.warning("start failed, next attempt in %.2f s: %s", pause, error)
            if session.pause(pause):
                raise closed_while_starting()
        return self._start_once(session)

    def _start_once(self, session: Session) -> _core.Facts:
        program = check_program(self.command, self.config)
        settings = core_settings(self.command, self.config, self.reattach, program)
        with program or contextlib.nullcontext(), self._lock:
            if session.given_up:
                raise closed_while_starting()
            host = self._host = self._output.open_host(settings)
            session.attempt = StartAttempt(host)
            starting = Operation(host.start)
            # Under the lock, so that a close() from now on finds a start to give up.
            starting.begin()
        self._output.start()
        try:
            facts: _core.Facts = starting.result()
        except RPCPluginError:
            # The plugin's last output comes before the error.
            self._output.forget(host)
            raise
        finally:
            # The operation keeps the error, whose traceback would keep the operation.
            del starting
        return facts

    def _publish(self, session: Session, facts: _core.Facts) -> None:
        with self._lock:
            # close() may have begun after the core was done and before this thread heard of it.
            if session.given_up or self._host is None:
                raise closed_while_starting()
            self._facts = facts
            self.grpc_channel = open_sync_channel(self._host, self.config, self._is_secure)
            self._channel_record.start(self.grpc_channel)

    def _end(self, session: Session) -> None:
        """Closes everything of `session`. Each thread that closes does all of it, so that none depends on another."""
        with self._lock:
            session.give_up()
            channel = broker = None
            if session is self._session:
                channel, self.grpc_channel = self.grpc_channel, None
                broker, self._broker = self._broker, None
        try:
            if broker is not None:
                broker.close()
            if channel is not None:
                channel.close()
        finally:
            if session.attempt is not None:
                if not session.attempt.host.close_at_once():
                    session.attempt.closing.result()
                self._output.forget(session.attempt.host)
        with self._lock:
            session.is_open = False
            if session is self._session:
                self._channel_record.end()
                release(self)

    def _check_process(self) -> None:
        if self._host is not None:
            check_process(self, self._process_id)
