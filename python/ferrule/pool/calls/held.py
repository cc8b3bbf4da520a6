"""HeldCall: stands in for a call of the core while the call waits for its plugin."""

from __future__ import annotations

__all__ = ["HeldCall"]


class HeldCall:
    """A call that nothing was sent of.

    Attributes:
        requests: What the caller has sent of a stream of requests.
    """

    __slots__ = ("requests",)

    code: None = None
    begun = False
    answered = False
    details = debug_error_string = ""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    @property
    def initial_metadata(self) -> list[tuple[str, str | bytes]]:
        return []

    @property
    def trailing_metadata(self) -> list[tuple[str, str | bytes]]:
        return []

    def holds(self, _event: int) -> bool:
        return False

    def wait(self, _event: int, _timeout: float | None) -> bool:
        return False

    def message(self) -> bytes | None:
        return None

    def take(self) -> list[bytes]:
        return []

    def send(self, message: bytes) -> bool:
        self.requests.append(message)
        return False

    def finish(self) -> None:
        """The caller's side is ended when the call is sent."""
