"""Libraries of the extra `cli`, which most programs do without."""

import importlib
from typing import Any

from ferrule.errors import ConfigError

__all__ = ["library"]


def library(name: str, purpose: str, otherwise: str = "") -> Any:
    """A module of the extra `cli`.

    Args:
        name: The module, such as `rich.table`.
        purpose: What needs it, for the message.
        otherwise: What works without it, for the hint; default nothing.

    Raises:
        ConfigError: The module is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"{purpose} needs {name.partition('.')[0]}, which is not installed",
            hint=f"`pip install 'ferrule[cli]'` brings it{f'; {otherwise}' if otherwise else ''}.",
            code="config.extra",
        ) from error
