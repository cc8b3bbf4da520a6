"""PooledCall: one call of a pool, in place of the core's."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ferrule import _core
from ferrule.channel.core_call import CoreCall, EndedCall
from ferrule.channel.status import CODES, DEADLINE_EXCEEDED, OK, UNAVAILABLE
from ferrule.pool.calls.forwarded import Forwarded
from ferrule.pool.calls.held import HeldCall
from ferrule.pool.calls.interfaces import CallsOfPlugin
from ferrule.pool.calls.loss import Loss
from ferrule.pool.clock import Timer
from ferrule.pool.errors import LeaseTimeout, OutcomeUnknown, PluginDied

__all__ = ["PooledCall"]

_MAX_REPEATS = 2
"""Times that a call which had begun is made again: a request may be what kills the plugin."""

_STATUS = {number: code.name for number, code in CODES.items()}

REVOKED = "the pool ended the plugin"


def _nothing() -> None:
    """The receiver of a call whose caller knows of its end."""


class PooledCall(Forwarded):
    """A call to one plugin after another, until one of them has answered it or may have seen it.

    The object has the members of the core's call. While the call waits for its plugin, a `HeldCall` is in the place of
    the core's call; from the end on, the end does not change any more.

    Args:
        calls: The calls of the plugin that the caller has a lease of.

    The other arguments are those of the core's `Channel.call`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: Metadata are malformed.
    """

    # Defaults of what few calls need: setting them would cost every call.
    _code: int | None = None
    _loss: Loss | None = None
    _had_begun = False
    _was_held = _was_sent = False
    _has_requests = False
    """Whether a stream of requests has begun: what was taken from its iterator is not to be had again."""
    _has_responses = False
    _is_finished = False
    _repeats = 0
    _give_back: Callable[[], None] | None = None
    _moving: asyncio.Task[None] | None = None
    _timer: Timer | None = None
    _tried: tuple[CallsOfPlugin, ...] = ()

    def __init__(
        self,
        calls: CallsOfPlugin,
        mailbox: _core.Mailbox | None,
        receiver: Callable[[], object],
        method: str | bytes,
        request: bytes | None,
        single_response: bool,
        metadata: Iterable[tuple[str | bytes, str | bytes]] | None,
        timeout: float | None,
        wait_for_ready: bool,
        compression: int | None,
    ) -> None:
        if metadata is not None:
            # It may have to be sent again.
            metadata = list(metadata)
        self._calls = calls
        self._receiver = receiver
        self._method = method
        self._timeout = timeout
        self._since = calls.now()
        self._request: Any = mailbox, request, single_response, metadata, wait_for_ready, compression
        if len(calls.live) >= calls.limit:
            calls.keep_back(self)
            return
        # As `send_to` does: the way of most calls goes through few functions, since each is cold when it is called.
        self._core = calls.core.call(
            mailbox,
            self._take_event,
            method,
            request,
            single_response,
            metadata,
            timeout,
            wait_for_ready,
            compression,
        )
        self._was_sent = True
        calls.live.add(self)
        calls.own.calls += 1

    # The members of the core's call.

    @property
    def code(self) -> int | None:
        code = self._code
        if code is None and (number := self._core.code) is not None:
            return self._take_end(number)
        return code

    @property
    def begun(self) -> bool:
        return self._had_begun or self._core.begun

    @property
    def details(self) -> str:
        core: CoreCall = self._core
        return core.details if self._loss is None else self._loss.message

    def holds(self, event: int) -> bool:
        # Asking may find that the call is lost, and move it.
        return self._core.holds(event) and (self._code is not None or self._core.code is None or self.code is not None)

    def take(self) -> list[bytes]:
        core: CoreCall = self._core
        taken = core.take()
        if taken:
            self._has_responses = True
        return taken

    def send(self, message: bytes) -> bool:
        self._has_requests = True
        core: CoreCall = self._core
        return core.send(message)

    def finish(self) -> None:
        self._is_finished = True
        self._core.finish()

    def cancel(self, code: int, details: str) -> bool:
        if self._code is not None:
            return False
        if isinstance(self._core, HeldCall):
            self._core = EndedCall(code, details, begun=self._had_begun)
        elif not self._core.cancel(code, details):
            return False
        if self._calls.replacements.is_here():
            self._end(code)
            self._receiver = _nothing
        else:
            # A stream that nobody holds any more is cancelled on the thread that collects it.
            self._calls.replacements.run_soon(partial(self._end_collected, code))
        return True

    def _end_collected(self, code: int) -> None:
        if self._code is None:
            self._end(code)

    # What the pool does with it.

    @property
    def is_unknown(self) -> bool:
        """Whether the call was lost after it had begun."""
        return self._loss is not None and self._loss.begun

    def error(self) -> PluginDied | OutcomeUnknown | None:
        """A new exception for a call that was lost; None for any other."""
        return None if self._loss is None else self._loss.error()

    def send_to(self, calls: CallsOfPlugin, timeout: float | None) -> None:
        """Sends the call to a plugin.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: Metadata are malformed.
        """
        self._calls = calls
        mailbox, request, single_response, metadata, wait_for_ready, compression = self._request
        head = mailbox, self._take_event, self._method, request, single_response, metadata
        self._core = calls.core.call(*head, timeout, wait_for_ready, compression)
        self._was_sent = True
        calls.live.add(self)
        calls.own.calls += 1

    def send_late(self, calls: CallsOfPlugin) -> None:
        """Sends a call that was held back or moves here, with what its caller has sent meanwhile."""
        held = self._core
        self._disarm()
        try:
            self.send_to(calls, self._time_left())
        except (TypeError, ValueError) as error:
            self._core = EndedCall(UNAVAILABLE, str(error))
            self._end(UNAVAILABLE)
            self._tell_end()
        else:
            if isinstance(held, HeldCall):
                for message in held.requests:
                    self._core.send(message)
            if self._is_finished:
                self._core.finish()
            self._receiver()

    def hold(self) -> None:
        """Has the call wait, at most until its deadline."""
        self._was_held = True
        if not isinstance(self._core, HeldCall):
            self._core = HeldCall()
        if self._timer is None and self._timeout is not None and self._timeout != math.inf:
            self._timer = self._calls.clock.call_at(self._since + self._timeout, self._expire)

    def move(self) -> None:
        """Has the call made with the plugin that replaces this one, if that is allowed, else end."""
        details = REVOKED if self._calls.is_revoked else "the plugin had ended"
        if not self._lose(details):
            self._core = EndedCall(UNAVAILABLE, details)
            self._end(UNAVAILABLE)
            # Not at once: the call may be just in the making.
            self._calls.replacements.run_soon(self._tell_end)

    def revoke(self) -> None:
        """Ends a call that was sent, since the pool ends its plugin."""
        # A call that has ended by itself meanwhile is about to be told.
        if self._code is None and self._core.cancel(UNAVAILABLE, REVOKED):
            self._had_begun |= self._core.begun
            self._calls.left(self)
            if not self._lose(REVOKED):
                self._end(UNAVAILABLE)
                self._tell_end()

    # What follows.

    def _take_event(self) -> None:
        if self._code is None:
            number = self._core.code
            if number is None:
                self._receiver()
                return
            if number == OK and not self._was_held:
                # The way of most calls.
                self._code = OK
                self._request = None
                self._calls.ended(self, self._method, "OK", self._since)
            elif self._take_end(number) is None:
                return
        receiver, self._receiver = self._receiver, _nothing
        receiver()

    def _tell_end(self) -> None:
        """Tells the caller of the end, once: the two hold each other until then."""
        receiver, self._receiver = self._receiver, _nothing
        receiver()

    def _take_end(self, number: int) -> int | None:
        """Takes over the end of the core's call; None if the call goes on elsewhere."""
        calls = self._calls
        if number != OK and not self._core.answered:
            if number == DEADLINE_EXCEEDED:
                calls.replacements.suspect()
            elif number == UNAVAILABLE or calls.is_over or calls.client.exit_status is not None:
                number = UNAVAILABLE
                self._had_begun |= self._core.begun
                calls.left(self)
                if self._lose(self._core.details):
                    return None
        self._end(number)
        return number

    def _lose(self, details: str) -> bool:
        """Whether the call goes on elsewhere after it was lost."""
        if self._may_be_made_again():
            self._repeats += self._had_begun
            self.hold()
            self._moving = self._calls.replacements.run(self._move(details))
            return True
        self._set_loss(details, None)
        return False

    def _may_be_made_again(self) -> bool:
        if (self._has_requests and self._was_sent) or self._has_responses:
            return False
        if self._had_begun:
            return self._path in self._calls.spec.idempotent and self._repeats < _MAX_REPEATS
        return self._calls.replacements.retry_unsent

    async def _move(self, details: str) -> None:
        lost = self._calls
        self._tried += (lost,)
        self._return_lease()
        try:
            calls, give_back = await lost.replacements.lease_for_call(lost, self._time_left())
        except Exception as error:  # noqa: BLE001 - the cause of the call's own.
            late = isinstance(error, LeaseTimeout) and self._time_left() == 0
            self._give_up(details, None if late else error)
            return
        except asyncio.CancelledError:
            # By the caller, who has ended the call, or by the end of the loop.
            self._give_up(details, None)
            raise
        self._give_back = give_back
        if self._code is not None:
            self._return_lease()
        elif calls in self._tried:
            self._give_up(details, None)
        else:
            self._calls = calls
            calls.send(self)

    def _give_up(self, details: str, cause: Exception | None) -> None:
        if self._code is not None:
            return
        if cause is None and self._time_left() == 0:
            self._expire()
            return
        self._set_loss(details, cause)
        self._core = EndedCall(UNAVAILABLE, details, begun=self._had_begun)
        self._end(UNAVAILABLE)
        self._tell_end()

    def _expire(self) -> None:
        """The deadline of a call that waits has come."""
        self._timer = None
        if self._code is None:
            self._core = EndedCall(DEADLINE_EXCEEDED, "Deadline Exceeded", begun=self._had_begun)
            self._end(DEADLINE_EXCEEDED)
            self._tell_end()

    def _set_loss(self, details: str, cause: Exception | None) -> None:
        calls = self._calls
        self._loss = Loss.of(calls, self._path, begun=self._had_begun, details=details, cause=cause)
        if self._had_begun:
            calls.replacements.outcome_unknown(calls, self._path)

    def _end(self, number: int) -> None:
        self._code = number
        # The request may be large, and the caller may keep the call.
        self._request = None
        calls = self._calls
        calls.ended(self, self._method, _STATUS.get(number, "UNKNOWN"), self._since)
        if self._was_held:
            calls.forget(self)
            self._disarm()
            if self._moving is not None and self._moving is not asyncio.current_task():
                self._moving.cancel()
            self._return_lease()

    @property
    def _path(self) -> str:
        method = self._method
        return method.decode(errors="replace") if isinstance(method, bytes) else method

    def _return_lease(self) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_left(self) -> float | None:
        if self._timeout is None:
            return None
        return max(0.0, self._since + self._timeout - self._calls.now())
