"""RPCPluginServer: the plugin side, from the check of the cookie to a clean end."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc.aio

from ferrule import _core
from ferrule._broker_common import start_server, unix_target
from ferrule._gevent import refuse_greenlets
from ferrule._mailbox import cannot_await, mailbox, outcome
from ferrule._secrecy import forgetful
from ferrule._threaded_servicers import ThreadedServicers
from ferrule.broker import GRPCBroker
from ferrule.channel.options import channel_settings
from ferrule.errors import HandshakeError, RPCPluginError, TransportError
from ferrule.logs import LEVELS, TRACE
from ferrule.reattach import ReattachConfig
from ferrule.server.capture import Capture
from ferrule.server.config import ServerConfig, Services, server_options, services_by_version
from ferrule.server.handshake import cookie_refusal, is_invited
from ferrule.server.negotiation import Negotiated, host_variables, negotiate
from ferrule.server.registrar import Registrar
from ferrule.server.services import StandardServices
from ferrule.server.signals import Signals
from ferrule.server.stdio import Output

__all__ = ["RPCPluginServer"]

_logger = logging.getLogger("ferrule.server")

_DIAL_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.default_authority", "localhost"))
"""Options of the channels that the broker dials. As in go-plugin, a host's messages have no limit."""


class RPCPluginServer:
    """Serves one host as a go-plugin plugin.

    The server writes the handshake line to standard output, sends everything that is printed later to the host, ignores
    SIGINT (a terminal sends it to the plugin too, and its end is the host's decision) and ends cleanly on SIGTERM.
    `serve` is this class as a whole program. A server belongs to the event loop that starts it and is started once. As
    a context manager it starts on entry and stops on exit.

    Args:
        services: A function that takes a `grpc.aio.Server` and a `GRPCBroker` and adds the application's servicers,
            async or not. The function may be a coroutine function. A mapping from protocol versions to such functions
            serves several versions.
        config: Settings: a `ServerConfig` or a mapping with the same names.
        test: Whether to serve in go-plugin's test mode, without a host that started this process: no cookie, no
            handshake line, nothing captured, SIGINT as usual. Hosts come and go, none can end the plugin, and they find
            it by `reattach_config`. Default False.

    Attributes:
        config (ServerConfig): The checked settings.

    Raises:
        ConfigError: A setting or the services do not fit.
        RPCPluginError: gevent has patched threads.

    Example:
        >>> import asyncio
        >>> from ferrule.testing import KV_CONFIG
        >>> from ferrule.testing.kv import KV
        >>> from ferrule.testing.kv_pb2_grpc import add_KVServicer_to_server
        >>> async def main():
        ...     register = lambda server, broker: add_KVServicer_to_server(KV(), server)
        ...     async with RPCPluginServer(register, KV_CONFIG, test=True) as server:
        ...         return server.reattach_config.network
        >>> asyncio.run(main())
        'unix'
    """

    @forgetful
    def __init__(self, services: Services, config: ServerConfig | Mapping[str, Any], *, test: bool = False) -> None:
        refuse_greenlets("a plugin on ferrule.server")
        self.config = ServerConfig.of(config)
        self._services = services_by_version(services, self.config)
        self._test = test
        self._begun = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._interrupts = 0
        self._stopping = asyncio.Event()
        self._stop: asyncio.Task[None] | None = None
        self._version: int | None = None
        self._facts: _core.ServerFacts | None = None
        self._broker: GRPCBroker | None = None
        self._core: _core.PluginServer | None = None
        self._grpc: grpc.aio.Server | None = None
        self._standard: StandardServices | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._capture: Capture | None = None
        self._signals: Signals | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if cannot_await(exc_type, self._loop):
            self._abandon()
        else:
            await self.stop()

    async def start(self) -> None:
        """Listens, serves, and announces the address to the host. Calls may arrive from the return on.

        An exception of the function for the services comes through. A failed start leaves nothing behind.

        Raises:
            HandshakeError: No host that knows this plugin started the process. The message is for people.
            ConfigError: A variable that the host wrote into the environment does not fit.
            SecurityError: The host's certificate cannot be read.
            TransportError: No address can be listened on.
            RPCPluginError: The server was started before.
        """
        if self._begun:
            raise _not_now("start() was called before", "Make another RPCPluginServer: each is started once.")
        if not self._test and not is_invited(self.config.magic_cookie_key, self.config.magic_cookie_value):
            raise HandshakeError(cookie_refusal(self.config.magic_cookie_key), code="server.cookie")
        self._begun = True
        self._loop = asyncio.get_running_loop()
        try:
            await self._start()
        except GeneratorExit:
            # The coroutine is closed: nothing can be awaited any more.
            self._abandon()
            raise
        except BaseException:
            await self.stop(0)
            raise

    async def wait_stopping(self) -> None:
        """Returns when the end begins, by the host's Shutdown, by SIGTERM or by `stop`."""
        await self._stopping.wait()

    async def wait_stopped(self) -> None:
        """Returns when the server has ended and everything is given back, whatever caused the end."""
        await self._stopping.wait()
        if self._stop is not None:
            await asyncio.shield(self._stop)

    async def stop(self, grace: float | None = None) -> None:
        """Ends calls, brokered connections, sockets, and the capture of standard output.

        May be called at any time and repeatedly. Each call returns when everything is given back.

        Args:
            grace: Seconds that open calls have to end by themselves; default None, the setting `grace`. The first
                call's value counts.
        """
        # In a forked child everything belongs to the parent.
        if self._begun and not _core.is_forked():
            # The cancellation of a caller must not stop the clean-up.
            await asyncio.shield(self._begin_stop(grace))

    @property
    def broker(self) -> GRPCBroker:
        """The broker, for calling services of the host and for serving it more than the main services.

        Raises:
            RPCPluginError: The server is not started.
        """
        if self._broker is None:
            raise _not_started()
        return self._broker

    @property
    def reattach_config(self) -> ReattachConfig:
        """The address for hosts that did not start this process. In test mode such hosts may come and go.

        Raises:
            RPCPluginError: The server is not started.
        """
        if self._facts is None or self._version is None:
            raise _not_started()
        return ReattachConfig(
            protocol_version=self._version,
            network=self._facts.network,
            address=self._facts.address,
            pid=os.getpid(),
            test=self._test,
        )

    @property
    def protocol_version(self) -> int | None:
        """The application protocol version chosen for the host; None before the start."""
        return self._version

    @property
    def transport(self) -> str | None:
        """`unix` or `tcp`; None before the start."""
        return self._facts and self._facts.network

    @property
    def address(self) -> str | None:
        """Path of the plugin's socket, or `IP:PORT`; None before the start."""
        return self._facts and self._facts.address

    @property
    def server_cert(self) -> str | None:
        """The plugin's certificate as PEM; None without TLS or before the start."""
        return self._facts and self._facts.certificate

    async def _start(self) -> None:
        output = Output()
        if not self._test:
            # The capture comes first, so that nothing is printed before the handshake line.
            self._capture = Capture(output)
        self._signals = Signals(self._signal_actions(), {signal.SIGTERM: self._told_to_end})
        # Without a host the variables, if there are any, are somebody else's.
        environment = {} if self._test else host_variables()
        negotiated = negotiate(self.config, tuple(self._services), environment)
        for item in negotiated.ignored_versions:
            _logger.warning("the host offered version %r, which is no number", item)
        self._version = negotiated.protocol_version
        facts = await self._listen(negotiated)
        await self._serve(output, facts.backend)
        _logger.debug("plugin address", extra={"network": facts.network, "address": facts.address})
        if self._capture is not None:
            self._capture.announce(facts.handshake_line)

    async def _listen(self, negotiated: Negotiated) -> _core.ServerFacts:
        settings = negotiated.core_settings
        core = self._core = _core.PluginServer(settings, mailbox(), self._report)
        facts: _core.ServerFacts = await outcome(core.start)
        self._facts = facts
        secure = settings["security"] != "plaintext"
        self._broker = GRPCBroker(core.broker, channel_settings(_DIAL_OPTIONS, None), secure)
        return facts

    async def _serve(self, output: Output, backend: os.PathLike[str]) -> None:
        assert self._core is not None
        assert self._version is not None
        names: list[str] = []
        self._standard = StandardServices(output, self._core.broker_stream, self._shut_down, names)
        self._threads = ThreadPoolExecutor(self.config.threads, thread_name_prefix="servicer")
        self._grpc = grpc.aio.server(
            self._threads,
            handlers=self._standard.handlers(),
            interceptors=[ThreadedServicers(self._threads), *self.config.interceptors],
            options=server_options(self.config),
        )
        registered = self._services[self._version](Registrar(self._grpc, names), self.broker)
        if inspect.isawaitable(registered):
            await registered
        if self._stopping.is_set():
            raise _not_now("the plugin was told to end (SIGTERM) while it registered its services")
        try:
            self._grpc.add_insecure_port(unix_target(backend))
        except RuntimeError as error:
            hint = "Check the temporary directory; a path of more than about 100 bytes is too long for a socket."
            raise TransportError(f"gRPC cannot listen on {os.fspath(backend)!r}", hint, "server.backend") from error
        await start_server(self._grpc)

    def _told_to_end(self) -> None:
        """Called on SIGTERM at once, wherever the main thread is; for programs that end whatever the loop does."""

    def _remove_sockets(self) -> None:
        """Removes what the core would, for a process that ends without."""
        if self._facts is not None:
            shutil.rmtree(Path(self._facts.backend).parent, ignore_errors=True)
            if self._facts.network == "unix":
                Path(self._facts.address).unlink(missing_ok=True)

    def _signal_actions(self) -> dict[signal.Signals, Callable[[], object]]:
        actions: dict[signal.Signals, Callable[[], object]] = {signal.SIGTERM: self._begin_stop}
        if not self._test:
            # A terminal's Ctrl-C reaches the plugin too, and ending the plugin is the host's decision.
            actions[signal.SIGINT] = self._count_interrupt
        return actions

    def _count_interrupt(self) -> None:
        self._interrupts += 1
        _logger.log(TRACE, "plugin received interrupt signal, ignoring", extra={"count": self._interrupts})

    def _shut_down(self) -> None:
        if self._test:
            _logger.debug("shutdown requested, ignoring: a plugin in test mode outlives its hosts")
        else:
            self._begin_stop()

    def _report(self) -> None:
        """Logs the core's messages about refused peers and failed TLS handshakes."""
        assert self._core is not None
        wanted = next((number for number, level in enumerate(LEVELS) if _logger.isEnabledFor(level)), None)
        lines, dropped, _, more = self._core.take(wanted)
        for number, line in lines:
            _logger.log(LEVELS[number], "%s", line.decode(errors="backslashreplace"))
        if dropped:
            _logger.warning("%d remarks on refused connections were dropped", dropped)
        if more:
            asyncio.get_running_loop().call_soon(self._report)

    def _begin_stop(self, grace: float | None = None) -> asyncio.Task[None]:
        if self._stop is None:
            seconds = self.config.grace if grace is None else grace
            self._stop = asyncio.get_running_loop().create_task(self._end(seconds), name="ferrule server stop")
        self._stopping.set()
        return self._stop

    async def _end(self, grace: float) -> None:
        try:
            # In this order the last output still reaches the host.
            if self._capture is not None:
                self._capture.release()
            if self._standard is not None:
                self._standard.end()
            if self._grpc is not None:
                await self._grpc.stop(grace)
            if self._broker is not None:
                await self._broker.close()
        finally:
            if self._core is not None:
                await outcome(self._core.close)
                self._report()
            self._restore_process()

    def _abandon(self) -> None:
        """Has everything be given back without waiting; the loop may be closed."""
        if _core.is_forked():
            return
        if self._capture is not None:
            self._capture.release()
        if self._core is not None:
            self._core.abandon()
        self._restore_process()

    def _restore_process(self) -> None:
        if self._threads is not None:
            # No wait: a servicer that blocks must not keep the plugin from ending.
            self._threads.shutdown(wait=False, cancel_futures=True)
        if self._signals is not None:
            self._signals.restore()


def _not_started() -> RPCPluginError:
    return _not_now("the server is not started", "Call start() first, or use `async with`.")


def _not_now(message: str, hint: str | None = None) -> RPCPluginError:
    return RPCPluginError(message, hint, "server.lifecycle")
