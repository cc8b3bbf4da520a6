"""The mailboxes by which event loops hear from the I/O thread: one per loop, one wake-up for many outcomes."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable
from contextvars import Context
from typing import Any

from ferrule._core import Arrival, Mailbox
from ferrule.errors import refused_by_system

__all__ = ["cannot_await", "mailbox", "outcome", "resume"]

Resumption = tuple[Callable[[Any], object], Arrival, Context | None]
"""A function of a task that can go on, its argument, and the context to run it in."""

# Weak, so that a mailbox and its descriptor go away with their loop.
_mailboxes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox] = weakref.WeakKeyDictionary()
# Held for changes: threads with loops of their own come and go. Reentrant: a garbage collection while it is held can
# run anything.
_lock = threading.RLock()


def _forget_lock() -> None:
    """Makes a new lock in a forked child: the thread that held the old one stayed behind in the parent."""
    global _lock  # noqa: PLW0603 - one for the process is the point.
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_forget_lock)


def mailbox() -> Mailbox:
    """The running loop's mailbox.

    Raises:
        RuntimeError: No loop is running, or the running one cannot watch descriptors (Windows' Proactor loop).
        LaunchError: The system provides no descriptor for the mailbox.
    """
    loop = asyncio.get_running_loop()
    existing = _mailboxes.get(loop)
    return _open(loop) if existing is None else existing


def _open(loop: asyncio.AbstractEventLoop) -> Mailbox:
    """A mailbox for a loop that has none. No other thread opens one for the loop, which runs on this thread."""
    made = Mailbox(reads_sockets=True)
    sockets = made.sockets_fileno()
    try:
        loop.add_reader(made.fileno(), lambda: resume(made.drain()))
        if sockets is not None:
            loop.add_reader(sockets, _read_sockets, made)
    except NotImplementedError:
        raise RuntimeError(f"{type(loop).__name__} cannot watch descriptors; use asyncio.SelectorEventLoop") from None
    except OSError as error:
        raise refused_by_system("watch on a descriptor", error) from None
    # A loop that was closed with operations under way is held by their futures.
    with _lock:
        known = [each for reference in _mailboxes.keyrefs() if (each := reference()) is not None]
        abandoned = [_mailboxes.pop(each, None) for each in known if each.is_closed()]
        _mailboxes[loop] = made
    for closed in abandoned:
        if closed is not None:
            closed.forget_all()
    return made


def cannot_await(ending: object, loop: asyncio.AbstractEventLoop | None) -> bool:
    """Whether an `async with` ends where nothing can be awaited: in a coroutine that is closed or collected.

    A generator that its loop closes ends by the same exception, and can await.

    Args:
        ending: The type of the exception by which the block ends; None without one.
        loop: The loop that the block ran on; None if it has nothing to await.
    """
    if loop is None:
        return False
    running = asyncio._get_running_loop()
    # Whatever else a body raises while it is closed.
    return running is None or (ending is GeneratorExit and running is not loop)


def _read_sockets(own: Mailbox) -> None:
    try:
        resume(own.read_sockets())
    finally:
        own.write_sockets()


def resume(resumed: list[Resumption]) -> None:
    """Has tasks go on that wait for what was delivered: now, in a callback of their loop, in which no task runs.

    Their code runs below this function, not below one of the core: at the interpreter's end a daemon thread may be
    stopped anywhere in it.
    """
    if len(resumed) > 1:
        # A task may end the loop, by SystemExit for one, or run it inside itself, as in notebooks.
        resumed[0][1].get_loop().call_soon(resume, resumed)
    while resumed:
        callback, arrival, context = resumed.pop(0)
        if context is None:
            callback(arrival)
        else:
            context.run(callback, arrival)


async def outcome(begin: Callable[[Mailbox, asyncio.Future[Any]], object]) -> Any:
    """Begins an operation of the core and waits for its end.

    Args:
        begin: Takes the running loop's mailbox and the future that the core resolves through it.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    try:
        begin(mailbox(), future)
        return await future
    except BaseException:
        # The core may still resolve the future, and asyncio would report an error that is never awaited. A loop that
        # was closed meanwhile resolves nothing, and refuses to tell the coroutine, which is being collected.
        if not loop.is_closed():
            future.cancel()
        raise
