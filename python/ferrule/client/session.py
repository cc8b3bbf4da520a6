"""Session: the state of one asyncio client from the beginning of a start to the end of its close."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ferrule import _core
from ferrule._host.launch import check_program
from ferrule._host.lifecycle import closed_while_starting
from ferrule._mailbox import outcome
from ferrule.errors import RPCPluginError, refused_by_system

if TYPE_CHECKING:
    from ferrule._executable import CheckedProgram
    from ferrule._secrecy import Sealed
    from ferrule.client.output import LoopOutputForwarder
    from ferrule.client.runner_driver import RunnerDriver
    from ferrule.config import ClientConfig

__all__ = ["Session"]


class Session:
    """One start, its attempts, and everything until all is given back. Belongs to the event loop that starts.

    Args:
        output: Forwards the plugin's log lines and output.

    Attributes:
        is_open: Whether something may still be to be given back.
        loop: The event loop; None once all is given back, since a client may outlive its loop.
        closing: The task that gives everything back; None before it runs.
    """

    def __init__(self, output: LoopOutputForwarder) -> None:
        self.is_open = True
        self.loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        self.closing: asyncio.Task[None] | None = None
        self._output = output
        self._given_up = asyncio.Event()
        self._checking: asyncio.Future[CheckedProgram | None] | None = None
        self._runner: RunnerDriver | None = None
        self._host: _core.Host | None = None

    @property
    def given_up(self) -> bool:
        """Whether the session is to end."""
        return self._given_up.is_set()

    def give_up(self) -> None:
        """Has the session end, and `pause` return."""
        self._given_up.set()

    async def pause(self, seconds: float) -> bool:
        """Waits, unless the session is given up; returns whether it is."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._given_up.wait(), seconds)
        return self.given_up

    async def check_program(self, command: tuple[str, ...], config: ClientConfig) -> CheckedProgram | None:
        """The program's file, if it is to be checked: read on another thread, since the file may be large.

        Raises:
            LaunchError: There is no such program, or no thread is to be had.
            SecurityError: The program has another checksum.
            TransportError: The session was given up meanwhile.
        """
        if config.secure_config is None:
            return None
        try:
            self._checking = asyncio.get_running_loop().run_in_executor(None, check_program, command, config)
        except RuntimeError as error:
            raise refused_by_system("thread", error) from None
        # A thread cannot be cancelled: close() waits for its end.
        program = await asyncio.shield(self._checking)
        if self.given_up:
            raise closed_while_starting()
        return program

    def open_runner(self, config: ClientConfig) -> _core.RunnerRequests | None:
        """The requests by which the core has the setting `runner` start the plugin; None without that setting."""
        if config.runner is None:
            return None
        # Loaded late: few have one.
        from ferrule.client.runner_driver import RunnerDriver

        self._runner = RunnerDriver(config.runner)
        return self._runner.requests

    def open_host(self, settings: Sealed) -> _core.Host:
        """The core's host for the next attempt, not started yet."""
        self._host = self._output.open_host(settings)
        return self._host

    async def start(self, host: _core.Host) -> _core.Facts:
        """Starts a host that `open_host` returned.

        Raises:
            RPCPluginError: The start failed, and has cleaned up after itself.
        """
        runner = self._runner
        try:
            facts: _core.Facts = await outcome(host.start)
        except RPCPluginError as error:
            # The plugin's last output comes before the error.
            await self._output.drain()
            host.forget_listener()
            if runner is not None:
                error.__cause__ = runner.failure
                await runner.close()
            raise
        return facts

    def is_over(self) -> bool:
        """Whether the core has given everything back, and all output is forwarded: `close` would wait for nothing."""
        host = self._host
        if host is None or self._checking is not None or self._runner is not None:
            return False
        return host.close_at_once() and not self._output.forward_batch()

    async def close(self) -> None:
        """Gives back the latest attempt's host and runner; kills the plugin if it still runs."""
        if self._checking is not None:
            await asyncio.gather(self._checking, return_exceptions=True)
            self._checking = None
        if self._host is not None:
            if not self._host.close_at_once():
                await outcome(self._host.close)
            await self._output.drain()
            self._host.forget_listener()
        if self._runner is not None:
            await self._runner.close()
            self._runner = None

    def abandon(self) -> None:
        """Has the plugin end without waiting, for a client that is collected and was never closed. On any thread."""
        if self._host is not None:
            self._host.abandon()
        if self._runner is not None:
            self._runner.abandon()
