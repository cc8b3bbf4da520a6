"""A plugin as a program: `serve`."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import json
import logging
import os
import shlex
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ferrule.errors import RPCPluginError
from ferrule.reattach import ENVIRONMENT_NAME, ReattachConfig
from ferrule.server.config import ServerConfig, Services
from ferrule.server.handshake import cookie_refusal, is_invited
from ferrule.server.hclog import HclogHandler
from ferrule.server.plugin_server import RPCPluginServer

__all__ = ["ReattachTarget", "serve"]

EXIT_SECONDS = 1.0
"""Seconds beyond the grace of open calls. With the default grace, 0.5, the process ends before a Go host kills it, 2 s
after its Shutdown."""

WORD_SECONDS = 0.1
"""Seconds for a last message in the log."""

_INTERNAL = frozenset({"asyncio", "ferrule"})
"""Packages whose frames say nothing about a failure of the user's function."""

_logger = logging.getLogger("ferrule.server")


@dataclass(frozen=True, slots=True)
class ReattachTarget:
    """The host that reattaches to a plugin in test mode, which decides the form of what the plugin prints.

    Attributes:
        provider: Source address of a Terraform provider, such as `registry.terraform.io/example/example`, for the
            variable that Terraform reads; default None, for any other host: the configuration as JSON.

    Example:
        >>> config = ReattachConfig(protocol_version=6, network="unix", address="/tmp/plugin1", pid=12, test=True)
        >>> text = ReattachTarget("registry.terraform.io/example/example").announcement(config)
        >>> "TF_REATTACH_PROVIDERS='{" in text
        True
    """

    provider: str | None = None

    def announcement(self, config: ReattachConfig) -> str:
        """The text that the plugin prints.

        Args:
            config: How hosts reach the plugin.
        """
        if self.provider is None:
            return config.to_json()
        value = f"{{{json.dumps(self.provider)}:{config.to_json()}}}"
        return (
            "Provider started. For Terraform to use it, set this variable where you run Terraform:\n\n"
            f"\t{ENVIRONMENT_NAME}={shlex.quote(value)}\n"
        )


def serve(services: Services, config: ServerConfig | Mapping[str, Any], *, test: ReattachTarget | None = None) -> None:
    """Runs this process as a plugin, from the check of the cookie to the end, and returns when a host has ended it.

    Args:
        services: A function that takes a `grpc.aio.Server` and a `GRPCBroker` and adds the application's servicers,
            async or not. The function may be a coroutine function. A mapping from protocol versions to such functions
            serves several versions.
        config: Settings: a `ServerConfig` or a mapping with the same names.
        test: Serves in go-plugin's test mode until Ctrl-C, which debuggers need: prints how to reattach, and needs no
            host. Default None, a plugin that its host has started.

    Raises:
        SystemExit: Status 1. Either no host started the process, as a message on standard error says, or the plugin
            cannot serve, for example because its function for the services failed, as the log says.
        ConfigError: A setting does not fit.
        RPCPluginError: An event loop runs in this thread already; `RPCPluginServer` is for programs that have one.

    Example:
        ```python
        def register(server, broker):
            add_KVServicer_to_server(KV(), server)


        if __name__ == "__main__":
            serve(register, ServerConfig(magic_cookie_key="KV_PLUGIN", magic_cookie_value="hello"))
        ```
    """
    try:
        checked = ServerConfig.of(config)
    finally:
        # A mapping may hold a private key, which a traceback with local variables would show.
        del config
    _refuse_running_loop()
    if test is None and not is_invited(checked.magic_cookie_key, checked.magic_cookie_value):
        sys.stderr.write(cookie_refusal(checked.magic_cookie_key))
        sys.exit(1)
    _set_up_logging(checked, test)
    try:
        _refuse_import_by_child()
        if test is None:
            _refuse_closed_output()
        asyncio.run(_run(services, checked, test))
    except KeyboardInterrupt:
        # Ctrl-C ends a plugin in test mode.
        return
    except Exception as error:  # noqa: BLE001 - the function for the services is the user's, and may raise anything.
        _log_failure(error, test=test is not None)
        sys.exit(1)


def _log_failure(error: Exception, *, test: bool) -> None:
    """Logs why the plugin cannot serve, with the user's own part of the traceback."""
    own = _frames_of_user(error.__traceback__)
    explains_itself = own is None and isinstance(error, RPCPluginError | OSError)
    text = str(error) if explains_itself else "".join(traceback.format_exception_only(error)).strip()
    # In test mode the log is plain text, which has no keys.
    message = f"plugin init error: {text}" if test else "plugin init error"
    if explains_itself:
        _logger.error(message, extra={"error": text})
    else:
        shown = error.with_traceback(own or _last_frame(error.__traceback__))
        _logger.error(message, extra={"error": text}, exc_info=shown)


def _frames_of_user(trace: TracebackType | None) -> TracebackType | None:
    """A traceback from the first frame on that is neither this package's nor asyncio's; None without one."""
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in _INTERNAL:
        trace = trace.tb_next
    return trace


def _last_frame(trace: TracebackType | None) -> TracebackType | None:
    """The frame that raised: all that a function needs which does not take the arguments."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _refuse_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    hint = "Use `async with RPCPluginServer(services, config) as server: await server.wait_stopped()` inside a loop."
    raise RPCPluginError(
        "serve() runs an event loop of its own, and was called while one runs", hint, code="server.place"
    )


def _refuse_import_by_child() -> None:
    """Refuses a program that a child of multiprocessing imports: it would serve, and its parent wait for ever."""
    # Python's own test for that, by which a child that is being imported may not start others.
    process = sys.modules.get("multiprocessing.process")
    if process is not None and getattr(process.current_process(), "_inheriting", False):
        hint = 'Call it under `if __name__ == "__main__":`, since such a child imports the plugin\'s program.'
        raise RPCPluginError(
            "serve() was called in a child of multiprocessing that is about to begin", hint, code="server.place"
        )


def _refuse_closed_output() -> None:
    """Refuses a closed standard output. The event loop must not get its number."""
    try:
        os.fstat(1)
    except OSError:
        hint = "Leave it open until serve() returns; a wrapper that starts the plugin has to leave it open as well."
        raise RPCPluginError(
            "standard output is closed, and the host waits there for the handshake line",
            hint,
            code="server.place",
        ) from None


async def _run(services: Services, config: ServerConfig, test: ReattachTarget | None) -> None:
    async with _Program(services, config, test=test is not None) as server:
        if test is not None:
            print(test.announcement(server.reattach_config), flush=True)  # noqa: T201 - it is what test mode is for.
        await server.wait_stopping()
        server.end_soon()
        await server.wait_stopped()


class _Program(RPCPluginServer):
    """A server whose process ends with it, in time, whatever holds the process.

    Python itself would wait for every thread of a servicer, and a method or a registration that occupies the event loop
    keeps it from noticing the end.
    """

    _ends_soon = False

    def end_soon(self) -> None:
        """Ends the process when its time is up, unless it runs under a debugger."""
        if not self._ends_soon and not self._test:
            self._ends_soon = True
            # Not by threading, whose locks may be held by what a signal has interrupted.
            _thread.start_new_thread(self._end_process_in, (self.config.grace + EXIT_SECONDS,))

    def _told_to_end(self) -> None:
        self.end_soon()

    def _end_process_in(self, seconds: float) -> None:
        time.sleep(seconds)
        text = "threads of the plugin did not end %s s after it was told to; the process ends now"
        # What holds the process may hold the log.
        speaking = threading.Thread(target=_logger.warning, args=(text, seconds), daemon=True)
        speaking.start()
        speaking.join(WORD_SECONDS)
        with contextlib.suppress(Exception):
            self._remove_sockets()
            _end_children()
        os._exit(0)


def _set_up_logging(config: ServerConfig, test: ReattachTarget | None) -> None:
    root = logging.getLogger()
    if not root.handlers:
        # In test mode people read the log.
        root.addHandler(HclogHandler() if test is None else logging.StreamHandler())
        root.setLevel(config.log_level)


def _end_children() -> None:
    """Ends the child processes that Python's own exit would end, such as workers of pools that wait for work."""
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None:
        for child in multiprocessing.active_children():
            child.terminate()
