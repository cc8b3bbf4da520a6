"""How an event loop hears from the I/O thread: one mailbox per loop, one wake-up for many outcomes."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

from ferrule._core import Mailbox

__all__ = ["mailbox", "outcome"]

# Weak, so that a mailbox and its descriptor go away with their loop.
_mailboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox] = weakref.WeakKeyDictionary()


def mailbox() -> Mailbox:
    """The running loop's mailbox.

    Raises:
        RuntimeError: No loop is running, or the running one cannot watch descriptors (Windows' Proactor loop).
    """
    loop = asyncio.get_running_loop()
    existing = _mailboxes.get(loop)
    if existing is not None:
        return existing
    # A loop that was closed with operations under way is held by their futures.
    for closed in [known for known in _mailboxes if known.is_closed()]:
        _mailboxes.pop(closed).forget_all()
    made = Mailbox()
    try:
        loop.add_reader(made.fileno(), made.drain)
    except NotImplementedError:
        raise RuntimeError(f"{type(loop).__name__} cannot watch descriptors; use asyncio.SelectorEventLoop") from None
    _mailboxes[loop] = made
    return made


async def outcome(begin: Callable[[Mailbox, asyncio.Future[Any]], None]) -> Any:
    """Begins an operation of the core and waits for its end.

    Args:
        begin: Takes the running loop's mailbox and the future that the core resolves through it.
    """
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    try:
        begin(mailbox(), future)
    except BaseException:
        # The core may still resolve it, and an error that nobody awaits would be reported.
        future.cancel()
        raise
    return await future
