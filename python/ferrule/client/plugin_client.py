"""RPCPluginClient: one plugin, from launch to clean end."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import warnings
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc.aio

from ferrule import _core
from ferrule.client.launch import core_settings, der_to_pem, open_channel, open_sync_channel
from ferrule.client.relay import Relay
from ferrule.client.traffic import Traffic
from ferrule.config import ClientConfig, check_command
from ferrule.errors import ConfigError, RPCPluginError, SecurityError, TransportError
from ferrule.mailbox import mailbox, outcome

if TYPE_CHECKING:
    from ferrule.channel.sync import SyncChannel

__all__ = ["RPCPluginClient"]

# Plugins that nobody closed must not outlive the interpreter. Seconds; far more than SIGKILL takes.
atexit.register(_core.end_all, 5.0)


class RPCPluginClient:
    """Launches a go-plugin plugin and talks to it over gRPC.

    A client belongs to the event loop that starts it. As a context manager it starts on entry and on exit shuts the
    plugin down and closes, also when the body raised.

    Args:
        command: The program and its arguments. A program without a slash is looked up on PATH.
        config: Settings: a `ClientConfig`, a mapping with the same names, or None for the defaults, which are
            Terraform's, so that any provider binary works.

    Attributes:
        command (tuple[str, ...]): The command line.
        config (ClientConfig): The checked settings.
        grpc_channel (grpc.aio.Channel | None): For stubs; None before `start()` and after `close()`.
        stop_report: What `shutdown_plugin()` took: `rung` ("shutdown", "sigterm", "sigkill", or "exited" if the plugin
            had ended before), `seconds`, `steps` (seconds by rung) and `exit_status`; None before.

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

    def __init__(
        self, command: Sequence[str | os.PathLike[str]], config: ClientConfig | Mapping[str, Any] | None = None
    ) -> None:
        self.command = check_command(command)
        self.config = ClientConfig.of(config)
        self.grpc_channel: grpc.aio.Channel | None = None
        self.stop_report: _core.StopReport | None = None
        self._relay = Relay(self.command, self.config)
        self._sync_channel: SyncChannel | None = None
        self._host: _core.Host | None = None
        self._facts: _core.Facts | None = None
        # Between the beginning of start() and the end of close(): something is to be given back.
        self._open = False
        self._process_id = os.getpid()
        self._closing: asyncio.Task[None] | None = None
        self._exited: asyncio.Future[int | None] | None = None
        self._given_up = asyncio.Event()

    def __repr__(self) -> str:
        state = f"pid {self.pid}" if self.is_started else "open" if self._open else "not started"
        return f"<RPCPluginClient {self.command[0]!r}: {state}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.shutdown_plugin()
        finally:
            await self.close()

    def __del__(self) -> None:
        # An __init__ that raised leaves an object without this attribute; in a forked child the plugin is the parent's.
        if getattr(self, "_open", False) and self._host is not None and self._process_id == os.getpid():
            message = f"{self!r} was never closed: its plugin is killed now"
            warnings.warn(message, ResourceWarning, stacklevel=1, source=self)
            self._host.abandon()

    async def start(self) -> None:
        """Launches the plugin and returns when calls work. Does nothing if it is started.

        Covers launch, handshake, negotiation of version and transport, TLS, a health check of the service `plugin`, and
        the subscription to its output. A start that failed or was cancelled has cleaned up after itself and may be
        repeated; so may one after `close()`.

        Raises:
            RPCPluginError: One of its subclasses; see `ferrule.errors`.
        """
        if self._closing is not None:
            await asyncio.shield(self._closing)
        if self._open:
            self._check_process()
            if self.is_started:
                return
            raise RPCPluginError("start() is already running", "Wait for it, or call close() to give it up.")
        self._open = True
        self._facts = self._exited = self.stop_report = None
        self._process_id = os.getpid()
        self._given_up = asyncio.Event()
        try:
            self._host, self._facts = await self._start_with_retries()
            # close() may have begun after the core was done and before this task heard of it.
            if self._given_up.is_set():
                raise _closed_while_starting()
            self.grpc_channel = open_channel(self._host, self._facts, self.config)
        except BaseException:
            await self.close()
            raise

    async def shutdown_plugin(self) -> None:
        """Ends the plugin and waits for its end; does nothing if it is not started.

        Asks by `GRPCController.Shutdown` and waits up to `shutdown_timeout`; then SIGTERM, up to `kill_timeout`; then
        SIGKILL for the plugin's whole process group. How far it went is in `stop_report`. All that the plugin wrote
        before its end has been delivered when this returns.
        """
        if self._host is None or not self.is_started:
            return
        report = await outcome(self._host.stop)
        # A second call finds the plugin ended, which says nothing about how.
        self.stop_report = self.stop_report or report
        await self._relay.drain()

    async def close(self) -> None:
        """Gives everything back: channel, connections, sockets, directory; kills the plugin if it still runs.

        May be called at any moment, also during `start()`, and as often as one likes; every call returns when all is
        given back.
        """
        if self._closing is None:
            if not self._open:
                return
            self._check_process()
            self._closing = asyncio.get_running_loop().create_task(self._close(), name="ferrule close")
        # A caller that is cancelled must not stop the cleaning up.
        await asyncio.shield(self._closing)

    async def wait_exited(self) -> int | None:
        """Waits until the plugin's process ends, for whatever reason; a crash is known at once.

        Returns:
            Its exit status as `subprocess` has it (negative: killed by that signal), None where unknown.

        Raises:
            RPCPluginError: The plugin was never started.
        """
        missing = RPCPluginError("there is no plugin to wait for", "Call start() first.")
        if self._host is None:
            raise missing
        loop = asyncio.get_running_loop()
        # One for all who wait: a watchdog that asks again and again must not pile up.
        if self._exited is None or self._exited.get_loop() is not loop:
            self._exited = loop.create_future()
            self._host.exited(mailbox(), self._exited)
        status = await asyncio.shield(self._exited)
        if status is None and not self._host.was_launched:
            raise missing
        await self._relay.drain()
        return status

    @property
    def is_started(self) -> bool:
        """Whether `start()` succeeded and `close()` was not called; a plugin that crashed since counts as started."""
        return self._open and self._closing is None and self.grpc_channel is not None

    @property
    def sync_channel(self) -> SyncChannel:
        """A `grpc.Channel` to the plugin for threads and scripts; one and the same until `close()` closes it.

        The event loop must not be blocked by its calls: use it from other threads.

        Raises:
            RPCPluginError: The plugin is not started.
        """
        if self._host is None or not self.is_started:
            raise RPCPluginError("there is no plugin to talk to", "Call start() first.")
        if self._sync_channel is None:
            self._sync_channel = open_sync_channel(self._host, self.config)
        return self._sync_channel

    @property
    def target_endpoint(self) -> str | None:
        """Where the plugin listens, as a gRPC target: `unix:PATH` or `IP:PORT`; None before the first start."""
        if self._facts is None:
            return None
        return f"unix:{self._facts.address}" if self._facts.network == "unix" else self._facts.address

    @property
    def client_cert(self) -> str | None:
        """The host's certificate as PEM; None without TLS or before the first start."""
        return self._host and self._host.client_cert

    @property
    def client_key_pem(self) -> str | None:
        """The host's private key as PEM. Never logged nor shown; handle it with care."""
        return self._host and self._host.client_key_pem

    @property
    def server_cert(self) -> str | None:
        """The plugin's certificate as PEM; None if it announced none."""
        return self._facts and der_to_pem(self._facts.certificate)

    @property
    def certificate_facts(self) -> _core.CertificateFacts | None:
        """Subject, kind of key and validity of the plugin's certificate."""
        return self._facts and self._facts.certificate_facts

    @property
    def pid(self) -> int | None:
        """The plugin's process id; None before the first start."""
        return self._facts and self._facts.pid

    @property
    def protocol_version(self) -> int | None:
        """The application protocol version that both sides agreed on."""
        return self._facts and self._facts.protocol_version

    @property
    def transport(self) -> str | None:
        """`unix` or `tcp`."""
        return self._facts and self._facts.network

    @property
    def address(self) -> str | None:
        """Path of the plugin's socket, or `IP:PORT`."""
        return self._facts and self._facts.address

    @property
    def timings(self) -> dict[str, float]:
        """Seconds of each phase of the last start: `launch`, `handshake`, `connect`, `health`."""
        return {} if self._facts is None else self._facts.timings

    @property
    def exit_status(self) -> int | None:
        """Exit status as `subprocess` has it; None while the plugin runs."""
        return self._host and self._host.exit_status

    @property
    def stderr_tail(self) -> tuple[str, ...]:
        """The last lines of the plugin's standard error, at most 40, oldest first."""
        return () if self._host is None else tuple(self._host.stderr_tail)

    @property
    def traffic(self) -> Traffic:
        """Bytes moved since the last start, on the socket and inside TLS."""
        return Traffic(0, 0, 0, 0) if self._host is None else Traffic(*self._host.traffic)

    @property
    def bytes_sent(self) -> int:
        """Bytes written to the plugin's socket since the last start."""
        return self.traffic.wire_sent

    @property
    def bytes_received(self) -> int:
        """Bytes read from the plugin's socket since the last start."""
        return self.traffic.wire_received

    async def _start_with_retries(self) -> tuple[_core.Host, _core.Facts]:
        retry = self.config.retry
        pause = retry.backoff if retry else 0.0
        for _ in range(retry.attempts - 1 if retry else 0):
            try:
                return await self._start_once()
            except RPCPluginError as error:
                if self._given_up.is_set() or _is_final(error):
                    raise
                self._relay.log.logger.warning("start failed, next attempt in %.2f s: %s", pause, error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._given_up.wait(), pause)
                raise _closed_while_starting()
            pause = min(pause * retry.backoff_multiplier, retry.max_backoff) if retry else pause
        return await self._start_once()

    async def _start_once(self) -> tuple[_core.Host, _core.Facts]:
        settings = core_settings(self.command, self.config)
        host = self._host = self._relay.host = _core.Host(settings, mailbox(), self._relay.receive)
        try:
            facts: _core.Facts = await outcome(host.start)
        except RPCPluginError:
            # What the plugin said last belongs before the error.
            await self._relay.drain()
            host.forget_listener()
            raise
        return host, facts

    async def _close(self) -> None:
        self._given_up.set()
        try:
            channel, self.grpc_channel = self.grpc_channel, None
            sync_channel, self._sync_channel = self._sync_channel, None
            if sync_channel is not None:
                sync_channel.close()
            if channel is not None:
                await channel.close()
        finally:
            try:
                await self._close_host()
            finally:
                self._open = False
                self._closing = None

    async def _close_host(self) -> None:
        if self._host is not None:
            await outcome(self._host.close)
            await self._relay.drain()
            self._host.forget_listener()

    def _check_process(self) -> None:
        # The core would say the same, but closing the channel comes first, and in a fork would never end.
        if self._process_id != os.getpid():
            raise RuntimeError(
                f"the plugin of {self!r} belongs to process {self._process_id}, of which this one is a fork. "
                'Start plugins after the fork, or have multiprocessing use the start method "spawn".'
            )


def _is_final(error: RPCPluginError) -> bool:
    """Whether trying again would be pointless, or, where security failed, wrong."""
    refused_by_system = error.code in {"launch.not-found", "launch.refused"}
    return refused_by_system or isinstance(error, ConfigError | SecurityError)


def _closed_while_starting() -> TransportError:
    """The error of the core's kind Cancelled, for the moments in which the core does not run."""
    return TransportError("the client was closed while it started", "Nothing to do.", "client.cancelled")
