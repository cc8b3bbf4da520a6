"""What plugins log during a test, kept for its report while they go on."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from ferrule import logs
from ferrule.pytest_plugin import log


def test_lines_are_kept_where_they_can_be_read_while_others_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list is copied in one step; a deque that another thread adds to meanwhile raises an error."""
    monkeypatch.setattr(log, "MAX_LINES", 3)
    item, report = SimpleNamespace(stash=pytest.Stash()), SimpleNamespace(sections=[], when="call")
    with log.kept_lines(item):  # type: ignore[arg-type]
        for number in range(20):
            for tap in list(logs._taps):
                tap(logging.makeLogRecord({"name": "ferrule.plugin.kv", "msg": f"line {number}"}))
            assert len(item.stash[log._LINES]) < 6
        log.add_section(item, report)  # type: ignore[arg-type]
    assert type(item.stash[log._LINES]) is list
    ((title, text),) = report.sections
    assert title == "Captured plugin log call"
    assert [line.rpartition(" ")[2] for line in text.splitlines()] == ["17", "18", "19"]
