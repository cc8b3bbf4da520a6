"""Log records in the format of Go plugins, so that hosts file each line under its level and module.

The format is hclog's: one JSON object per line on file descriptor 2, which hosts read for logs alone.
"""

import datetime
import json
import logging
import math
import traceback
from typing import Any

from ferrule.server.pipes import write_all

__all__ = ["HclogHandler"]

STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"asctime", "message", "taskName"}
"""Attributes of every record. Others came by `extra=`."""

LONGEST_LINE_BYTES = 65_535
"""Longest line that a Go host reads as JSON. A longer one is plain text to it, in pieces, each at debug level."""

SHORTENED_CHARACTERS = 5_000
"""Characters kept of the message and of the stack trace of a line that is too long; six bytes each at worst."""

LARGEST_INTEGER = 2**1023
"""Largest number in a line. A Go host reads numbers as floating point, and a line with a larger one as plain text."""

DEEPEST = 32
"""Deepest nesting of a value; what is deeper is written as text."""


class HclogHandler(logging.Handler):
    """Writes records as hclog's JSON lines.

    The message of a record becomes `@message`, the logger's name `@module`, and each item of `extra` a further key. An
    exception becomes `error` (the exception itself) and `stacktrace`. The level is one of `trace` (below DEBUG),
    `debug`, `info`, `warn` and `error`. Lines that are too long for a Go host are shortened.

    Args:
        descriptor: File descriptor to write to; default 2, where a host reads a plugin's log. It stays open.
        level: Lowest level written; default all.

    Example:
        >>> import logging
        >>> logger = logging.getLogger("kv.store")
        >>> logger.addHandler(HclogHandler())
        >>> logger.warning("store is nearly full", extra={"free_bytes": 4096})
    """

    def __init__(self, descriptor: int = 2, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._descriptor = descriptor

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON, without the line break."""
        entry = _entry(record)
        line = _json(entry)
        if len(line.encode()) <= LONGEST_LINE_BYTES:
            return line
        kept = {name: entry[name] for name in ("@level", "@module", "@timestamp")}
        kept["@message"] = entry["@message"][:SHORTENED_CHARACTERS]
        if "stacktrace" in entry:
            kept["stacktrace"] = entry["stacktrace"][-SHORTENED_CHARACTERS:]
        return _json({**kept, "shortened_from_bytes": len(line.encode())})

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record. A host that is gone is no error."""
        try:
            line = self.format(record).encode() + b"\n"
        except Exception:  # noqa: BLE001 - as every handler: what a record raises must not reach who logs.
            self.handleError(record)
            return
        try:
            write_all(self._descriptor, line)
        except OSError:
            # The reader is gone. A lost line is better than an error in the code that logs.
            return


def _entry(record: logging.LogRecord) -> dict[str, Any]:
    entry = {
        "@level": _level(record.levelno),
        "@message": record.getMessage(),
        "@module": record.name,
        "@timestamp": _timestamp(record.created),
    }
    # Those four come first, for hosts that search the text for them.
    taken = STANDARD_ATTRIBUTES | entry.keys()
    entry.update((name, value) for name, value in vars(record).items() if name not in taken)
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        entry.setdefault("error", "".join(traceback.format_exception_only(error)).strip())
        entry["stacktrace"] = "".join(traceback.format_exception(error))
    elif record.stack_info:
        entry["stacktrace"] = record.stack_info
    return entry


def _timestamp(seconds: float) -> str:
    # Exactly six fraction digits: with any other number a Go host takes the whole line for plain text. Not by strftime,
    # which imports, and fails while the interpreter shuts down.
    when = datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)
    return f"{when.isoformat(timespec='microseconds')}Z"


def _json(entry: dict[str, Any]) -> str:
    # Half a surrogate pair cannot be encoded. For it, backslashreplace writes JSON's own escape.
    text = json.dumps(_plain(entry), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode(errors="backslashreplace").decode()


def _plain(value: Any, parents: tuple[int, ...] = ()) -> Any:
    """A value in the types that JSON and Go's readers know, ignoring what subclasses override; others become text."""
    plain: Any = None
    if value is None or isinstance(value, bool):
        plain = value
    elif isinstance(value, str):
        plain = str.__str__(value)
    elif isinstance(value, int):
        number = int.__int__(value)
        plain = number if abs(number) <= LARGEST_INTEGER else hex(number)
    elif isinstance(value, float) and math.isfinite(value):
        plain = float.__float__(value)
    elif isinstance(value, dict | list | tuple) and id(value) not in parents and len(parents) < DEEPEST:
        parents = (*parents, id(value))
        if isinstance(value, dict):
            plain = {_key(key): _plain(item, parents) for key, item in list(dict.items(value))}
        else:
            plain = [_plain(item, parents) for item in tuple(value)]
    else:
        plain = _text(value)
    return plain


def _key(key: Any) -> str:
    plain = _plain(key)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a record is not lost for what it is about.
        return f"<{type(value).__name__}: {type(error).__name__} when asked for its text>"


def _level(number: int) -> str:
    floors = ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"), (logging.DEBUG, "debug"))
    return next((word for floor, word in floors if number >= floor), "trace")
