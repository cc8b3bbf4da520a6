"""Ratios as hand-made SVG: a dot for each side on a logarithmic axis, a whisker from lowest to highest, and figures."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from reporting.declaration import OWN_SIDE, Bench, Table, more_is_better
from reporting.run import Ratio, Run
from svg import line, page, text

OWN_COLOUR, TARGET_COLOUR, MISSED_COLOUR, GREY = "#c2410c", "#16a34a", "#b91c1c", "#555"
RIVAL_COLOURS = ("#2563eb", "#7c3aed", "#0e7490", "#a16207", "#be185d")

CHARACTER_WIDTH = 6.6
"""Of the sans-serif fonts in which browsers show 12 pixels, on average."""

AXIS_WIDTH, ROW_HEIGHT, HEAD_HEIGHT, FOOT_HEIGHT, TITLE_HEIGHT, MARGIN = 380, 22, 42, 40, 80, 16
STEPS = (1, 2, 5)
MARK_STEP = 4


@dataclass(frozen=True)
class Panel:
    """One measure of one group, in the ratios of its table."""

    title: str
    group: str
    measure: str


@dataclass(frozen=True)
class Mark:
    """A side's ratio in a row."""

    side: str
    ratio: Ratio
    colour: str


@dataclass(frozen=True)
class Row:
    """A case: its label, the ratio of each side, and the target."""

    label: str
    marks: Sequence[Mark]
    limit: float | None = None


@dataclass(frozen=True)
class Rows:
    """A panel that is ready to be drawn."""

    title: str
    subtitle: str
    rows: Sequence[Row]
    sides: Mapping[str, str] = field(default_factory=dict)


def text_width(words: str) -> float:
    """About how wide a text is."""
    return CHARACTER_WIDTH * len(words)


def ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten around two ratios; 1 is always among them."""
    low, high = min(low, 1.0), max(high, 1.0)
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    every = [step * 10.0**power for power in powers for step in STEPS]
    first = max(index for index, tick in enumerate(every) if tick <= low * 1.001)
    last = min(index for index, tick in enumerate(every) if tick >= high * 0.999)
    return every[first : max(last, first + 1) + 1]


@dataclass(frozen=True)
class Axis:
    """Where ratios lie."""

    left: float
    levels: Sequence[float]

    def x(self, ratio: float) -> float:
        """The position of a ratio."""
        low, high = math.log(self.levels[0]), math.log(self.levels[-1])
        return self.left + AXIS_WIDTH * (math.log(ratio) - low) / (high - low)

    def labels(self, y: float) -> Iterator[str]:
        """The numbers below the axis, as many as there is room for."""
        free_from = -math.inf
        # 1 is where the rival lies, so its number goes first.
        for level in sorted(self.levels, key=lambda level: (level != 1, level)):
            words, x = f"{level:g}", self.x(level)
            half = text_width(words) / 2 + 3
            if level != 1 and (x - half < free_from or abs(x - self.x(1)) < half + 10):
                continue
            free_from = free_from if level == 1 else x + half
            yield text(x, y, words, "middle", f'fill="{GREY}"')


def draw_rows(panel: Rows, label_width: float, columns: Mapping[str, float]) -> Iterator[str]:
    """A panel: labels, axis, marks, and a column of figures for each side."""
    bounds = [bound for row in panel.rows for mark in row.marks for bound in (mark.ratio.low, mark.ratio.high)]
    limits = [row.limit for row in panel.rows if row.limit is not None]
    axis = Axis(label_width, ticks(min(bounds + limits), max(bounds + limits)))
    bottom = HEAD_HEIGHT + ROW_HEIGHT * len(panel.rows)
    yield text(MARGIN, 14, panel.title, style='font-weight="bold" font-size="13"')
    yield text(MARGIN, 30, panel.subtitle, style=f'fill="{GREY}"')
    for side, x in columns.items():
        colour = panel.sides.get(side)
        if colour is not None:
            yield text(x, 30, side, "end", f'fill="{colour}" font-weight="bold"')
    for level in axis.levels:
        yield line(axis.x(level), HEAD_HEIGHT, axis.x(level), bottom, "#333" if level == 1 else "#ddd")
    yield from axis.labels(bottom + 15)
    for number, row in enumerate(panel.rows):
        yield from _draw_row(row, axis, columns, HEAD_HEIGHT + ROW_HEIGHT * (number + 0.5))


def _draw_row(row: Row, axis: Axis, columns: Mapping[str, float], y: float) -> Iterator[str]:
    yield text(axis.left - 14, y + 4, row.label, "end")
    if row.limit is not None:
        yield line(axis.x(row.limit), y - 8, axis.x(row.limit), y + 8, TARGET_COLOUR, 3)
    for number, mark in enumerate(row.marks):
        # Beside each other, where both sides vary within the same bounds.
        at = y + MARK_STEP * (number - (len(row.marks) - 1) / 2)
        yield line(axis.x(mark.ratio.low), at, axis.x(mark.ratio.high), at, mark.colour, 2)
        yield f'<circle cx="{axis.x(mark.ratio.value):.1f}" cy="{at:.1f}" r="4" fill="{mark.colour}">'
        yield f"<title>{escape(mark.side)}: {mark.ratio}</title></circle>"
        yield text(columns[mark.side], y + 4, f"{mark.ratio.value:.2f}", "end", f'fill="{mark.colour}"')


def draw_panels(panels: Sequence[Rows], title: str, subtitle: str) -> str:
    """Panels below each other, with one legend."""
    panels = [panel for panel in panels if panel.rows]
    label_width = 2 * MARGIN + max((text_width(row.label) for panel in panels for row in panel.rows), default=100)
    columns: dict[str, float] = {}
    x = label_width + AXIS_WIDTH + MARGIN
    for side in dict.fromkeys(side for panel in panels for side in panel.sides):
        x += max(text_width(side) * 1.08, 40) + 14
        columns[side] = x
    width, top, parts = max(x + MARGIN, 760), float(TITLE_HEIGHT), list(_legend(panels))
    for panel in panels:
        parts.append(f'<g transform="translate(0 {top:.1f})">')
        parts += [*draw_rows(panel, label_width, columns), "</g>"]
        top += HEAD_HEIGHT + ROW_HEIGHT * len(panel.rows) + FOOT_HEIGHT
    return page(round(width), round(top), title, subtitle, parts)


def _legend(panels: Sequence[Rows]) -> Iterator[str]:
    words = "dot: median; line: lowest to highest repetition; 1: the rival"
    yield text(MARGIN - 6, 58, words, style=f'fill="{GREY}"')
    if any(row.limit is not None for panel in panels for row in panel.rows):
        x = MARGIN + text_width(words)
        yield line(x, 48, x, 62, TARGET_COLOUR, 3)
        yield text(x + 8, 58, "target", style=f'fill="{GREY}"')


def _rows_of(bench: Bench, run: Run, panel: Panel, colours: Mapping[str, str]) -> Rows:
    table = bench.table(panel.group)
    rows = []
    for case in run.figures.get(panel.group, {}):
        marks = [Mark(side, ratio, colours[side]) for side, ratio in _ratios(table, run, case, panel.measure)]
        if marks:
            rows.append(Row(case, marks, _limit(bench, panel, case)))
    sides = {mark.side: mark.colour for row in rows for mark in row.marks}
    better = "higher" if more_is_better(panel.measure) else "lower"
    return Rows(panel.title, f"{panel.group}; {better} is better", rows, sides)


def _ratios(table: Table, run: Run, case: str, measure: str) -> Iterator[tuple[str, Ratio]]:
    for side in run.figures[table.group][case]:
        ratio = table.ratio(run, case, side, measure)
        if ratio is not None and ratio.low > 0:
            yield side, ratio


def _limit(bench: Bench, panel: Panel, case: str) -> float | None:
    """The target of a row, if it refers to the rival of the table."""
    rivals = bench.table(panel.group).rivals
    for target in bench.targets:
        figure, rival = target.figure, target.rival
        if rival is not None and (figure.group, figure.case, figure.measure) == (panel.group, case, panel.measure):
            return target.limit if rivals.get(figure.side) == rival.side else None
    return None


def side_colours(sides: Iterable[str]) -> dict[str, str]:
    """One colour for Ferrule, others for the rivals."""
    colours: dict[str, str] = {}
    for side in dict.fromkeys(sides):
        rivals = sum(colour != OWN_COLOUR for colour in colours.values())
        colours[side] = OWN_COLOUR if side.startswith(OWN_SIDE) else RIVAL_COLOURS[rivals % len(RIVAL_COLOURS)]
    return colours


def ratio_chart(title: str, *panels: Panel) -> Callable[[Bench, Run], str]:
    """The chart of a bench: the ratios of its tables, a row for each case."""

    def draw(bench: Bench, run: Run) -> str:
        colours = side_colours(side for table in bench.tables for side in table.rivals)
        rows = [_rows_of(bench, run, panel, colours) for panel in panels]
        return draw_panels(rows, title, f"{run.facts['date']}, commit {run.facts['commit']}, {run.facts['CPU']}")

    return draw


def target_chart(benches: Iterable[tuple[Bench, Run]]) -> str:
    """All targets that are ratios, with what was reached."""
    panels, newest = [], {"date": "", "commit": "", "CPU": ""}
    for bench, run in benches:
        rows = []
        for target in bench.targets:
            measured = target.measured(run)
            if target.rival is not None and measured is not None and measured.low > 0:
                colour = TARGET_COLOUR if target.met(measured) else MISSED_COLOUR
                mark = Mark("reached", measured, colour)
                rows.append(Row(f"{target.work} / {target.rival.side}", [mark], target.limit))
        panels.append(Rows(bench.title, "ratio to the rival that is named", rows, {"reached": GREY}))
        newest = max(newest, run.facts, key=lambda facts: facts["date"])
    subtitle = f"{newest['date']}, commit {newest['commit']}, {newest['CPU']}"
    return draw_panels(panels, "Ferrule beside its rivals: what is to be reached, and what is", subtitle)
