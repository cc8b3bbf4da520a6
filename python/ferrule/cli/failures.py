"""A call that failed, for people and for programs."""

from typing import Any, Self

import grpc.aio

from ferrule._console import error_json
from ferrule.errors import RPCPluginError

__all__ = ["CallError"]

HINT_BY_STATUS = {
    "DEADLINE_EXCEEDED": "If the call took as long as --timeout says, raise that; else the limit is the plugin's own.",
    "UNIMPLEMENTED": "The plugin does not serve this method.",
}


class CallError(RPCPluginError):
    """The plugin answered a call with another status than OK, or ended.

    Attributes:
        status (str): Name of the gRPC status.
        details (str): The plugin's text.
        begun (bool | None): Whether the plugin may have begun with the call; None if not known.
    """

    status: str
    details: str
    begun: bool | None

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError, method: str) -> Self:
        status, details = error.code().name, error.details() or ""
        text = f"{method} failed with {status}{f': {details}' if details else ''}"
        begun: bool | None = getattr(error, "begun", None)
        hint = HINT_BY_STATUS.get(status)
        if status == "UNAVAILABLE" and begun is not None:
            hint = "The plugin may have begun with the call." if begun else "The call had not begun."
        failure = cls(text, hint, "grpc.status")
        failure.status, failure.details, failure.begun = status, details, begun
        return failure

    def as_json(self) -> dict[str, Any]:
        """The failure for programs."""
        return {**error_json(self), "status": self.status, "details": self.details, "begun": self.begun}
