"""What the command line shows to people, and what it does where nobody can read or nothing can be written."""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import os
import signal
from pathlib import Path

import pytest

from ferrule._console import show_log, terminal, write_to
from ferrule._console.terminal import indented, progress
from ferrule.terraform.cli.output import report
from ferrule.terraform.cli.running import run
from ferrule.terraform.cli.state_files import saved, store_of
from ferrule.terraform.cty import Attribute
from ferrule.terraform.diagnostics import Diagnostic, Severity
from ferrule.terraform.errors import (
    ConfigurationError,
    InvalidResponseError,
    Problem,
    ProviderError,
    StateError,
    TerraformError,
)
from ferrule.terraform.state import ResourceState

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

STATE = ResourceState(type="x_thing", json='{"id":"a"}')


async def shown_in(turns: int) -> None:
    async with progress("working"):
        for _ in range(turns):
            await asyncio.sleep(0)


async def test_what_takes_long_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    await shown_in(10)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(terminal, "QUIET_SECONDS", 0)
    await shown_in(10)
    assert capsys.readouterr().err == "working (0 s)\n"


async def test_a_terminal_shows_it_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "QUIET_SECONDS", 0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    await shown_in(3)
    text = capsys.readouterr().err
    assert text.startswith("\r\x1b[Kworking (0 s)\r\x1b[K")
    assert text.endswith("\r\x1b[K")
    assert "\n" not in text


def test_texts_of_providers_do_not_move_the_terminal() -> None:
    assert indented("red: \x1b[31m\x07\ttext\n\nmore", 60, "  ") == ["  red: [31m text", "", "  more"]


def test_nobody_reads() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        write_to(stream, "text")
        write_to(stream, "more")


def test_characters_that_an_encoding_lacks() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "latin-1")
    write_to(stream, "ä \N{SNOWMAN} \udc80")
    assert stream.buffer.getvalue() == b"\xe4 \\u2603 \\udc80"


def test_a_state_that_cannot_be_stored_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "states").mkdir()
    store = store_of(argparse.Namespace(state=str(tmp_path / "states" / "thing.json"), address=None), None, "")
    with store.locked("apply"):
        for path in (tmp_path / "states").iterdir():
            path.unlink()
        (tmp_path / "states").rmdir()
        with pytest.raises(StateError, match="cannot be written"):
            saved(store, STATE)
    assert STATE.to_json() in capsys.readouterr().err


async def ended(options: argparse.Namespace) -> int:
    os.kill(os.getpid(), options.number)
    for _ in range(10):
        await asyncio.sleep(0)
    return 0


@pytest.mark.parametrize("is_ignored", [False, True], ids=["heard", "ignored"])
@pytest.mark.parametrize("number", ENDS)
def test_signals_that_end_a_verb(number: signal.Signals, is_ignored: bool) -> None:
    before = {each: signal.getsignal(each) for each in ENDS}
    options = argparse.Namespace(number=number, log_level=None, json=False)
    try:
        if is_ignored:
            signal.signal(number, signal.SIG_IGN)
        assert run(ended, options) == (0 if is_ignored else 128 + number)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


HOSTILE = "be\x1b[2Jfore\x07\x9b and\r after"
SHOWN = "be[2Jfore and after"


@pytest.mark.parametrize(
    "error",
    [
        TerraformError(HOSTILE, stderr_tail=[HOSTILE]),
        TerraformError("what", HOSTILE),
        ProviderError(HOSTILE, "ReadResource", "x_thing", ()),
        ProviderError(HOSTILE, "ReadResource", "x_thing", [Diagnostic(Severity.ERROR, HOSTILE, HOSTILE)]),
        InvalidResponseError(HOSTILE, [Problem((), HOSTILE, HOSTILE)]),
        ConfigurationError(HOSTILE, [Problem((Attribute(HOSTILE),), HOSTILE)]),
    ],
)
def test_failures_do_not_move_the_terminal(error: TerraformError, capsys: pytest.CaptureFixture[str]) -> None:
    report(error)
    text = capsys.readouterr().err
    assert SHOWN in text
    assert [each for each in text if not each.isprintable() and each != "\n"] == []


def test_the_log_of_a_plugin_does_not_move_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("ferrule.plugin")
    before = logger.handlers[:], logger.level, logger.propagate
    try:
        show_log("info")
        logger.info("%s", HOSTILE)
    finally:
        logger.handlers, logger.level, logger.propagate = before
    assert capsys.readouterr().err == f"INFO    ferrule.plugin: {SHOWN}\n"
