"""The way of a plugin's log lines and output from the core to `logging` and to the caller's outputs."""

from __future__ import annotations

from ferrule import _core
from ferrule.config import ClientConfig
from ferrule.logs import PluginLog, output_sink, plugin_logger

__all__ = ["OutputForwarder"]


class OutputForwarder:
    """Forwards the log lines and the output of a client's plugins, one plugin after the other, a batch at a time.

    The forwarder holds no reference to its client: the mailbox keeps the forwarder alive, and a client that nobody
    closed must stay collectable.

    Args:
        command: The plugin's command line, which names its logger; empty for a plugin that is attached to.
        config: The client's settings `logger`, `sync_stdout` and `sync_stderr`.
    """

    def __init__(self, command: tuple[str, ...], config: ClientConfig) -> None:
        self.log = PluginLog(plugin_logger(command[0] if command else "reattached", config.logger))
        self.host: _core.Host | None = None
        outputs = (config.sync_stdout, config.sync_stderr)
        self._sinks = [None if target is None else output_sink(target) for target in outputs]

    def forward_batch(self) -> bool:
        """Forwards one batch; returns whether there is more, for which the core expects the caller to come back."""
        if self.host is None:
            return False
        lines, dropped, output, more = self.host.take(self.log.wanted_level())
        self.log.emit(lines, dropped)
        for is_stderr, data in output:
            sink = self._sinks[is_stderr]
            if sink is not None:
                sink(data)
        return more
