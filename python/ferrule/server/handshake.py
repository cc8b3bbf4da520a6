"""How plugin and host recognise each other: the cookie's refusal and the version choice."""

import re
from collections.abc import Collection

__all__ = ["choose_version", "cookie_refusal"]


def cookie_refusal(key: str) -> str:
    """What people are told who start a plugin by hand; the first words are those of every go-plugin plugin.

    Args:
        key: The environment variable that a host sets.
    """
    return (
        "This binary is a plugin. It serves another program and does nothing on its own.\n"
        "Start the program that uses it; that program starts the plugin and talks to it.\n"
        f"(The host announces itself with the environment variable {key}, which is missing or different here.)\n"
    )


def choose_version(own: Collection[int], offered: str) -> tuple[int, list[str]]:
    """Picks the application version as go-plugin's server does: the highest common one, else the lowest own one.

    Announcing an own version without a match leaves the complaint to the host, which knows both lists.

    Args:
        own: Versions the plugin speaks, at least one.
        offered: `PLUGIN_PROTOCOL_VERSIONS`, decimal numbers joined with commas; empty for none.

    Returns:
        The version, and the items of `offered` that are not integers.
    """
    items = offered.split(",") if offered else []
    # Go's Atoi, which unlike int() takes no spaces and no underscores.
    valid = {item for item in items if re.fullmatch(r"[+-]?\d+", item, re.ASCII)}
    common = set(own) & {int(item) for item in valid}
    return (max(common) if common else min(own)), [item for item in items if item not in valid]
