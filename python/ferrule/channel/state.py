"""The state that a channel shares with its multicallables and calls."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
from grpc import aio

from ferrule import _core
from ferrule._finalizers import finalizer
from ferrule._mailbox import mailbox
from ferrule._weak_set import WeakSet
from ferrule.channel.errors import note_begun
from ferrule.channel.status import CLOSED, LOCALLY_CANCELLED, CloseStatus

__all__ = ["ChannelState"]


class ChannelState:
    """The state of a channel that its calls read and change, kept apart so that the channel shows none of it.

    Multicallables and calls hold the state, not the channel. The core's channel is closed with the last holder.

    Args:
        core: The channel of the core.
        secure: Whether calls may carry credentials.
        authority: The server's name and port, as call credentials are told, such as `example.com:443`.
        call_credentials: Credentials of every call, or None.
        close_status: The status of calls that are under way when the channel is closed.
    """

    # Each call reads several of these attributes.
    __slots__ = (
        "_close_status",
        "_loop",
        "authority",
        "call_credentials",
        "core",
        "create_arrival",
        "create_future",
        "is_closed",
        "is_closing",
        "live_calls",
        "live_streams",
        "mailbox",
        "open_on",
        "secure",
    )

    create_future: Callable[[], asyncio.Future[Any]]
    """The loop's method; set by `attach`."""
    create_arrival: Callable[[], _core.Arrival]
    """Makes what a task of the loop waits for, and goes on at once when it comes; set by `attach`."""
    mailbox: _core.Mailbox
    """The loop's mailbox; set by `attach`."""

    def __init__(
        self,
        core: _core.Channel,
        secure: bool,
        authority: str,
        call_credentials: grpc.CallCredentials | None,
        close_status: CloseStatus,
    ) -> None:
        self.core = core
        self._close_status = close_status
        self.secure = secure
        self.authority = authority
        self.call_credentials = call_credentials
        self.live_calls: set[Any] = set()
        # The user alone holds a stream: a stream that is dropped is cancelled.
        self.live_streams: WeakSet[Any] = WeakSet()
        self.open_on: asyncio.AbstractEventLoop | None = None
        """The loop on which calls may start; None before the first one and from the beginning of `close`."""
        self.is_closing = self.is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()

    @finalizer
    def __del__(self) -> None:
        self.core.close(LOCALLY_CANCELLED)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the channel's calls; set when the first of them starts."""
        assert self._loop is not None
        return self._loop

    def attach(self) -> None:
        """Makes the running loop the one on which calls may start.

        Raises:
            UsageError: The channel is closed.
            RuntimeError: No loop is running, or the channel belongs to another one.
        """
        if self.is_closing:
            raise note_begun(aio.UsageError(CLOSED), False)
        running = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = running
        elif self._loop is not running:
            raise RuntimeError("the channel is attached to a different loop; make one in each loop")
        self.mailbox = mailbox()
        self.create_future = running.create_future
        self.create_arrival = partial(_core.Arrival, running)
        self.open_on = running

    def error_of(self, core: Any) -> Exception | None:
        """The exception for a call of the core that has failed; None for the one with its status."""
        return None

    def refuse_calls(self) -> None:
        """Makes new calls raise UsageError; calls under way go on."""
        self.is_closing = True
        self.open_on = None

    def live(self) -> list[Any]:
        """Returns the calls under way."""
        return [*self.live_calls, *self.live_streams]

    def close(self) -> None:
        """Ends the calls under way and closes the connection."""
        code, details = self._close_status
        for call in self.live():
            call.end_by_close(code, details)
        self.is_closed = True
        self.core.close(details, code)
