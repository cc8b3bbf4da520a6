"""Tables for people, drawn by `rich`."""

import io
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ferrule._console import without_control
from ferrule._console.extras import library
from ferrule._console.terminal import Style

__all__ = ["Column", "Table", "rendered", "tables_text"]


@dataclass(frozen=True)
class Column:
    """A column: numbers to the right, words to the left."""

    title: str
    left: bool = False


@dataclass(frozen=True)
class Table:
    """Rows below a title."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]] = field(default_factory=list)


def tables_text(tables: Iterable[Table]) -> str:
    """The text of some tables, in colours where standard output has them.

    Raises:
        ConfigError: `rich` is not installed.
    """
    style = Style(sys.stdout)
    return "".join(f"{rendered(_drawn(table), style)}\n" for table in tables).rstrip() + "\n"


def rendered(drawn: object, style: Style) -> str:
    """The text of something that `rich` draws.

    Raises:
        ConfigError: `rich` is not installed.
    """
    file = io.StringIO()
    console = library("rich.console", "a table").Console(
        file=file, width=style.width, force_terminal=style.colours, no_color=not style.colours, highlight=False
    )
    console.print(drawn)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().rstrip().splitlines())


def _drawn(table: Table) -> object:
    box, text = library("rich.box", "a table"), library("rich.text", "a table").Text
    drawn = library("rich.table", "a table").Table(
        title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for column in table.columns:
        drawn.add_column(column.title, justify="left" if column.left else "right", header_style="dim")
    for row in table.rows:
        drawn.add_row(*(text(without_control(cell)) for cell in row))
    return drawn
