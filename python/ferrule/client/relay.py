"""What a plugin says, on its way from the core to `logging` and to the caller's outputs."""

from __future__ import annotations

import asyncio

from ferrule import _core
from ferrule._mailbox import mailbox
from ferrule._secrecy import Sealed
from ferrule.config import ClientConfig
from ferrule.logs import PluginLog, output_sink, plugin_logger

__all__ = ["PluginOutput", "Relay"]


class PluginOutput:
    """Passes on log lines and output of one plugin after the other, a batch at a time.

    It does not know the client: the mailbox holds it, and a client that is forgotten must be noticed.
    """

    def __init__(self, command: tuple[str, ...], config: ClientConfig) -> None:
        self.log = PluginLog(plugin_logger(command[0] if command else "reattached", config.logger))
        self.host: _core.Host | None = None
        outputs = (config.sync_stdout, config.sync_stderr)
        self._sinks = [None if target is None else output_sink(target) for target in outputs]

    def pass_on(self) -> bool:
        """Passes on one batch; whether there is more, for which the core expects the caller to come back."""
        if self.host is None:
            return False
        lines, dropped, output, more = self.host.take(self.log.wanted_level())
        self.log.emit(lines, dropped)
        for is_stderr, data in output:
            sink = self._sinks[is_stderr]
            if sink is not None:
                sink(data)
        return more


class Relay(PluginOutput):
    """Does it on an event loop."""

    def listen(self, settings: Sealed) -> _core.Host:
        """A host that is not started yet, and what its plugin says from now on passed on."""
        self.host = _core.Host(settings, mailbox(), self.receive, self.log.wanted_level())
        return self.host

    def receive(self) -> None:
        """Passes on one batch, and has the loop come back for the next: a flood must not hold it."""
        if self.pass_on():
            asyncio.get_running_loop().call_soon(self.receive)

    async def drain(self) -> None:
        """Passes on everything there is, with turns for others in between."""
        while self.pass_on():  # noqa: ASYNC110 - not waiting for anything, only giving way
            await asyncio.sleep(0)
