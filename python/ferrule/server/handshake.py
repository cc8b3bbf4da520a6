"""The words of a plugin that no host started, and the choice of the application protocol version.

Without any import of the package, for the start-up time of `ferrule.testing`.
"""

import os
import re
from collections.abc import Collection

__all__ = ["choose_version", "cookie_refusal", "is_invited"]


def is_invited(key: str, value: str) -> bool:
    """Whether a host that knows this plugin by its cookie started the process."""
    return os.environ.get(key) == value


def cookie_refusal(key: str) -> str:
    """The message for somebody who starts a plugin by hand. The first words are those of every go-plugin plugin.

    Args:
        key: Name of the environment variable that a host sets.
    """
    return (
        "This binary is a plugin. It serves another program and does nothing on its own.\n"
        "Start the program that uses it; that program starts the plugin and talks to it.\n"
        f"(The host announces itself with the environment variable {key}, which is missing or different here.)\n"
    )


def choose_version(own: Collection[int], offered: str) -> tuple[int, list[str]]:
    """Chooses the application version as go-plugin's server does: the highest common one, else the plugin's lowest.

    Without a common version the plugin announces its own, because the host knows both lists and can name them.

    Args:
        own: Versions that the plugin speaks, at least one.
        offered: `PLUGIN_PROTOCOL_VERSIONS`, decimal numbers joined with commas; empty for none.

    Returns:
        The version, and the items of `offered` that are not integers.
    """
    items = offered.split(",") if offered else []
    # The grammar of Go's Atoi, which unlike int() accepts neither spaces nor underscores.
    valid = {item for item in items if re.fullmatch(r"[+-]?\d+", item, re.ASCII)}
    common = set(own) & {int(item) for item in valid}
    return (max(common) if common else min(own)), [item for item in items if item not in valid]
