"""The records that a plugin's log lines become, and the outputs to which its other output goes.

Each line of a plugin's standard error becomes a record of the logger `ferrule.plugin.NAME`, at the level that the line
names. A line of JSON as Go plugins write it (hclog) gives the record its message; any other line is the message as it
is. Every record has three attributes of its own, which formatters and filters can use:

- `plugin_fields` (dict): the remaining keys of the JSON object, `@caller` among them; empty for lines of text
- `plugin_module` (str): the part of the plugin that speaks; empty if it did not say
- `plugin_timestamp` (str): the plugin's own time, in its own words; empty if it did not say. The time of the record is
  the host's

The fields are not part of the message. A record's level TRACE is 5, below DEBUG.
"""

import codecs
import contextlib
import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

__all__ = ["TRACE", "OutputTarget", "PluginLog", "Writable", "output_sink", "plugin_logger", "tapped"]

TRACE = 5
"""The level of a plugin's most detailed lines."""

LEVELS = (TRACE, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
"""Levels of `logging` in the order of the core's: trace, debug, info, warn, error."""

LEVEL_WORDS = frozenset({"trace", "debug", "info", "warn", "error"})

# Another package may have named the level already: its word stands.
if logging.getLevelName(TRACE) == f"Level {TRACE}":
    logging.addLevelName(TRACE, "TRACE")

_own_logger = logging.getLogger("ferrule")

_taps: list[Callable[[logging.LogRecord], object]] = []


class Writable(Protocol):
    """A file, or something that behaves like one."""

    def write(self, data: Any, /) -> object:
        """Takes bytes, or text if the file is a text file."""


OutputTarget: TypeAlias = Callable[[bytes], object] | Writable
"""A target of output: a function that takes bytes, a binary file, or a text file."""


def plugin_logger(program: str, logger: logging.Logger | str | None = None) -> logging.Logger:
    """The logger for the lines of a plugin.

    Args:
        program: The plugin's program, the first element of its command.
        logger: A logger, or the name of one, to use in place of the program's; default None.

    Returns:
        The logger asked for, or `ferrule.plugin.NAME` with the program's file name, dots replaced and `.exe` removed.

    Example:
        >>> plugin_logger("/opt/terraform-provider-random_v3.6.0").name
        'ferrule.plugin.terraform-provider-random_v3_6_0'
    """
    if isinstance(logger, logging.Logger):
        return logger
    if logger is not None:
        return logging.getLogger(logger)
    name = program.rstrip("/").rpartition("/")[2]
    if name[-4:].lower() == ".exe":
        name = name[:-4]
    # A dot would make the logger a grandchild: "random_v3.6" would sit below "random_v3".
    return logging.getLogger(f"ferrule.plugin.{name.replace('.', '_') or 'unnamed'}")


@contextlib.contextmanager
def tapped(tap: Callable[[logging.LogRecord], object]) -> Iterator[None]:
    """Has a function called with the record of every line of every plugin, whatever the loggers' levels are."""
    _taps.append(tap)
    try:
        yield
    finally:
        _taps.remove(tap)


class PluginLog:
    """Turns lines of a plugin into records of one logger.

    Args:
        logger: The logger that gets the records.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self._call = _Contained(f"handling a log record of {logger.name}")

    def wanted_level(self) -> int | None:
        """The lowest level for which the logger is enabled, 0 (trace) to 4 (error); None if it is enabled for none."""
        if _taps:
            return 0
        return next((number for number, level in enumerate(LEVELS) if self.logger.isEnabledFor(level)), None)

    def emit(self, lines: list[tuple[int, bytes]], dropped: int) -> None:
        """Hands lines to the logger. An exception of its filters and handlers is reported once and goes no further.

        Args:
            lines: Level, 0 (trace) to 4 (error), and text of each line, oldest first.
            dropped: The number of lines that were lost after these.
        """
        for number, line in lines:
            self._call(self._handle, LEVELS[number], line)
        if dropped > 0:
            text = "%d lines of the plugin's log were dropped because the host did not keep up"
            self._call(self.logger.warning, text, dropped, extra=_extra())

    def _handle(self, level: int, line: bytes) -> None:
        # Checked again: the level may have changed since wanted_level().
        is_enabled = self.logger.isEnabledFor(level)
        if is_enabled or _taps:
            message, extra = parse_line(line)
            record = self.logger.makeRecord(
                self.logger.name, level, "(plugin)", 0, message, (), None, func=None, extra=extra
            )
            for tap in list(_taps):
                tap(record)
            if is_enabled:
                self.logger.handle(record)


def parse_line(line: bytes) -> tuple[str, dict[str, Any]]:
    """The message of a line, and the attributes that its record gets.

    The function is more tolerant than go-plugin, which logs a JSON line raw if its timestamp has another form than
    expected, and whose host panics if a message is not text.
    """
    entry = _json_object(line)
    if entry is None or "@message" not in entry:
        return line.decode(errors="backslashreplace"), _extra()
    message = _text(entry.pop("@message"))
    module, timestamp = _text(entry.pop("@module", "")), _text(entry.pop("@timestamp", ""))
    # An unknown level is kept: the record says DEBUG, and the plugin meant something else.
    if str(entry.get("@level")).strip().lower() in LEVEL_WORDS:
        del entry["@level"]
    return message, _extra(entry, module, timestamp)


def _extra(fields: dict[str, Any] | None = None, module: str = "", timestamp: str = "") -> dict[str, Any]:
    return {"plugin_fields": fields or {}, "plugin_module": module, "plugin_timestamp": timestamp}


def _json_object(line: bytes) -> dict[str, Any] | None:
    if not line.lstrip(b" \t\r\n").startswith(b"{"):
        return None
    try:
        entry = json.loads(_json_text(line))
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _json_text(line: bytes) -> str:
    """The line as text, in which a byte that is not UTF-8 becomes a JSON escape and shows as `\\xff`."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        text = line.decode(errors="surrogateescape")
        return re.sub("[\udc80-\udcff]", lambda match: f"\\\\x{ord(match[0]) - 0xDC00:02x}", text)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # JSON can escape half a surrogate pair, which no handler could write.
    return text.encode(errors="backslashreplace").decode()


def output_sink(target: OutputTarget) -> Callable[[bytes], None]:
    """A function that passes chunks of a plugin's output to a target.

    A text file gets text, decoded as UTF-8 across the borders of chunks; bytes that are not UTF-8 show as
    `\\xff`. Files are not flushed. An exception of the target is reported once and goes no further.

    Args:
        target: A function that takes bytes, a binary file, or a text file.

    Example:
        >>> file = io.StringIO()
        >>> write = output_sink(file)
        >>> write(b"gr\\xc3")
        >>> write(b"\\xbcn")
        >>> file.getvalue()
        'grün'
    """
    deliver = _writer(target)
    call = _Contained(f"passing a plugin's output to {target!r}")
    return lambda data: call(deliver, data)


def _writer(target: OutputTarget) -> Callable[[bytes], object]:
    if not hasattr(target, "write"):
        return target
    write = target.write
    # The attribute covers text files that are not io's, such as those of codecs.open.
    if not isinstance(target, io.TextIOBase) and not hasattr(target, "encoding"):
        return write
    decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
    return lambda data: write(decode(data))


class _Contained:
    """Calls code of the user, whose exceptions must not stop the reading of a plugin; reports the first of them."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._reported = False

    def __call__(self, function: Callable[..., object], *args: Any, **keywords: Any) -> None:
        try:
            function(*args, **keywords)
        except Exception:
            if not self._reported:
                self._reported = True
                # The faulty filter may sit on the root logger, where this report passes too.
                with contextlib.suppress(Exception):
                    _own_logger.exception("%s failed; further failures are not reported", self._doing)
