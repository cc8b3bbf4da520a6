"""Relative paths, in a process whose current directory may have been removed."""

import os

from ferrule.errors import ConfigError

__all__ = ["rooted"]


def rooted(path: str | os.PathLike[str]) -> str:
    """The path, below the current directory if it is relative. `..` stays as it is, for it may follow a link.

    An absolute path needs no current directory, so it has none of its errors.

    Raises:
        ConfigError: The path is relative, and the current directory does not exist any more.
    """
    text = os.fspath(path)
    if os.path.isabs(text):
        return text
    try:
        return os.path.join(os.getcwd(), text)
    except OSError as error:
        reason = "does not exist any more" if isinstance(error, FileNotFoundError) else f"is out of reach: {error}"
        message = f"the path {text!r} is relative, and the current directory {reason}"
        raise ConfigError(message, "Change to another directory, or pass an absolute path.", "config.invalid") from None
