"""The exceptions of pools.

PoolError (RPCPluginError)
├── PoolFull                too many callers wait already
├── LeaseTimeout            no lease in time (TimeoutError)
├── PluginUnavailable       the plugin does not start, or crashes again and again
├── PluginDied              a call had not begun when its plugin ended (grpc.aio.AioRpcError)
└── OutcomeUnknown          a call had begun when its plugin ended (grpc.aio.AioRpcError)
    └── LeaseRevoked        ... and the pool itself ended the plugin
"""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from grpc import aio

from ferrule.errors import RPCPluginError

__all__ = [
    "LeaseRevoked",
    "LeaseTimeout",
    "OutcomeUnknown",
    "PluginDied",
    "PluginUnavailable",
    "PoolError",
    "PoolFull",
]


class PoolError(RPCPluginError):
    """The base of the errors of pools.

    Attributes:
        begun: Whether a call that ended with the error may have reached its plugin.
    """

    begun: bool = False


class PoolFull(PoolError):  # noqa: N818 - named as the field names it.
    """As many callers wait already as `Limits.max_waiting` allows."""


class LeaseTimeout(PoolError, TimeoutError):  # noqa: N818
    """A lease was not to be had in time.

    Attributes:
        held_by: What the caller waited for: "start slots", "memory", "plugins", "concurrency", "group", "start",
            "backoff".
        waited: Seconds that the caller waited.
    """

    held_by: str = ""
    waited: float = 0.0


class PluginUnavailable(PoolError):  # noqa: N818
    """The plugin does not start, or ended too often in a short time; the cause is the last failure."""


class _Code(str):
    """The `code` of an error that is one of Ferrule's, with a text, and one of gRPC's, with a method."""

    __slots__ = ()

    def __call__(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE


class _Unavailable(aio.AioRpcError):
    """gRPC's error, whose next class in line is told the text alone: older releases of grpcio want the metadata too."""

    def __init__(self, message: str) -> None:
        super().__init__(grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), message)


class _CallError(PoolError, _Unavailable):  # type: ignore[misc]
    """A call that a plugin's end has ended; UNAVAILABLE for those who know gRPC's errors alone.

    Attributes:
        method: The call's method, `/service/method`.
        pid: The plugin's process.
    """

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        code: str | int | None = None,
        *,
        method: str = "",
        pid: int | None = None,
        exit_status: int | None = None,
        stderr_tail: Iterable[str] = (),
    ) -> None:
        PoolError.__init__(self, message, hint, code, exit_status=exit_status, stderr_tail=stderr_tail)
        self.code = _Code(self.code or "")
        self.method = method
        self.pid = pid


class PluginDied(_CallError):  # noqa: N818
    """The plugin ended before the call had begun: nothing of it reached the plugin, and it may be made again."""

    begun = False


class OutcomeUnknown(_CallError):  # noqa: N818
    """The plugin ended after the call had begun: it may have been carried out, and is not made again."""

    begun = True


class LeaseRevoked(OutcomeUnknown):
    """The pool ended the plugin during the call: `drain_timeout`, `evict(force=True)` or `close(force=True)`."""
