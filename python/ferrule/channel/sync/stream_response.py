"""Blocking calls with a stream of responses."""

from __future__ import annotations

from collections import deque
from typing import Any, Self

from ferrule.channel.core_call import MESSAGE
from ferrule.channel.status import INTERNAL, NOT_DESERIALIZED, OK
from ferrule.channel.sync.calls import BaseCall, Deserializer, MultiThreadedRendezvous, deserialized
from ferrule.channel.sync.worker import Worker

__all__ = ["StreamCall"]


class StreamCall(BaseCall, MultiThreadedRendezvous):
    """A call with a stream of responses, and the iterator over them.

    Several threads may read; each response goes to one of them. The call is done once its status has arrived; responses
    that arrived before it can still be read.
    """

    def __init__(self, worker: Worker | None, deserializer: Deserializer | None, timeout: float | None) -> None:
        super().__init__(worker, deserializer, timeout)
        self._ready: deque[bytes] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        while True:
            try:
                data = self._ready.popleft()
            except IndexError:
                self._fill()
                continue
            response = deserialized(data, self._deserializer)
            if response is None:
                self._fail()
            return response

    next = __next__

    def _fill(self) -> None:
        """Waits for responses.

        Raises:
            StopIteration: The call ended with OK and there are none.
            RpcError: The call failed and there are none.
        """
        core = self._core
        # In this order, since all responses are there once the call has ended.
        has_ended = core.code is not None
        batch = core.take()
        if batch:
            self._ready.extend(batch)
        elif not has_ended:
            core.wait(MESSAGE, None)
        elif core.code == OK:
            raise StopIteration
        else:
            raise self.with_traceback(None)

    def _fail(self) -> None:
        if self._core.cancel(INTERNAL, NOT_DESERIALIZED) and self._worker is not None:
            self._worker.post(self.run_callbacks)
        self._replace(INTERNAL, NOT_DESERIALIZED)
        raise self.with_traceback(None)

    def _has_unread(self) -> bool:
        self._ready.extend(self._core.take())
        return bool(self._ready)

    def _replace(self, code: int, details: str) -> None:
        super()._replace(code, details)
        self._ready.clear()
