"""Records become lines that a Go host, and our own, read back."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ferrule.logs import TRACE, parse_line
from ferrule.server import HclogHandler
from ferrule.server.hclog import LONGEST_LINE_BYTES
from waiting import LIMIT


def refuse(word: str) -> None:
    """For what Python reads and JSON has not."""
    raise AssertionError(f"{word} is no JSON")


class Log:
    """A logger whose lines are read from a pipe."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        self.logger = logging.Logger("kv.store", TRACE)
        self.logger.addHandler(HclogHandler(self.writing))

    def entry(self) -> dict[str, Any]:
        """The one line that there is."""
        line = os.read(self._reading, 1 << 20)
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
        entry: dict[str, Any] = json.loads(line, parse_constant=refuse)
        return entry

    def close(self) -> None:
        os.close(self._reading)
        os.close(self.writing)


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.close()


@pytest.mark.parametrize(
    ("level", "word"),
    [
        (TRACE, "trace"),
        (logging.DEBUG, "debug"),
        (logging.INFO, "info"),
        (logging.INFO + 5, "info"),
        (logging.WARNING, "warn"),
        (logging.ERROR, "error"),
        (logging.CRITICAL, "error"),
    ],
)
def test_levels(log: Log, level: int, word: str) -> None:
    log.logger.log(level, "store is %d %% full", 90)
    entry = log.entry()
    assert (entry["@level"], entry["@message"], entry["@module"]) == (word, "store is 90 % full", "kv.store")


def test_timestamp_has_six_fraction_digits(log: Log) -> None:
    log.logger.handle(logging.makeLogRecord({"msg": "m", "levelno": logging.INFO, "created": 1767312245.0}))
    assert log.entry()["@timestamp"] == "2026-01-02T00:04:05.000000Z"


def test_extras_become_keys(log: Log) -> None:
    log.logger.info("m", extra={"key": "grün", "tries": 3, "nested": {"a": [1]}, "object": log.writing.__class__})
    entry = log.entry()
    assert {name for name in entry if not name.startswith("@")} == {"key", "tries", "nested", "object"}
    assert (entry["key"], entry["tries"], entry["nested"], entry["object"]) == ("grün", 3, {"a": [1]}, "<class 'int'>")


def test_exceptions(log: Log) -> None:
    try:
        raise LookupError("no such key")
    except LookupError:
        log.logger.exception("call failed")
    entry = log.entry()
    assert (entry["@level"], entry["error"]) == ("error", "LookupError: no such key")
    assert re.search(r'File ".*test_hclog\.py", line \d+, in test_exceptions', entry["stacktrace"])


def test_lines_that_would_be_too_long_are_shortened(log: Log) -> None:
    try:
        raise LookupError("\x01" * 100_000)
    except LookupError:
        log.logger.exception("\x01" * 50_000, extra={"more": "x" * 50_000})
    entry = log.entry()
    assert len(json.dumps(entry)) <= LONGEST_LINE_BYTES
    assert (entry["@level"], entry["@module"]) == ("error", "kv.store")
    assert entry["@message"].startswith("\x01" * 1000)
    assert entry["stacktrace"].endswith("\x01\n")
    assert entry["shortened_from_bytes"] > 600_000


def test_longest_line_is_not_shortened(log: Log) -> None:
    handler = log.logger.handlers[0]
    record = logging.makeLogRecord({"msg": "", "name": "kv", "levelno": logging.INFO})
    record.msg = "x" * (LONGEST_LINE_BYTES - len(handler.format(record)))
    assert len(handler.format(record)) == LONGEST_LINE_BYTES
    record.msg += "x"
    assert "shortened_from_bytes" in handler.format(record)


def test_text_that_is_no_unicode(log: Log) -> None:
    log.logger.info("half a pair: \ud800")
    assert log.entry()["@message"] == "half a pair: \ud800"


class Unspeakable:
    """Has no text."""

    def __str__(self) -> str:
        raise LookupError("no text")


class Loud(str):
    """Text that says something else of itself."""

    def __str__(self) -> str:
        return "LOUD"


def deep(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


CYCLE: dict[str, Any] = {"name": "cycle"}
CYCLE["self"] = [CYCLE]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.5, 0.5),
        (float("nan"), "nan"),
        ([1.0, {"limit": float("-inf")}], [1.0, {"limit": "-inf"}]),
        ({("a", 1): 3, None: 1, True: 2, 1.5: 3, "k": 4}, {'["a", 1]': 3, "null": 1, "true": 2, "1.5": 3, "k": 4}),
        ({float("nan"): 1, Unspeakable: 2}, {"nan": 1, str(Unspeakable): 2}),
        (10**300, 10**300),
        (10**400, hex(10**400)),
        (-(10**9000), hex(-(10**9000))),
        (Unspeakable(), "<Unspeakable: LookupError when asked for its text>"),
        (CYCLE, {"name": "cycle", "self": [str(CYCLE)]}),
        ({"\udc80": "\ud800"}, {"\udc80": "\ud800"}),
        (Loud("quiet"), "quiet"),
        (logging.NullHandler, str(logging.NullHandler)),
        (b"bytes", "b'bytes'"),
        (True, True),
        (None, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_becomes_strict_json(value: Any, written: Any, log: Log) -> None:
    log.logger.warning("message", extra={"value": value, "@level": "error", "@module": 5})
    entry = log.entry()
    assert entry["value"] == written
    assert (entry["@level"], entry["@message"], entry["@module"]) == ("warn", "message", "kv.store")


def test_deep_values_become_text_before_their_readers_give_up(log: Log) -> None:
    log.logger.info("message", extra={"shallow": deep(20), "deep": deep(100_000)})
    entry = log.entry()
    assert entry["shallow"] == deep(20)
    assert "deep" in entry


def test_own_fields_come_first(log: Log) -> None:
    record = logging.makeLogRecord({"msg": "m", "levelno": logging.INFO, "a": {"@level": "trace"}})
    assert log.logger.handlers[0].format(record).startswith('{"@level":')


def test_our_own_host_reads_the_same(log: Log) -> None:
    handler = log.logger.handlers[0]
    record = logging.makeLogRecord({"msg": "full", "name": "kv", "levelno": logging.WARNING, "free": 4})
    message, extra = parse_line(handler.format(record).encode())
    assert (message, extra["plugin_module"], extra["plugin_fields"]) == ("full", "kv", {"free": 4})


def test_a_host_that_is_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    logger = logging.Logger("kv")
    logger.addHandler(HclogHandler(writing))
    logger.info("nobody reads this")
    os.close(writing)


def test_line_is_whole_where_the_descriptor_does_not_block() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    logger = logging.Logger("kv")
    logger.addHandler(HclogHandler(writing))

    def log() -> None:
        for number in range(20):
            logger.info("%d %s", number, "x" * 20_000)
        os.close(writing)

    thread = threading.Thread(target=log)
    thread.start()
    with os.fdopen(reading) as lines:
        numbers = [json.loads(line)["@message"].partition(" ")[0] for line in lines]
    thread.join()
    assert numbers == [str(number) for number in range(20)]


LATE = """
import logging
from ferrule.server import HclogHandler

class Late:
    def __del__(self, warning=logging.getLogger("late").warning):
        warning("message", extra={"value": object()})

logging.getLogger().addHandler(HclogHandler())
late = Late()
late.itself = late
"""


def test_records_of_the_interpreters_end_are_lines_as_others() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, timeout=LIMIT, check=True)
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["@message"] == "message"


def test_a_record_that_cannot_be_formatted_is_reported(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    log.logger.info("%d", "no number")
    assert "--- Logging error ---" in capsys.readouterr().err
