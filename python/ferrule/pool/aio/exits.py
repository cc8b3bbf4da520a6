"""Exits of the program out of functions that a pool calls."""

from __future__ import annotations

import asyncio

__all__ = ["EXITS", "leave_loop"]

EXITS = (KeyboardInterrupt, SystemExit)
"""What is to end the program, and not the function alone that raises it."""


def leave_loop(error: BaseException) -> None:
    """Has an exit leave the running loop at its next turn: now, what the pool decided would be carried out in part."""
    asyncio.get_running_loop().call_soon(_raise, error)


def _raise(error: BaseException) -> None:
    raise error
