"""Translation of channel options under gRPC's names into the settings of the core's channel."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ferrule import _validation as rules
from ferrule._core import __version__
from ferrule.channel.ignored_options import IGNORED

if TYPE_CHECKING:
    import grpc

__all__ = ["Options", "channel_settings", "name_override"]

Options = Iterable[tuple[str, Any]]
"""Pairs of name and value."""

_MAX_INT32 = 2**31 - 1
# The number of milliseconds that means "never" to gRPC.
_NEVER_MS = _MAX_INT32
# Without a pause between attempts to connect, the core would dial without end.
_MIN_BACKOFF_MS = 10
_ALGORITHMS = (0, 1, 2)
_IDENTITY = 0


def channel_settings(options: Options | None, compression: grpc.Compression | int | None) -> dict[str, Any]:
    """Translates channel options into the settings of a core channel.

    A `UserWarning`, once per process and option, tells of a value of the wrong type, in place of which the default is
    taken, and of an option that gRPC honours and this channel ignores, unless its value makes no difference. Names that
    gRPC does not know are accepted silently. Of several values for one name the last counts.

    Args:
        options: Pairs of gRPC's name and a value; None for no options.
        compression: Compression of requests, in place of the option's; None for the option's.

    Returns:
        Each setting of the core's channel by its name. Times are in seconds, sizes in bytes.

    Raises:
        ValueError: An option is not a pair, or the compression is no `grpc.Compression`.
        TypeError: The options are not iterable, a name is not text, or a value is of a type that gRPC refuses.

    Example:
        >>> settings = channel_settings([("grpc.keepalive_time_ms", 60_000)], None)
        >>> settings["keepalive_time"], settings["max_receive_bytes"]
        (60.0, 4194304)
    """
    given = _Given(options)
    settings = {setting: given.read(option) for setting, option in _SETTINGS.items()}
    soft = given.read(_SOFT_METADATA_LIMIT)
    if soft is not None and "grpc.absolute_max_metadata_size" not in given.values:
        # gRPC derives its hard limit from the soft one.
        settings["max_metadata_bytes"] = max(settings["max_metadata_bytes"], min(soft * 5 // 4, _MAX_INT32))
    settings["initial_backoff"] = min(settings["initial_backoff"], settings["max_backoff"])
    settings["authority"] = settings["authority"] or given.read(_NAME_OVERRIDE)
    agent = (given.read(_PRIMARY_AGENT), f"grpc-python-ferrule/{__version__}", given.read(_SECONDARY_AGENT))
    settings["user_agent"] = " ".join(filter(None, agent))
    if compression is not None:
        settings["compression"] = _compression(compression)
    for name, complaint in (given.complaints | given.ignored()).items():
        if name not in _warned:
            _warned.add(name)
            # The warning names the line that made the channel: past this function and the factory.
            warnings.warn(complaint, UserWarning, stacklevel=3)
    return settings


def name_override(options: Options | None) -> str | None:
    """Returns the name to expect in the server's certificate in place of the target's; None without such an option."""
    name: str | None = _Given(options).read(_NAME_OVERRIDE)
    return name


_warned: set[str] = set()


class _Option(NamedTuple):
    """An option that is honoured."""

    name: str
    expected: str
    convert: Callable[[Any], Any]
    """Raises ValueError for a value that does not fit."""
    default: Any


class _Given:
    """The options of a user, and the complaints about them."""

    def __init__(self, options: Options | None) -> None:
        self.values: dict[str, Any] = {}
        self.complaints: dict[str, str] = {}
        if isinstance(options, Mapping):
            raise ValueError("channel options are a mapping, expected pairs of name and value: list(options.items())")
        for pair in () if options is None else options:
            name, value = _checked(pair)
            self.values[name] = value

    def read(self, option: _Option) -> Any:
        if option.name not in self.values:
            return option.default
        value = self.values[option.name]
        try:
            return option.convert(value)
        except (ValueError, OverflowError):
            message = f"channel option {option.name!r} is {rules.shown(value)} ({type(value).__name__})"
            self.complaints[option.name] = f"{message}, expected {option.expected}; {option.default!r} is taken"
            return option.default

    def ignored(self) -> dict[str, str]:
        return {
            name: f"channel option {name!r} has no effect: {ignored.reason}"
            for name, value in self.values.items()
            if (ignored := IGNORED.get(name)) is not None and not ignored.harmless(value)
        }


def _checked(pair: Any) -> tuple[str, Any]:
    """Returns the name and value of one option, and refuses the options that gRPC refuses."""
    if isinstance(pair, str | bytes):
        raise ValueError(f"channel option {rules.shown(pair)} is text, expected a pair of name and value")
    try:
        name, value = pair
    except ValueError:
        message = f"channel option {rules.shown(pair)} is not a pair of name and value"
        raise ValueError(f"{message}, expected for example ('grpc.keepalive_time_ms', 60000)") from None
    if not isinstance(name, str | bytes):
        message = f"channel option {rules.shown(name)} has a name of type {type(name).__name__}"
        raise TypeError(f"{message}, expected str")
    # Numbers have `__int__`, and so have wrapped pointers, which C-core alone can use.
    if not isinstance(value, str | bytes) and not hasattr(value, "__int__"):
        message = f"channel option {name!r} is {rules.shown(value)} ({type(value).__name__})"
        raise TypeError(f"{message}, expected int, str or bytes")
    return name if isinstance(name, str) else name.decode(), value


def _whole(value: Any) -> int:
    if isinstance(value, str | bytes):
        raise ValueError
    return int(value)


def _flag(value: Any) -> bool:
    return _whole(value) != 0


def _text(value: Any) -> str:
    if not isinstance(value, str | bytes):
        raise ValueError
    text = value if isinstance(value, str) else value.decode()
    # The text becomes a header, in which other characters are illegal.
    if not text.isascii() or not text.isprintable():
        raise ValueError
    return text


def _size(value: Any) -> int:
    number = _whole(value)
    if number < 0:
        raise ValueError
    return min(number, _MAX_INT32)


def _limit(value: Any) -> int | None:
    number = _whole(value)
    return None if number < 0 else number


def _span(value: Any) -> float:
    return min(max(_whole(value), 1), _MAX_INT32) / 1000


def _span_or_never(value: Any) -> float | None:
    # 0 and -1 are common spellings of "never".
    return _span(value) if 0 < _whole(value) < _NEVER_MS else None


def _pause(value: Any) -> float:
    return _span(max(_whole(value), _MIN_BACKOFF_MS))


def _compression(given: Any) -> int:
    try:
        number = int(given)
    except (TypeError, ValueError):
        message = f"compression is {rules.shown(given)} ({type(given).__name__})"
        raise ValueError(f"{message}, expected a grpc.Compression such as grpc.Compression.Gzip") from None
    return number if number in _ALGORITHMS else _IDENTITY


def _algorithm(value: Any) -> int:
    number = _whole(value)
    if number not in _ALGORITHMS:
        raise ValueError
    return number


_TEXT = ("printable ASCII", _text)
_SIZE = ("a number of bytes, 0 or more", _size)
_LIMIT = ("a number of bytes, -1 for no limit", _limit)
_PAUSE = ("milliseconds", _pause)
_NEVER = (f"milliseconds, {_NEVER_MS} for never", _span_or_never)

_NAME_OVERRIDE = _Option("grpc.ssl_target_name_override", *_TEXT, None)
_PRIMARY_AGENT = _Option("grpc.primary_user_agent", *_TEXT, None)
_SECONDARY_AGENT = _Option("grpc.secondary_user_agent", *_TEXT, None)
_SOFT_METADATA_LIMIT = _Option("grpc.max_metadata_size", *_SIZE, None)

_SETTINGS: Mapping[str, _Option] = {
    "authority": _Option("grpc.default_authority", *_TEXT, None),
    "max_receive_bytes": _Option("grpc.max_receive_message_length", *_LIMIT, 4 * 1024 * 1024),
    "max_send_bytes": _Option("grpc.max_send_message_length", *_LIMIT, None),
    "max_metadata_bytes": _Option("grpc.absolute_max_metadata_size", *_SIZE, 16 * 1024),
    "compression": _Option("grpc.default_compression_algorithm", "a grpc.Compression", _algorithm, _IDENTITY),
    "keepalive_time": _Option("grpc.keepalive_time_ms", *_NEVER, None),
    "keepalive_timeout": _Option("grpc.keepalive_timeout_ms", "milliseconds", _span, 20.0),
    "keepalive_without_calls": _Option("grpc.keepalive_permit_without_calls", "1 or 0", _flag, False),
    "initial_backoff": _Option("grpc.initial_reconnect_backoff_ms", *_PAUSE, 1.0),
    "max_backoff": _Option("grpc.max_reconnect_backoff_ms", *_PAUSE, 120.0),
    # Despite its name, the option is the least time that gRPC gives an attempt to connect.
    "connect_timeout": _Option("grpc.min_reconnect_backoff_ms", *_PAUSE, 20.0),
    "idle_timeout": _Option("grpc.client_idle_timeout_ms", *_NEVER, 1800.0),
}
