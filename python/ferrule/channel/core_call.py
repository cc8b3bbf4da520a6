"""Calls of the core: the events to wait for, and the stand-in for a call whose end the core does not know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from ferrule import _core
from ferrule.channel.status import CANCELLED

__all__ = ["BEGUN", "END", "HEADERS", "MESSAGE", "ROOM", "CoreCall", "EndedCall", "Pairs"]

# The core's events, as its bits: the request's headers were handed to a connection, initial metadata arrived, a message
# can be taken, the transport has taken everything that was sent, the call has ended. A call that has ended holds all.
BEGUN, HEADERS, MESSAGE, ROOM, END = 1, 2, 4, 8, 16

Pairs = Iterable[tuple[str, str | bytes]]
"""Metadata as users give it: pairs of key and value."""


class EndedCall:
    """Stands in for a call of the core that was never made, or whose user is told of another end than the core's."""

    debug_error_string = ""
    answered = False

    def __init__(self, code: int, details: str, *, begun: bool = False) -> None:
        self.code = code
        self.details = details
        self.begun = begun
        self.initial_metadata: list[tuple[str, str | bytes]] = []
        self.trailing_metadata: list[tuple[str, str | bytes]] = []

    @classmethod
    def in_place_of(cls, core: CoreCall, code: int, details: str) -> Self:
        """Returns another end of `core`, whose response had come as far as it has."""
        ended = cls(code, details, begun=core.begun)
        ended.initial_metadata = list(core.initial_metadata)
        return ended

    @classmethod
    def copy_of(cls, core: CoreCall) -> Self:
        """Returns the end of `core`, without its connection and messages; a call under way counts as cancelled."""
        ended = cls.in_place_of(core, CANCELLED if core.code is None else core.code, core.details)
        ended.trailing_metadata = list(core.trailing_metadata)
        ended.debug_error_string = core.debug_error_string
        ended.answered = core.answered
        return ended

    def holds(self, _event: int) -> bool:
        return True

    def wait(self, _event: int, _timeout: float | None) -> bool:
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


CoreCall = _core.Call | EndedCall
