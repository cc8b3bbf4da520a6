"""ClientStats: the numbers of one client at one moment; and the record of its channels, of which they are made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

__all__ = ["ChannelRecord", "ClientStats"]

_COUNTS = (
    "calls_started",
    "calls_succeeded",
    "calls_failed",
    "calls_active",
    "messages_sent",
    "messages_received",
    "streams_opened",
    "connections_opened",
)


@dataclass(frozen=True, slots=True)
class ClientStats:
    """The numbers of a client and its plugin at one moment, all since the last start.

    Calls, messages, streams and connections are those of `grpc_channel` and `sync_channel`, together; with the setting
    `channel="grpcio"` those of `sync_channel` alone, since grpcio's channel does not count. Bytes are those of all
    connections to the plugin: its health check, its output and the broker's channels included.

    Attributes:
        is_started: Whether the client is started and not closed.
        pid: The plugin's process id; None before the first start, or if unknown.
        age: Seconds since `start()` succeeded, up to `close()`; None before.
        start_seconds: Seconds that `start()` took, without attempts that failed; None before.
        exit_status: The plugin's exit status as `subprocess` has it; None while it runs, or if unknown.
        calls_started: Calls that have begun on this side.
        calls_succeeded: Calls that ended with OK.
        calls_failed: Calls that ended with another status.
        calls_active: Calls under way.
        messages_sent: Requests sent.
        messages_received: Responses received.
        streams_opened: HTTP/2 streams opened; more than the calls if some were sent again.
        connections_opened: Connections that the channels have taken up; one that two of them share counts for each.
        wire_bytes_sent: Bytes written to the plugin's sockets, those of TLS included.
        wire_bytes_received: Bytes read from the plugin's sockets, those of TLS included.
        content_bytes_sent: Bytes sent inside TLS.
        content_bytes_received: Bytes received inside TLS.
    """

    is_started: bool = False
    pid: int | None = None
    age: float | None = None
    start_seconds: float | None = None
    exit_status: int | None = None
    calls_started: int = 0
    calls_succeeded: int = 0
    calls_failed: int = 0
    calls_active: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    streams_opened: int = 0
    connections_opened: int = 0
    wire_bytes_sent: int = 0
    wire_bytes_received: int = 0
    content_bytes_sent: int = 0
    content_bytes_received: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as values that `json.dumps` writes."""
        return asdict(self)


class ChannelRecord:
    """The channels of a client since its last start, also after their close, and the time since then."""

    def __init__(self) -> None:
        self._channels: list[Any] = []
        self._started_at = self._ended_at = 0.0

    def start(self, channel: Any) -> None:
        """Begins anew with the first channel of a start that succeeded."""
        # A channel of grpcio does not count.
        self._channels = [channel] if hasattr(channel, "stats") else []
        self._started_at, self._ended_at = monotonic(), 0.0

    def add(self, channel: Any) -> None:
        """Adds a further channel."""
        self._channels.append(channel)

    def end(self) -> None:
        """Ends the age, at the first call since the start."""
        self._ended_at = self._ended_at or monotonic()

    def age(self) -> float:
        """Seconds since the start, up to the end."""
        return (self._ended_at or monotonic()) - self._started_at

    def counts(self) -> dict[str, int]:
        """The sums of the channels' counts, without the bytes, which each channel has for the whole client."""
        counts = [channel.stats() for channel in self._channels]
        return {name: sum(each[name] for each in counts) for name in _COUNTS}
