"""Work that goes on to its end although its task is cancelled: what gives processes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["to_the_end"]

_logger = logging.getLogger(__name__)


async def to_the_end(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs work to its end, whatever cancels the caller meanwhile; what it raises is logged.

    A loop that ends cancels the work itself, too, which is its end, unless it had not begun.
    """
    has_begun = False

    async def begin() -> None:
        nonlocal has_begun
        has_begun = True
        await work()

    while not has_begun:
        task = asyncio.get_running_loop().create_task(begin())
        while not task.done():
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                continue
            except Exception:  # noqa: BLE001 - looked at below.
                break
    if not task.cancelled() and (error := task.exception()) is not None:
        _logger.error("a plugin of a pool could not be given back", exc_info=error)
