"""Streams of requests, read from the user's iterator on a thread of their own, since it may block."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from ferrule import _core
from ferrule.channel.core_call import ROOM
from ferrule.channel.status import INTERNAL, NOT_SERIALIZED, UNKNOWN

__all__ = ["Serializer", "send_requests"]

_NOT_ITERATED = "Exception iterating requests!"

Serializer = Callable[[Any], bytes]

_logger = logging.getLogger(__name__)


def send_requests(
    core: _core.Call, requests: Iterable[Any], serializer: Serializer | None, ended: Callable[[], object]
) -> None:
    """Sends the requests on a thread that ends with them, or with the next one after the end of the call.

    Args:
        core: The call.
        requests: Any iterable.
        serializer: None for requests that are bytes.
        ended: Called if a failure on this side ended the call, which the core does not tell.
    """
    sender = _Sender(core, serializer, ended)
    threading.Thread(target=sender.run, args=(requests,), name="ferrule-requests", daemon=True).start()


class _Sender:
    def __init__(self, core: _core.Call, serializer: Serializer | None, ended: Callable[[], object]) -> None:
        self._core = core
        self._serializer = serializer
        self._ended = ended

    def run(self, requests: Iterable[Any]) -> None:
        try:
            for request in requests:
                if not self._send(request):
                    return
        except BaseException:
            # Of the user's iterator. Whatever it was, the call must not wait for requests for ever.
            _logger.exception(_NOT_ITERATED)
            self._fail(UNKNOWN, _NOT_ITERATED)
        else:
            self._core.finish()

    def _send(self, request: Any) -> bool:
        """Sends one request and waits for room for another; False if the call has ended."""
        try:
            has_room = self._core.send(request if self._serializer is None else self._serializer(request))
        except Exception:
            _logger.exception(NOT_SERIALIZED)
            self._fail(INTERNAL, NOT_SERIALIZED)
            return False
        if not has_room:
            self._core.wait(ROOM, None)
        return self._core.code is None

    def _fail(self, code: int, details: str) -> None:
        if self._core.cancel(code, details):
            self._ended()
