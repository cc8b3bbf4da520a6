"""The names by which programs catch what grpcio's blocking calls raise.

They are private, but they are what its tracebacks show. Ours are subclasses, which use nothing of them but the name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from grpc import _channel

__all__ = ["Failure", "InactiveRpcError", "MultiThreadedRendezvous", "usual"]


class Failure(grpc.RpcError, grpc.Call, grpc.Future):  # type: ignore[type-arg, misc] # As in grpcio.
    """What every such class stands for."""


def usual(name: str) -> type[Failure]:
    """grpcio's class of that name; in a release without one, what it stood for."""
    found = getattr(_channel, name, Failure)
    is_usual = isinstance(found, type) and all(issubclass(found, base) for base in Failure.__bases__)
    return found if is_usual else Failure


if TYPE_CHECKING:

    class InactiveRpcError(Failure): ...

    class MultiThreadedRendezvous(Failure): ...
else:
    InactiveRpcError, MultiThreadedRendezvous = usual("_InactiveRpcError"), usual("_MultiThreadedRendezvous")
