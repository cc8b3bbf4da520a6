"""The directory below which private ones for sockets are made, and whether other users could replace it."""

from __future__ import annotations

import functools
import logging
import os
import stat
from collections.abc import Iterator

from ferrule._paths import rooted
from ferrule.errors import refused_by_system

__all__ = ["socket_base"]

_logger = logging.getLogger("ferrule")

_HINT = "Set TMPDIR, or the setting unix_socket_dir, to a directory in which this user may write."


def socket_base(configured: str | os.PathLike[str] | None) -> str:
    """The directory below which private ones are made, absolute: the plugin may have another working directory.

    Args:
        configured: The setting `unix_socket_dir`; None for the temporary directory.

    Raises:
        LaunchError: There is no temporary directory in which this user may write.
        ConfigError: The directory is relative, and the current one does not exist any more.
    """
    base = os.path.abspath(rooted(configured or _temporary_directory()))
    _warn_of_others(base)
    return base


def _temporary_directory() -> str:
    try:
        # Loaded late: an import of the client should not cost that much.
        import tempfile

        return tempfile.gettempdir()
    except OSError as error:
        raise refused_by_system("temporary directory", error, _HINT) from None


@functools.cache
def _warn_of_others(base: str) -> None:
    """Warns, once for each directory, if other users may replace what is made in it."""
    for directory, reason in _open_to_others(base):
        _logger.warning(
            "sockets are made in %s, and others may rename what is in %s: %s. Set TMPDIR, or the setting "
            "unix_socket_dir, to a directory of this user's.",
            base,
            directory,
            reason,
        )


def _open_to_others(base: str) -> Iterator[tuple[str, str]]:
    """The directories on the way to `base`, itself included, in which other users may rename, each with the reason."""
    directory, below = base, ""
    while directory != below:
        # A directory that is missing or hidden fails where it is used.
        if reason := _reason_for_doubt(directory):
            yield directory, reason
        directory, below = os.path.dirname(directory), directory


def _reason_for_doubt(directory: str) -> str | None:
    try:
        found = os.stat(directory)
    except OSError:
        return None
    if found.st_uid not in {0, os.geteuid(), _unmapped_user()}:
        return f"it belongs to user {found.st_uid}"
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        return f"its mode is {stat.S_IMODE(found.st_mode):o}, without the sticky bit"
    return None


@functools.cache
def _unmapped_user() -> int | None:
    """The id that a namespace shows for users it does not know, the system's root among them; None without one."""
    try:
        with open("/proc/sys/kernel/overflowuid") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
