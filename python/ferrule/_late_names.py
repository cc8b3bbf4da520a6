"""Names that packages load when they are first used."""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["late_name"]


def late_name(package: str, name: str, home: str | None) -> Any:
    """The value of a name that a package loads late; the package keeps it.

    Args:
        package: The package that is asked, for its `__getattr__`.
        name: The name.
        home: The module where the name is defined, or which it means; None: the package has no such name.

    Raises:
        AttributeError: The package has no such name.
    """
    if home is None:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    module = importlib.import_module(home)
    value = module if home == f"{package}.{name}" else getattr(module, name)
    setattr(sys.modules[package], name, value)
    return value
