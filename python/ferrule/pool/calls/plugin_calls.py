"""PluginCalls: the calls to one plugin, in place of the core's channel."""

from __future__ import annotations

from collections import deque
from functools import partial
from math import inf

from ferrule import _core
from ferrule.client import RPCPluginClient
from ferrule.pool.calls.call import PooledCall
from ferrule.pool.calls.interfaces import Replacements
from ferrule.pool.clock import Clock
from ferrule.pool.measures import CallMeasures, Measures, PluginMeasures
from ferrule.pool.spec import PluginSpec

__all__ = ["PluginCalls"]


class PluginCalls:
    """The calls to one plugin, with the methods of the core's channel that `ferrule.channel` asks for.

    Args:
        core: The core's channel to the plugin.
        client: The plugin's client.
        spec: The plugin's spec.
        measures: What is counted of all plugins with the name.
        clock: The pool's time.
        replacements: The pool.

    Attributes:
        call: Makes a call, as the core's channel does.
        live: Calls that were sent and have not ended.
        limit: Calls from which on the next one is kept back; 0 once no more are to be sent.
        now: The time.
        own: What is counted of the plugin.
        measures: What is counted of all plugins with the name.
        is_over: Whether no more calls are to be sent to the plugin.
        is_revoked: Whether that is because the pool ends it.
    """

    def __init__(
        self,
        core: _core.Channel,
        client: RPCPluginClient,
        spec: PluginSpec,
        measures: Measures,
        clock: Clock,
        replacements: Replacements,
    ) -> None:
        self.core = core
        self.client = client
        self.spec = spec
        self.own = PluginMeasures()
        self.clock = clock
        self.replacements = replacements
        self.live: set[PooledCall] = set()
        self.is_over = self.is_revoked = False
        self.state = core.state
        self.connect = core.connect
        self.watch_state = core.watch_state
        self.stats = core.stats
        self.now = clock.now
        self.limit: float = inf if spec.max_concurrent_calls is None else spec.max_concurrent_calls
        self.call = partial(PooledCall, self)
        self._held: deque[PooledCall] = deque()
        self.measures = measures
        self._measures_by_method: dict[str | bytes, CallMeasures] = {}

    def keep_back(self, call: PooledCall) -> None:
        """Takes a new call for which there is no room, or no plugin any more."""
        if self.is_over:
            call.move()
        else:
            call.hold()
            self._held.append(call)

    def send(self, call: PooledCall) -> None:
        """Sends a call that comes from another plugin, now or when there is room for it."""
        if self.is_over or len(self.live) < self.limit:
            call.send_late(self)
        else:
            self._held.append(call)

    def close(self, _details: str, _code: int = 0) -> None:
        """Does nothing: the core's channel belongs to the client."""

    def forget(self, call: PooledCall) -> None:
        """Takes a call out of those that are held back."""
        if call in self._held:
            self._held.remove(call)

    def left(self, call: PooledCall) -> None:
        """A call that was sent has ended, or was lost; the next one may be sent."""
        self.live.discard(call)
        if self._held:
            self._send_held()

    def _send_held(self) -> None:
        while self._held and len(self.live) < self.limit:
            self._held.popleft().send_late(self)

    def ended(self, call: PooledCall, method: str | bytes, status: str, since: float) -> None:
        """Counts a call that has ended for its caller; the next one may be sent."""
        seconds = self.now() - since
        measures = self._measures_by_method.get(method)
        if measures is None:
            name = method.decode(errors="replace") if isinstance(method, bytes) else method
            measures = self._measures_by_method[method] = self.measures.calls[name]
        own = self.own.call_seconds
        own.counts[measures.seconds[status].add(seconds)] += 1
        own.sum += seconds
        if status == "UNAVAILABLE" and call.is_unknown:
            measures.unknown += 1
        self.live.discard(call)
        if self._held:
            self._send_held()

    def end(self) -> None:
        """The plugin has ended: calls that were held back move, those under way are ended by the core."""
        self.is_over = True
        self.limit = 0
        held, self._held = self._held, deque()
        for call in held:
            call.move()

    def revoke(self) -> None:
        """The pool ends the plugin: all its calls end now, or move."""
        self.is_revoked = True
        self.end()
        for call in list(self.live):
            call.revoke()
