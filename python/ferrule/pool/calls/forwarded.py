"""Forwarded: what a call of a pool hands on from the core's call as it is."""

from __future__ import annotations

from typing import Any

from ferrule.channel.core_call import CoreCall

__all__ = ["Forwarded"]


class Forwarded:
    """The members of the core's call that mean the same for a call of a pool."""

    _core: Any = None
    """The core's call, or what is in its place."""

    @property
    def debug_error_string(self) -> str:
        core: CoreCall = self._core
        return core.debug_error_string

    @property
    def initial_metadata(self) -> list[tuple[str, str | bytes]]:
        core: CoreCall = self._core
        return core.initial_metadata

    @property
    def trailing_metadata(self) -> list[tuple[str, str | bytes]]:
        core: CoreCall = self._core
        return core.trailing_metadata

    def message(self) -> bytes | None:
        core: CoreCall = self._core
        return core.message()
