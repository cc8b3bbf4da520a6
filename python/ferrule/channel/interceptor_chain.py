"""The chain of a call's interceptors, around the calls that they make."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ferrule.channel.core_call import CoreCall
from ferrule.channel.errors import AioRpcError
from ferrule.channel.interceptor_results import FailureOutcome

__all__ = ["Chain"]


class Chain:
    """A chain of interceptors, each of which gets the rest of the chain as its continuation.

    Args:
        interceptors: The interceptors, the outermost first.
        intercept: The name of their method.
        invoke: Starts a call with details and a request.
        as_call: Returns an interceptor's result as a call, given the last call that was made.
    """

    def __init__(
        self,
        interceptors: list[Any],
        intercept: str,
        invoke: Callable[[Any, Any], Awaitable[Any]],
        as_call: Callable[[Any, Any], Any],
    ) -> None:
        self._steps = [getattr(interceptor, intercept) for interceptor in interceptors]
        self._invoke = invoke
        self._as_call = as_call
        self._last_call: Any = None
        self._has_started = False
        self._closed_with: AioRpcError | None = None
        self._had_begun = False
        """Whether one of the calls that were forgotten had begun."""
        self._calls: list[CoreCall] = []
        """The core's calls, not those of the interceptors: a stream that an interceptor drops is cancelled."""

    @property
    def begun(self) -> bool:
        """Whether one of the calls that the chain has made had begun: an interceptor may have made several."""
        return self._had_begun or any(call.begun for call in self._calls)

    async def run(self, details: Any, request: Any) -> Any:
        """Returns the call that the outermost interceptor returned, or a `FailureOutcome` if one raised."""
        self._has_started = True
        if self._closed_with is None:
            try:
                return await self._proceed(0, details, request)
            except asyncio.CancelledError:
                if self._closed_with is None:
                    raise
            except Exception as error:  # noqa: BLE001 - users' functions; raised when the call is awaited
                return FailureOutcome(error)
        return FailureOutcome(self._closed_with)

    def close(self, error: AioRpcError) -> bool:
        """Has the chain end with an error; returns whether its task must be cancelled, since it has started."""
        self._closed_with = error
        return self._has_started

    async def _proceed(self, position: int, details: Any, request: Any) -> Any:
        if position == len(self._steps):
            call = await self._invoke(details, request)
            self._forget_ended()
            self._calls.append(call._core)
        else:
            result = await self._steps[position](partial(self._proceed, position + 1), details, request)
            call = self._as_call(result, self._last_call)
        self._last_call = call
        return call

    def _forget_ended(self) -> None:
        """Forgets calls that have ended: an interceptor may try again for hours."""
        ended = [call for call in self._calls if call.code is not None]
        self._had_begun |= any(call.begun for call in ended)
        self._calls = [call for call in self._calls if call not in ended]
