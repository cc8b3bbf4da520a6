"""Streams of requests of blocking calls: a thread for each, since the user's iterator may block."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from ferrule import _core
from ferrule.channel.core_call import ROOM
from ferrule.channel.status import INTERNAL, NOT_ITERATED, NOT_SERIALIZED, UNKNOWN

__all__ = ["Serializer", "send_requests"]

Serializer = Callable[[Any], bytes]

_logger = logging.getLogger(__name__)


def send_requests(
    core: _core.Call, requests: Iterable[Any], serializer: Serializer | None, ended: Callable[[], object]
) -> None:
    """Sends requests on a new thread, which ends with the last request, or with the first one after the call's end.

    Args:
        core: The call of the core.
        requests: Any iterable.
        serializer: Serializes requests; None for requests in bytes.
        ended: Called if a failure on this side ends the call, since the core does not announce such an end.
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
            # The user's iterator may raise anything. The call must not wait for its requests for ever.
            _logger.exception(NOT_ITERATED)
            self._fail(UNKNOWN, NOT_ITERATED)
        else:
            self._core.finish()

    def _send(self, request: Any) -> bool:
        """Sends one request and waits for room for another; returns False if the call has ended."""
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
