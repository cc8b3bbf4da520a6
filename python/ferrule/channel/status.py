"""Status codes and connectivity as gRPC's numbers, and the texts that go with a status set on this side."""

from __future__ import annotations

from typing import NamedTuple

import grpc

__all__ = [
    "ALREADY_FINISHED",
    "BROKER_CLOSED",
    "CANCELLED",
    "CHANNEL_CLOSED",
    "CLIENT_CLOSED",
    "CLOSED",
    "CODES",
    "COLLECTED",
    "CONNECTIVITY",
    "DEADLINE_EXCEEDED",
    "HALF_CLOSED",
    "INTERNAL",
    "LOCALLY_CANCELLED",
    "MIXED_STYLES",
    "NOT_DESERIALIZED",
    "NOT_ITERATED",
    "NOT_SERIALIZED",
    "OK",
    "UNAUTHENTICATED",
    "UNAVAILABLE",
    "UNKNOWN",
]

# Numbers of the status codes that are set on this side.
OK, CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 0, 1, 2, 4, 13, 14, 16

# gRPC's enumerations by the numbers that the core uses.
CODES = {code.value[0]: code for code in grpc.StatusCode}
CONNECTIVITY = {state.value[0]: state for state in grpc.ChannelConnectivity}

# grpcio's texts, which users match.
CLOSED = "Channel is closed."
LOCALLY_CANCELLED = "Locally cancelled by application!"
COLLECTED = "Cancelled upon garbage collection!"
ALREADY_FINISHED = "RPC already finished."
HALF_CLOSED = 'RPC is half closed after calling "done_writing".'
MIXED_STYLES = "The iterator and read/write APIs may not be mixed on a single RPC."
NOT_SERIALIZED = "Exception serializing request!"
NOT_DESERIALIZED = "Exception deserializing response!"
# grpcio's of blocking calls; its asyncio calls have none for this.
NOT_ITERATED = "Exception iterating requests!"


class CloseStatus(NamedTuple):
    """The status of calls that are under way when their channel is closed."""

    code: int
    details: str


# A channel that its user made: the rule of grpc.aio, by which a task that waits for such a call gets a CancelledError.
CHANNEL_CLOSED = CloseStatus(CANCELLED, LOCALLY_CANCELLED)
# A channel to a plugin may be closed by another task than the call's. A task group takes a CancelledError for its own,
# and would end without an error: a write would be lost without a word.
CLIENT_CLOSED = CloseStatus(UNAVAILABLE, "the plugin's client, or its channel, was closed during the call")
BROKER_CLOSED = CloseStatus(UNAVAILABLE, "the broker, or its channel, was closed during the call")
