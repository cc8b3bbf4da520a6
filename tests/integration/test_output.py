"""What a plugin says: log lines become records, output goes where it was asked for, and a flood stops nobody."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from ferrule import logs
from ferrule.testing.kv_pb2 import ExitRequest, GetRequest, NoiseRequest, PutRequest
from integration.kv import both_plugins, started
from peers import Command, go_kv
from waiting import until

pytestmark = pytest.mark.timeout(60)

MB = 1_000_000


class Recorder(logging.Handler):
    """A logger of its own whose records are kept."""

    def __init__(self) -> None:
        super().__init__(logs.TRACE)
        self.records: list[logging.LogRecord] = []
        self.logger = logging.Logger("ferrule.plugin.under_test", logs.TRACE)
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def of(self, text: str) -> logging.LogRecord:
        """The one record with this in its message."""
        (found,) = [record for record in self.records if text in record.getMessage()]
        return found


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.logger.removeHandler(recorder)


def hclog(level: str, message: str, **fields: Any) -> str:
    entry = {"@level": level, "@message": message, "@timestamp": "2026-01-02T03:04:05.678901Z", **fields}
    return json.dumps(entry)


LINES = [
    (hclog("trace", "line 1"), "line 1", logs.TRACE),
    (hclog("debug", "line 2"), "line 2", logging.DEBUG),
    (hclog("info", "line 3"), "line 3", logging.INFO),
    (hclog("warn", "line 4"), "line 4", logging.WARNING),
    (hclog("error", "line 5"), "line 5", logging.ERROR),
    ("[TRACE] line 6", "[TRACE] line 6", logs.TRACE),
    ("[WARN] line 7", "[WARN] line 7", logging.WARNING),
    ("[ERROR] line 8", "[ERROR] line 8", logging.ERROR),
    ("line 9, grün", "line 9, grün", logging.DEBUG),
    ('{"line 10": is no JSON}', '{"line 10": is no JSON}', logging.DEBUG),
    ("line 11 " + "x" * 200_000, "line 11 " + "x" * 200_000, logging.DEBUG),
]


@both_plugins
async def test_lines_become_records_in_order(plugin: Command, recorder: Recorder) -> None:
    async with started(plugin(), logger=recorder.logger) as (_, kv):
        await kv.Noise(NoiseRequest(stderr_lines=[line for line, _, _ in LINES]))
    seen = [(record.getMessage(), record.levelno) for record in recorder.records if "line " in record.getMessage()]
    assert seen == [(message, level) for _, message, level in LINES]
    assert {record.name for record in recorder.records} == {"ferrule.plugin.under_test"}


@both_plugins
async def test_level_may_be_lowered_while_the_plugin_runs(plugin: Command, recorder: Recorder) -> None:
    # One that `logging` knows: others do not hear of a change of their level.
    logger = logging.getLogger("ferrule.plugin.whose_level_changes")
    logger.addHandler(recorder)
    logger.setLevel(logging.WARNING)

    def seen() -> list[str]:
        return [record.getMessage() for record in recorder.records]

    async with started(plugin(), logger=logger) as (_, kv):
        await kv.Noise(NoiseRequest(stderr_lines=["[DEBUG] unseen", "[WARN] first"]))
        await until(lambda: "[WARN] first" in seen())
        logger.setLevel(logging.DEBUG)
        # Below the level that the core was told last: nothing else makes it look again.
        await kv.Noise(NoiseRequest(stderr_lines=["[DEBUG] second"]))
        await until(lambda: "[DEBUG] second" in seen())
        assert seen() == ["[WARN] first", "[DEBUG] second"]
    logger.removeHandler(recorder)


@both_plugins
async def test_fields_of_a_line(plugin: Command, recorder: Recorder) -> None:
    line = hclog("info", "it happened", **{"@module": "kv.store", "key": "colour", "tries": 3, "nested": {"a": [1]}})
    async with started(plugin(), logger=recorder.logger) as (client, kv):
        await kv.Noise(NoiseRequest(stderr_lines=[line]))
    record: Any = recorder.of("it happened")
    assert record.plugin_fields == {"key": "colour", "tries": 3, "nested": {"a": [1]}}
    assert (record.plugin_module, record.plugin_timestamp) == ("kv.store", "2026-01-02T03:04:05.678901Z")
    # go-plugin's own first words.
    address: Any = recorder.of("plugin address")
    assert address.plugin_fields == {"network": "unix", "address": client.address}


@both_plugins
async def test_panic_is_an_error_to_its_last_line(plugin: Command, recorder: Recorder) -> None:
    async with started(plugin(), logger=recorder.logger) as (client, kv):
        with pytest.raises(grpc.aio.AioRpcError):
            await kv.Exit(ExitRequest(panic="the sky is falling"))
        await client.wait_exited()
    start = recorder.records.index(recorder.of("panic: the sky is falling"))
    trace = recorder.records[start:]
    assert len(trace) > 3
    assert {record.levelno for record in trace} == {logging.ERROR}
    assert logging.ERROR not in {record.levelno for record in recorder.records[:start]}


@both_plugins
@pytest.mark.parametrize("count", [1, 5, 64], ids=["one", "as many as are shown", "as many as there may be"])
async def test_stray_line_before_the_handshake_is_a_warning(plugin: Command, count: int, recorder: Recorder) -> None:
    async with started(plugin(f"banner={count}"), logger=recorder.logger):
        pass
    strays = [record for record in recorder.records if "before its handshake line" in record.getMessage()]
    assert {record.levelno for record in strays} == {logging.WARNING}
    assert sum("stray line" in record.getMessage() for record in strays) == min(count, 5)
    assert [record.getMessage() for record in strays[5:]] == (
        ["printed before its handshake line: 59 more lines"] if count > 5 else []
    )


@pytest.mark.go
async def test_default_logger_is_named_after_the_program(caplog: pytest.LogCaptureFixture) -> None:
    async with started(go_kv()) as (_, kv):
        await kv.Noise(NoiseRequest(stderr_lines=["[WARN] watch out", "[INFO] never mind"]))
    assert ("ferrule.plugin.kv", logging.WARNING, "[WARN] watch out") in caplog.record_tuples
    assert "never mind" not in caplog.text


@pytest.mark.go
@pytest.mark.parametrize("disabled", [True, False])
async def test_nothing_is_parsed_that_nobody_would_see(
    disabled: bool, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []
    genuine = logs.parse_line

    def parse_line(line: bytes) -> tuple[str, dict[str, Any]]:
        parsed.append(line)
        return genuine(line)

    monkeypatch.setattr(logs, "parse_line", parse_line)
    recorder.logger.setLevel(logging.WARNING)
    recorder.logger.disabled = disabled
    async with started(go_kv(), logger=recorder.logger) as (_, kv):
        await kv.Noise(NoiseRequest(stderr_lines=[hclog("info", "unseen"), "[WARN] seen"] * 100))
    assert parsed == ([] if disabled else [b"[WARN] seen"] * 100)
    assert len(recorder.records) == len(parsed)


TEXT = "grün und 中文\n" * 5000


@both_plugins
async def test_output_goes_to_functions(plugin: Command) -> None:
    stdout, stderr = bytearray(), bytearray()
    async with started(plugin(), sync_stdout=stdout.extend, sync_stderr=stderr.extend) as (_, kv):
        await kv.Noise(NoiseRequest(synced_stdout=TEXT, synced_stderr="one line\n"))
        await until(lambda: len(stdout) >= len(TEXT.encode()) and stderr.endswith(b"\n"))
    assert stdout.decode() == TEXT
    assert stderr == b"one line\n"


@both_plugins
async def test_output_goes_to_files(plugin: Command, tmp_path: Path) -> None:
    text = io.StringIO()
    with (tmp_path / "stderr").open("wb") as binary:
        async with started(plugin(), sync_stdout=text, sync_stderr=binary) as (_, kv):
            await kv.Noise(NoiseRequest(synced_stdout=TEXT, synced_stderr=TEXT))
            await until(lambda: len(text.getvalue()) >= len(TEXT) and binary.tell() >= len(TEXT.encode()))
    assert text.getvalue() == TEXT
    assert (tmp_path / "stderr").read_text() == TEXT


@both_plugins
async def test_output_that_nobody_wants_does_not_stop_the_plugin(plugin: Command) -> None:
    # Unread, it would fill the plugin's pipes after 64 KiB, and the call would never end.
    async with started(plugin()) as (_, kv):
        async with asyncio.timeout(20):
            await kv.Noise(NoiseRequest(synced_stdout="x" * 2 * MB, synced_stderr="y" * 2 * MB))


@both_plugins
async def test_no_output_is_lost_on_a_slow_reader(plugin: Command) -> None:
    received = 0

    def read(data: bytes) -> None:
        nonlocal received
        received += len(data)
        # As a terminal or a network disk would, it blocks the loop for a while, and the plugin has to wait.
        hashlib.pbkdf2_hmac("sha256", data, b"", 200)

    async with started(plugin(), sync_stdout=read) as (_, kv):
        async with asyncio.timeout(20):
            await kv.Noise(NoiseRequest(synced_stdout="x" * 3 * MB))
        await until(lambda: received >= 3 * MB)
    assert received == 3 * MB


def resident_bytes() -> int:
    """Memory that this process occupies."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def calls_during(work: Any, kv: Any) -> AsyncIterator[int]:
    """Calls until a call in flight is done; the resident memory after each, in bytes."""
    while not work.done():
        assert (await kv.Get(GetRequest(key="k"), timeout=10)).value == b"v"
        yield resident_bytes()


FLOOD = NoiseRequest(stdout_bytes=10 * MB, stderr_bytes=100 * MB, stderr_line_bytes=5 * MB)


@pytest.mark.go
@pytest.mark.parametrize("level", [logging.WARNING, logging.DEBUG], ids=["unwanted", "logged"])
async def test_calls_keep_flowing_in_a_flood(level: int) -> None:
    logger = logging.Logger("flood", level)
    logger.addHandler(logging.NullHandler())
    async with started(go_kv(), logger=logger) as (client, kv):
        await kv.Put(PutRequest(key="k", value=b"v"))
        before = resident_bytes()
        seen: list[int] = []
        floods = 0
        while len(seen) < 200:
            flood = kv.Noise(FLOOD)
            seen += [item async for item in calls_during(flood, kv)]
            await flood
            floods += 1
        # However much there is to log, calls and the loop have their turn: ten a flood and more, where nothing else
        # runs. A flood that starved them would see one call. All floods count together, since on a busy machine one may
        # pass while this process is not scheduled.
        assert len(seen) >= 3 * floods
        assert max(seen) - before < 64 * MB
        # The answer may overtake the end of the line.
        await until(lambda: client.stderr_tail[-1] == "x" * 500)
