"""A pool as lines of text that fit a terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ferrule._console import without_control
from ferrule._console.extras import library
from ferrule.cli.top.rates import sorted_rows

__all__ = ["picture"]

MEBIBYTE: Final = 2**20
NAME_WIDTH: Final = 18
"""Columns that a name has at least; it has what others leave."""

STYLE_BY_STATE: Final = {
    "leased": "green",
    "starting": "yellow",
    "configuring": "yellow",
    "queued": "yellow",
    "draining": "cyan",
    "stopping": "cyan",
    "broken": "bold red",
}


@dataclass(frozen=True)
class _Column:
    """A column; those of a low rank are left out first where the terminal is narrow."""

    title: str
    width: int
    rank: int
    text: Callable[[Mapping[str, Any]], str]


COLUMNS: Final = (
    _Column("STATE", 11, 9, lambda row: str(row["state"])),
    _Column("PID", 7, 1, lambda row: _or_dash(row.get("pid"), str)),
    _Column("LEASES", 6, 8, lambda row: str(row["leases"])),
    _Column("WAIT", 5, 3, lambda row: str(row.get("waiting", 0))),
    _Column("CALLS/S", 8, 7, lambda row: _or_dash(row["calls_per_second"], lambda rate: f"{rate:,.0f}")),
    _Column("P99 MS", 8, 5, lambda row: _or_dash(_p99(row), lambda p99: f"{1000 * p99:,.1f}")),
    _Column("MIB", 7, 6, lambda row: _or_dash(row.get("memory_bytes"), lambda size: f"{size / MEBIBYTE:,.1f}")),
    _Column("AGE", 6, 4, lambda row: _duration(row["age"])),
    _Column("RESTARTS", 8, 2, lambda row: str(row["restarts"])),
)


def picture(answer: Mapping[str, Any], order: str, width: int, height: int | None, note: str = "") -> Any:
    """A pool as one text of `rich`.

    Args:
        answer: What the pool said, with rates.
        order: What comes first: `memory`, `calls` or `wait`.
        width: Columns of the terminal.
        height: Lines of the terminal; None for as many as there are plugins.
        note: The last line.
    """
    text = library("rich.text", "a table").Text
    rows, columns = sorted_rows(answer, order), _columns_for(width)
    head = [text(line) for line in _summary(answer, width)]
    head.append(text(_line("PLUGIN", [column.title for column in columns], columns, width), style="reverse"))
    shown = rows
    if height is not None and len(rows) > (room := height - len(head) - bool(note)):
        # One line says how many more there are. Where there is room for nothing, one plugin is shown.
        shown = rows[: max(1, room - 1)]
    body = [_row(text, row, columns, width) for row in shown]
    if len(shown) < len(rows):
        body.append(text(f"... and {len(rows) - len(shown)} more", style="dim"))
    lines = [*head, *body, *([text(note, style="dim")] if note else [])]
    for line in lines:
        line.truncate(width)
    return text("\n", no_wrap=True, end="").join(lines if height is None else lines[:height])


def _row(text: Any, row: Mapping[str, Any], columns: Sequence[_Column], width: int) -> Any:
    line = text(_line(_one_line(row["name"]), [column.text(row) for column in columns], columns, width))
    if style := STYLE_BY_STATE.get(str(row["state"])):
        line.highlight_words([str(row["state"])], style=style)
    return line


def _line(name: str, cells: Iterable[str], columns: Sequence[_Column], width: int) -> str:
    room = max(NAME_WIDTH, width - sum(column.width + 1 for column in columns))
    cut = name if len(name) <= room else f"{name[: room - 1]}\N{HORIZONTAL ELLIPSIS}"
    parts = [cut.ljust(room)]
    for column, cell in zip(columns, cells, strict=True):
        parts.append(cell[: column.width].ljust(column.width) if column.title == "STATE" else cell.rjust(column.width))
    return " ".join(parts)


def _columns_for(width: int) -> list[_Column]:
    """The columns that a terminal has room for, the most important ones."""
    chosen, room = set[str](), width - NAME_WIDTH
    for column in sorted(COLUMNS, key=lambda column: -column.rank):
        room -= column.width + 1
        if room < 0:
            break
        chosen.add(column.title)
    return [column for column in COLUMNS if column.title in chosen]


def _summary(answer: Mapping[str, Any], width: int) -> list[str]:
    """Two lines about the pool; a narrow terminal cuts what comes last."""
    plugins = answer["plugins"]
    states: dict[str, int] = {}
    for plugin in plugins:
        states[str(plugin["state"])] = states.get(str(plugin["state"]), 0) + 1
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"
    waiting = sum(each["count"] for each in answer.get("pending", ()))
    unknown = sum(each["calls_unknown"] for each in answer.get("names", ()))
    memory, limit = answer.get("memory_bytes"), answer.get("memory_limit_bytes")
    facts = [
        f"calls/s {_or_dash(answer['calls_per_second'], lambda rate: f'{rate:,.0f}')}",
        f"leases {sum(plugin['leases'] for plugin in plugins)}",
        f"waiting {waiting}",
        f"memory {_or_dash(memory, lambda size: f'{size / MEBIBYTE:,.0f}')}"
        + (f" of {limit / MEBIBYTE:,.0f} MiB" if limit else " MiB"),
        f"unknown {unknown}",
        f"starts {answer.get('start_slots_used', 0)}/{answer.get('start_slots_max', 0)}",
    ]
    first = f"pool {_one_line(answer['name'])}: {len(plugins)} of {answer.get('plugins_max', 0)} plugins ({counts})"
    return [first[:width], "  ".join(facts)[:width]]


def _one_line(name: Any) -> str:
    """A name as it is shown: ends of lines in it would shift the rows below."""
    return " ".join(without_control(str(name)).split())


def _p99(row: Mapping[str, Any]) -> float | None:
    p99: float | None = (row.get("call_seconds") or {}).get("p99")
    return p99


def _or_dash(value: Any, text: Callable[[Any], str]) -> str:
    return "-" if value is None else text(value)


def _duration(seconds: float) -> str:
    """In the largest unit that has two digits: 59s, 75m, 26h, 12d."""
    for unit, size, limit in (("s", 1, 100), ("m", 60, 100), ("h", 3600, 72)):
        if seconds < size * limit:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds / 86400:.0f}d"
