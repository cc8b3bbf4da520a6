"""A plugin's lines as log records, and its output on the way to the caller."""

import codecs
import doctest
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ferrule import logs
from ferrule.logs import LEVELS, TRACE, PluginLog, output_sink, plugin_logger

ERROR = 4


class Records(logging.Handler):
    """Keeps what arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def records() -> Iterator[Records]:
    """What reaches a handler of `ferrule`, the parent of all loggers here."""
    handler, logger = Records(), logging.getLogger("ferrule")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("ferrule.plugin.test")
    logger.setLevel(TRACE)
    yield logger
    logger.setLevel(logging.NOTSET)
    logger.filters.clear()
    logger.disabled = False


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("terraform-provider-null", "terraform-provider-null"),
        ("/opt/plugins/terraform-provider-null_v3.2.4_x5", "terraform-provider-null_v3_2_4_x5"),
        ("plugins/kv.exe", "kv"),
        ("plugins/KV.EXE", "KV"),
        ("kv.exe.old", "kv_exe_old"),
        ("./kv.py", "kv_py"),
        ("/", "unnamed"),
    ],
)
def test_logger_is_named_after_the_program(program: str, name: str) -> None:
    assert plugin_logger(program).name == f"ferrule.plugin.{name}"


def test_logger_of_the_caller_wins() -> None:
    mine = logging.getLogger("mine")
    assert plugin_logger("kv", mine) is mine
    assert plugin_logger("kv", "mine") is mine


def test_trace_has_a_name_and_an_order() -> None:
    assert logging.getLevelName(TRACE) == "TRACE"
    assert list(LEVELS) == sorted(LEVELS)
    assert [logging.getLevelName(level) for level in LEVELS] == ["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"]


@pytest.mark.parametrize(
    ("level", "wanted"),
    [(1, 0), (5, 0), (6, 1), (10, 1), (20, 2), (25, 3), (30, 3), (40, 4), (41, None), (50, None)],
)
def test_wanted_level_follows_the_logger(level: int, wanted: int | None, logger: logging.Logger) -> None:
    logger.setLevel(level)
    assert PluginLog(logger).wanted_level() == wanted


def test_wanted_level_follows_a_general_stop(logger: logging.Logger) -> None:
    log = PluginLog(logger)
    logging.disable(logging.INFO)
    try:
        assert log.wanted_level() == 3
    finally:
        logging.disable(logging.NOTSET)
    assert log.wanted_level() == 0
    logger.disabled = True
    assert log.wanted_level() is None


# Line, message, fields, module, timestamp.
LINES: list[tuple[bytes, str, dict[str, Any], str, str]] = [
    (
        b'{"@level":"info","@message":"hello","@module":"kv.store","@timestamp":"2025-01-02T03:04:05.678901Z","n":1}',
        "hello",
        {"n": 1},
        "kv.store",
        "2025-01-02T03:04:05.678901Z",
    ),
    (b'{"@level":" WARN ","@message":"m","@caller":"a.go:7"}', "m", {"@caller": "a.go:7"}, "", ""),
    (b' \t{ "@message" : "m", "k": 1 }', "m", {"k": 1}, "", ""),
    (b'{"@message":"m","@timestamp":"yesterday"}', "m", {}, "", "yesterday"),
    (b'{"@message":"m","@timestamp":1735787045.5}', "m", {}, "", "1735787045.5"),
    (b'{"@message":{"a":["\xc3\xbc"]},"@module":null}', '{"a": ["ü"]}', {}, "null", ""),
    (b'{"@message":null}', "null", {}, "", ""),
    (b'{"@message":""}', "", {}, "", ""),
    (b'{"@message":"100% %s %(a)d"}', "100% %s %(a)d", {}, "", ""),
    (b'{"@message":"m","message":"x","name":"y","args":[1]}', "m", {"message": "x", "name": "y", "args": [1]}, "", ""),
    (b'{"@message":"m","@level":"critical"}', "m", {"@level": "critical"}, "", ""),
    (b'{"@message":"m","@level":5}', "m", {"@level": 5}, "", ""),
    (b'{"@message":"\\ud800 \\u003c"}', "\\ud800 <", {}, "", ""),
    (b'{"@message":"a\xffb","k":"\xfe"}', "a\\xffb", {"k": "\\xfe"}, "", ""),
    (b'{"level":"info","msg":"zap"}', '{"level":"info","msg":"zap"}', {}, "", ""),
    (b'{"@message":"cut off', '{"@message":"cut off', {}, "", ""),
    (b'{"@message":"m"} [77 more bytes]', '{"@message":"m"} [77 more bytes]', {}, "", ""),
    (b"{" * 10, "{" * 10, {}, "", ""),
    (b'{"a":' * 100_000, '{"a":' * 100_000, {}, "", ""),
    (b'{"@message":"m","n":' + b"9" * 5000 + b"}", '{"@message":"m","n":' + "9" * 5000 + "}", {}, "", ""),
    (b"{\x00a", "{\x00a", {}, "", ""),
    (b"[ERROR] text", "[ERROR] text", {}, "", ""),
    (b"panic: 100% %s", "panic: 100% %s", {}, "", ""),
    (b"gr\xc3\xbcn \xff", "grün \\xff", {}, "", ""),
    (b"", "", {}, "", ""),
]


@pytest.mark.parametrize(("line", "message", "fields", "module", "timestamp"), LINES)
def test_line_becomes_a_record(
    line: bytes,
    message: str,
    fields: dict[str, Any],
    module: str,
    timestamp: str,
    records: Records,
    logger: logging.Logger,
) -> None:
    PluginLog(logger).emit([(ERROR, line)], 0)
    (record,) = records.records
    assert record.getMessage() == message
    assert (record.plugin_fields, record.plugin_module, record.plugin_timestamp) == (fields, module, timestamp)
    assert (record.name, record.levelno, record.args) == ("ferrule.plugin.test", logging.ERROR, ())
    message.encode()


def test_levels_and_order_are_kept(records: Records, logger: logging.Logger) -> None:
    PluginLog(logger).emit([(level, b"line %d" % level) for level in (4, 0, 2, 3, 1)], 0)
    seen = [(record.levelname, record.getMessage()) for record in records.records]
    words = ["ERROR", "TRACE", "INFO", "WARNING", "DEBUG"]
    assert seen == [(word, f"line {level}") for word, level in zip(words, (4, 0, 2, 3, 1), strict=True)]


def test_line_nobody_wants_is_not_parsed(
    records: Records, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []

    def loads(text: str) -> dict[str, str]:
        parsed.append(text)
        return {"@message": "m"}

    monkeypatch.setattr(json, "loads", loads)
    logger.setLevel(logging.WARNING)
    PluginLog(logger).emit([(2, b"{quiet}"), (3, b"{loud}")], 0)
    assert parsed == ["{loud}"]
    assert len(records.records) == 1


def test_lost_lines_are_told(records: Records, logger: logging.Logger) -> None:
    PluginLog(logger).emit([(ERROR, b"last words")], 17)
    said, lost = records.records
    assert said.getMessage() == "last words"
    assert lost.levelno == logging.WARNING
    assert lost.getMessage() == "17 lines of the plugin's log were dropped because the host did not keep up"
    assert (lost.plugin_fields, lost.plugin_module, lost.plugin_timestamp) == ({}, "", "")


def test_formatter_may_use_the_attributes(records: Records, logger: logging.Logger) -> None:
    PluginLog(logger).emit([(ERROR, b"raw"), (ERROR, b'{"@message":"m","@module":"kv","n":1}')], 1)
    formatter = logging.Formatter("%(levelname)s|%(plugin_module)s|%(message)s|%(plugin_fields)s")
    lines = [formatter.format(record) for record in records.records]
    assert lines[:2] == ["ERROR||raw|{}", "ERROR|kv|m|{'n': 1}"]


def test_record_has_the_time_of_the_host(
    records: Records, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1234.5)
    monkeypatch.setattr("time.time_ns", lambda: 1_234_500_000_000)
    PluginLog(logger).emit([(ERROR, b'{"@message":"m","@timestamp":"2025-01-02T03:04:05.678901Z"}')], 0)
    assert records.records[0].created == 1234.5


def broken(*_: object) -> NoReturn:
    raise RuntimeError("boom")


@pytest.mark.parametrize("where", ["ferrule.plugin.test", "ferrule"])
def test_broken_filter_is_reported_once_and_stops_nothing(where: str, records: Records, logger: logging.Logger) -> None:
    def break_on_bad(record: logging.LogRecord) -> bool:
        return broken() if record.getMessage() == "bad" else True

    place: Any = logger if where == logger.name else records
    place.addFilter(break_on_bad)
    PluginLog(logger).emit([(ERROR, b"bad"), (ERROR, b"good"), (ERROR, b"bad"), (ERROR, b"good")], 0)
    report, *rest = records.records
    assert report.name == "ferrule"
    assert "handling a log record of ferrule.plugin.test failed" in report.getMessage()
    assert report.exc_info[0] is RuntimeError
    assert [record.getMessage() for record in rest] == ["good", "good"]


def test_filter_that_breaks_everything_stops_nothing(records: Records, logger: logging.Logger) -> None:
    records.addFilter(broken)
    PluginLog(logger).emit([(ERROR, b"one"), (ERROR, b"two")], 3)
    assert records.records == []


def test_function_and_binary_file_get_bytes(tmp_path: Path) -> None:
    chunks: list[bytes] = []
    memory, path = io.BytesIO(), tmp_path / "out"
    with path.open("wb") as file:
        for target in (chunks.append, memory, file):
            write = output_sink(target)
            write(b"a\xff\r\n")
            write(b"\x00b")
    assert chunks == [b"a\xff\r\n", b"\x00b"]
    assert memory.getvalue() == path.read_bytes() == b"a\xff\r\n\x00b"


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        ([b"plain\n"], "plain\n"),
        ([b"gr\xc3", b"\xbcn"], "grün"),
        ([b"\xf0", b"\x9f", b"\x94", b"\x8c!"], "\U0001f50c!"),
        ([b"a\xffb"], "a\\xffb"),
        ([b"\xe2\x82", b"x"], "\\xe2\\x82x"),
    ],
)
def test_text_file_gets_text(chunks: list[bytes], text: str, tmp_path: Path) -> None:
    memory, path, other = io.StringIO(), tmp_path / "text", tmp_path / "codecs"
    with path.open("w", encoding="utf-8") as file, codecs.open(str(other), "w", "utf-8") as old:
        for target in (memory, file, old):
            write = output_sink(target)
            for chunk in chunks:
                write(chunk)
    assert memory.getvalue() == path.read_text("utf-8") == other.read_text("utf-8") == text


def test_broken_target_is_reported_once_and_stops_nothing(records: Records) -> None:
    write = output_sink(broken)
    write(b"one")
    write(b"two")
    (report,) = records.records
    assert report.getMessage().startswith("passing a plugin's output to <function broken")
    assert report.exc_info[0] is RuntimeError


def test_every_target_has_its_own_decoder() -> None:
    one, two = io.StringIO(), io.StringIO()
    write_one, write_two = output_sink(one), output_sink(two)
    write_one(b"\xc3")
    write_two(b"a")
    write_one(b"\xbc")
    assert (one.getvalue(), two.getvalue()) == ("ü", "a")


def test_examples_in_the_docstrings_are_true() -> None:
    result = doctest.testmod(logs)
    assert result.attempted > 0
    assert result.failed == 0
