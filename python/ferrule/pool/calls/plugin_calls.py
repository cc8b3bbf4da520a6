"""PluginCalls: the calls to one plugin, in place of the core's channel."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

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
        live: Calls that were sent and have not ended.
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
        self._now = clock.now
        self._limit = spec.max_concurrent_calls
        self._held: deque[PooledCall] = deque()
        self.measures = measures
        self._measures_by_method: dict[str | bytes, CallMeasures] = {}

    def call(
        self,
        mailbox: _core.Mailbox | None,
        receiver: Callable[[], object],
        method: str | bytes,
        request: bytes | None,
        single_response: bool,
        metadata: Iterable[tuple[str | bytes, str | bytes]] | None,
        timeout: float | None,
        wait_for_ready: bool,
        compression: int | None,
    ) -> PooledCall:
        """Makes a call, as the core's channel does."""
        if metadata is not None:
            # It may have to be sent again.
            metadata = list(metadata)
        head = (method, request, single_response, metadata)
        call = PooledCall(self, receiver, mailbox, head, (wait_for_ready, compression), timeout, self._now())
        if self.is_over:
            call.move()
        elif self._is_full:
            call.hold()
            self._held.append(call)
        else:
            call.send_to(self, timeout)
        return call

    @property
    def _is_full(self) -> bool:
        return self._limit is not None and len(self.live) >= self._limit

    def send(self, call: PooledCall) -> None:
        """Sends a call that comes from another plugin, now or when there is room for it."""
        if self._is_full:
            self._held.append(call)
        else:
            call.send_late(self)

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
        while self._held and not self.is_over and not self._is_full:
            self._held.popleft().send_late(self)

    def count(self, call: PooledCall, method: str | bytes, status: str, since: float) -> None:
        """Counts a call that has ended for its caller."""
        seconds = self._now() - since
        measures = self._measures_by_method.get(method)
        if measures is None:
            name = method.decode(errors="replace") if isinstance(method, bytes) else method
            measures = self._measures_by_method[method] = self.measures.calls[name]
        measures.seconds[status].add(seconds)
        self.own.call_seconds.add(seconds)
        if status == "UNAVAILABLE" and call.is_unknown:
            measures.unknown += 1

    def end(self) -> None:
        """The plugin has ended: calls that were held back move, those under way are ended by the core."""
        self.is_over = True
        held, self._held = self._held, deque()
        for call in held:
            call.move()

    def revoke(self) -> None:
        """The pool ends the plugin: all its calls end now, or move."""
        self.is_revoked = True
        self.end()
        for call in list(self.live):
            call.revoke()
