"""Status codes, the texts that go with them, and calls whose end the core does not know of."""

from __future__ import annotations

import grpc

__all__ = [
    "ALREADY_FINISHED",
    "CANCELLED",
    "CLOSED",
    "CODES",
    "HALF_CLOSED",
    "INTERNAL",
    "LOCALLY_CANCELLED",
    "MIXED_STYLES",
    "NOT_DESERIALIZED",
    "NOT_SERIALIZED",
    "OK",
    "EndedLocally",
]

# Numbers of the status codes that are set on this side.
OK, CANCELLED, INTERNAL = 0, 1, 13

CODES = {code.value[0]: code for code in grpc.StatusCode}

# Texts that users match.
CLOSED = "Channel is closed."
LOCALLY_CANCELLED = "Locally cancelled by application!"
ALREADY_FINISHED = "RPC already finished."
HALF_CLOSED = 'RPC is half closed after calling "done_writing".'
MIXED_STYLES = "The iterator and read/write APIs may not be mixed on a single RPC."
NOT_SERIALIZED = "Exception serializing request!"
NOT_DESERIALIZED = "Exception deserializing response!"


class EndedLocally:
    """Stands in for the core's call where that was never made, or where its user is told of another end."""

    debug_error_string = ""

    def __init__(self, code: int, details: str, initial_metadata: list[tuple[str, str | bytes]] | None = None) -> None:
        self.code = code
        self.details = details
        self.initial_metadata = initial_metadata or []
        self.trailing_metadata: list[tuple[str, str | bytes]] = []

    def holds(self, _event: int) -> bool:
        return True

    def cancel(self, _code: int, _details: str) -> bool:
        return False

    def message(self) -> bytes | None:
        return None

    def take(self) -> list[bytes]:
        return []

    def send(self, _message: bytes) -> bool:
        return True

    def finish(self) -> None:
        pass
