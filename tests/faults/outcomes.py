"""How something ended, in the words of the table."""

from __future__ import annotations

import grpc

from ferrule.errors import RPCPluginError


def outcome_of(error: BaseException) -> str:
    """Class and code of a Ferrule error, the status of a call, else the class."""
    if isinstance(error, grpc.RpcError):
        status = error.code()
        name = type(error).__name__
        # A pool's errors have a class of their own beside the status.
        return f"{name} {error.code}" if isinstance(error, RPCPluginError) else str(status.name)
    code = getattr(error, "code", "") if isinstance(error, RPCPluginError) else ""
    return f"{type(error).__name__} {code}".strip()


def text_of(error: BaseException) -> str:
    """The error's text as users see it."""
    return error.details() or "" if isinstance(error, grpc.RpcError) else str(error)
