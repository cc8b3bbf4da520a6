"""What the verbs of the command line share: exit statuses, kinds of arguments, output and the text of a failure."""

import argparse
import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from ferrule.errors import RPCPluginError

__all__ = [
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_OK",
    "EXIT_USAGE",
    "LOG_LEVELS",
    "OutputError",
    "assignment",
    "error_json",
    "failure_text",
    "json_line",
    "log_level",
    "seconds",
    "show_log",
    "standard_streams",
    "without_control",
    "write",
    "write_to",
]

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

LOG_LEVELS = ("trace", "debug", "info", "warning", "error")


class OutputError(Exception):
    """Standard output does not take a result."""


def assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} should have the form NAME=VALUE")
    return name, value


def seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} should be a number of seconds above 0")
    return seconds


def log_level(text: str) -> str:
    """A level as people write it: in any case, and as hclog names it."""
    level = text.lower()
    return "warning" if level == "warn" else level


def without_control(text: str) -> str:
    """Text of others without what a terminal obeys: it is shown, not followed. Tabs and ends of lines stay."""
    return _CONTROL.sub("", text)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_control(super().format(record))


def show_log(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(levelname)-7s %(name)s: %(message)s"))
    logger = logging.getLogger("ferrule.plugin")
    logger.setLevel(level.upper())
    logger.addHandler(handler)
    logger.propagate = False


def failure_text(error: RPCPluginError, client: Any) -> str:
    """The error's message and hint, where there is more, and the plugin's last output, each on lines of its own."""
    lines = [f"ferrule: {type(error).__name__}: {error.message}"]
    if error.exit_status is not None:
        lines.append(f"exit status: {error.exit_status}")
    if error.hint:
        lines.append(f"hint: {error.hint}")
    if error.explained_by:
        lines.append(f"more: {error.explained_by}")
    if tail := _tail(error, client):
        lines.append("last output of the plugin:")
        lines.extend(f"  {line}" for line in tail)
    return without_control("\n".join(lines)) + "\n"


def error_json(error: RPCPluginError, client: Any = None) -> dict[str, Any]:
    """A failure for programs: how the plugin ended and its last output, too, where they are known."""
    names = ("message", "hint", "code")
    document: dict[str, Any] = {"type": type(error).__name__, **{name: getattr(error, name) for name in names}}
    if error.exit_status is not None:
        document["exit_status"] = error.exit_status
    if tail := _tail(error, client):
        document["stderr_tail"] = list(tail)
    return document


def _tail(error: RPCPluginError, client: Any) -> Sequence[str]:
    return error.stderr_tail or getattr(client, "stderr_tail", ())


def json_line(value: Any) -> str:
    """A value as JSON on one line, with nothing that a terminal obeys."""
    text = json.dumps(value, ensure_ascii=False)
    # JSON's own rules escape the other control characters.
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def write(text: str) -> bool:
    """Writes a result to standard output; returns whether it may have a reader still."""
    return write_to(sys.stdout, text)


def write_to(stream: TextIO, text: str) -> bool:
    """Writes to a stream of this process: characters that its encoding lacks are escaped, and no reader is no error.

    What standard error does not take, on a full disk for example, is lost: it is no reason to lose more than that.

    Returns:
        Whether the stream has taken the text. What follows a text that it has not taken is lost.

    Raises:
        OutputError: Standard output does not take the text.
    """
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except OSError as error:
        # The interpreter's own flush at exit would complain again. A reader such as `head` closes its pipe early.
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), stream.fileno())
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            raise OutputError(f"standard output cannot be written: {error.strerror}") from None
        return False
    return True


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Puts the null device in place of standard streams that were closed before the start, which Python has as None."""
    closed = [
        (name, mode) for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")) if not getattr(sys, name)
    ]
    with contextlib.ExitStack() as stack:
        for name, mode in closed:
            stack.callback(setattr, sys, name, None)
            setattr(sys, name, stack.enter_context(Path(os.devnull).open(mode)))
        yield
