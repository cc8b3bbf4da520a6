"""Warnings of providers, on their way to the log."""

from __future__ import annotations

import logging

from ferrule.terraform.diagnostics import Diagnostic

__all__ = ["LOGGER", "WarningLog"]

LOGGER = logging.getLogger("ferrule.terraform")


class WarningLog:
    """Logs each warning of a provider once, however often the provider repeats it.

    Args:
        address: The provider's source address, for the text.
    """

    def __init__(self, address: str) -> None:
        self._address = address or "provider"
        self._seen: set[Diagnostic] = set()

    def __call__(self, warning: Diagnostic) -> None:
        if warning not in self._seen:
            self._seen.add(warning)
            LOGGER.warning("%s: %s", self._address, warning)
