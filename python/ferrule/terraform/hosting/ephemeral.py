"""What both faces know of an ephemeral resource while it is open."""

from __future__ import annotations

import datetime

from ferrule.errors import RPCPluginError
from ferrule.terraform.hosting.warnings import LOGGER

__all__ = ["log_lost", "log_unclosed", "seconds_until"]


def seconds_until(moment: datetime.datetime) -> float:
    """Seconds from now to a moment; 0 for the past."""
    return max(0.0, (moment - datetime.datetime.now(datetime.UTC)).total_seconds())


def log_lost(type_name: str, error: RPCPluginError) -> None:
    """Logs that a renewal failed, so that the value may be worthless from now on."""
    LOGGER.warning("the ephemeral resource %s could not be renewed: %s", type_name, error)


def log_unclosed(type_name: str, reason: object) -> None:
    """Logs that a close failed, so that the provider may go on to hold something."""
    LOGGER.warning("the ephemeral resource %s could not be closed: %s", type_name, reason)
