"""Log lines and output of the plugins of one asyncio client, forwarded on its event loop."""

from __future__ import annotations

import asyncio

from ferrule import _core
from ferrule._host.output import OutputForwarder
from ferrule._mailbox import mailbox
from ferrule._secrecy import Sealed

__all__ = ["LoopOutputForwarder"]


class LoopOutputForwarder(OutputForwarder):
    """Forwards on the event loop that runs when a plugin is started."""

    def open_host(self, settings: Sealed) -> _core.Host:
        """A host that is not started yet; its plugin's log lines and output are forwarded from now on."""
        self.host = _core.Host(settings, mailbox(), self._receive, self.log.wanted_level())
        return self.host

    async def drain(self) -> None:
        """Forwards everything there is, with turns for others in between."""
        while self.forward_batch():  # noqa: ASYNC110 - not waiting for anything, only giving way
            await asyncio.sleep(0)

    def _receive(self) -> None:
        """Forwards one batch, and has the loop come back for the next: a flood must not hold the loop."""
        if self.forward_batch():
            asyncio.get_running_loop().call_soon(self._receive)
