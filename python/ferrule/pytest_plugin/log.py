"""What plugins log during a test, for its report."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from ferrule.logs import tapped

__all__ = ["add_section", "kept_lines"]

MAX_LINES: Final = 1_000
"""Lines of one test; the oldest go."""

_LINES: Final = pytest.StashKey[list[str]]()


@contextmanager
def kept_lines(item: pytest.Item) -> Iterator[None]:
    """Keeps what plugins log, at all levels, until the test has ended; loggers and their levels stay as they are."""
    # No deque, which cannot be read while other threads add to it.
    lines: list[str] = []
    item.stash[_LINES] = lines

    def keep(record: logging.LogRecord) -> None:
        lines.append(_line(record))
        if len(lines) >= 2 * MAX_LINES:
            del lines[:-MAX_LINES]

    with tapped(keep):
        yield


def _line(record: logging.LogRecord) -> str:
    fields, module = getattr(record, "plugin_fields", {}), getattr(record, "plugin_module", "")
    details = "".join(f" {name}={value!r}" for name, value in fields.items())
    name = record.name.removeprefix("ferrule.plugin.")
    return f"{record.levelname:7} {f'{name} {module}' if module else name}: {record.getMessage()}{details}"


def add_section(item: pytest.Item, report: pytest.TestReport) -> None:
    """Adds the lines so far to a report."""
    lines = item.stash.get(_LINES, None)
    if lines:
        report.sections.append((f"Captured plugin log {report.when}", "\n".join(lines[-MAX_LINES:])))
