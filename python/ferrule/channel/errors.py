"""The error of a failed asyncio call, and the note on any other error whether its call had begun."""

from __future__ import annotations

import contextlib
from typing import Any, TypeVar

import grpc
from grpc import aio

__all__ = ["AioRpcError", "note_begun"]

_Error = TypeVar("_Error", bound=BaseException)


class AioRpcError(aio.AioRpcError):
    """A failed call of `grpc.aio`, which says whether the call had begun. The name is in grpcio's text of the error.

    Args:
        code: The status code.
        initial_metadata: The initial metadata received; default None.
        trailing_metadata: The trailing metadata received; default None.
        details: The details of the status; default None.
        debug_error_string: Code and details for people; default None.
        begun: Whether the peer may have seen the request; default True, the answer that is safe where nothing is known.

    Attributes:
        begun (bool): Whether the peer may have seen the request: False is certain, so that the call can be made again.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        initial_metadata: aio.Metadata | None = None,
        trailing_metadata: aio.Metadata | None = None,
        details: str | None = None,
        debug_error_string: str | None = None,
        begun: bool = True,
    ) -> None:
        super().__init__(
            code, initial_metadata or aio.Metadata(), trailing_metadata or aio.Metadata(), details, debug_error_string
        )
        self.begun = begun

    def __reduce__(self) -> tuple[Any, ...]:
        metadata = (self.initial_metadata(), self.trailing_metadata())
        return type(self), (self.code(), *metadata, self.details(), self.debug_error_string(), self.begun)


def note_begun(error: _Error, begun: bool) -> _Error:
    """Sets `error.begun` on an exception of any kind; one without room for attributes stays as it is."""
    with contextlib.suppress(AttributeError, TypeError):
        error.begun = begun  # type: ignore[attr-defined]
    return error
