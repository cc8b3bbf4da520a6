"""A run of `pool.py` as a hand-made SVG: what calls, starts and memory do as plugins become more."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reporting.declaration import Bench
from reporting.markdown import shown
from reporting.run import Figure, Run
from svg import line, page, text

COLOURS = {
    "ferrule.pool": "#c2410c",
    "AsyncExitStack": "#555555",
    "dict and locks, grpcio": "#2563eb",
    "dict and locks": "#7c3aed",
}
MEMORY_COLOURS = {"resident MiB": "#999999", "proportional MiB": "#2563eb", "private MiB": "#c2410c"}

PANEL_WIDTH, PANEL_HEIGHT, TITLE_HEIGHT = 500, 290, 62
LEFT, RIGHT, TOP, BOTTOM = 62, 160, 46, 48
LABEL_HEIGHT = 15
COLUMNS = 2

Values = Mapping[float, float]


@dataclass(frozen=True)
class Curve:
    """A line of a panel: its name at the right end, and its points."""

    name: str
    colour: str
    points: Values


@dataclass(frozen=True)
class Panel:
    """Curves over a number of plugins, both axes logarithmic."""

    title: str
    unit: str
    curves: Sequence[Curve]


def curve(run: Run, group: str, side: str, measure: str, calls: str = "") -> Values:
    """A measure over the number of plugins, which is part of the names of cases."""
    points = {}
    for case in run.figures.get(group, {}):
        number = re.fullmatch(rf"{re.escape(calls)}(\d+) plugins?", case)
        value = run.median(Figure(group, case, side, measure))
        if number and value is not None:
            points[float(number[1])] = value
    return points


def sides(run: Run, group: str) -> list[str]:
    """Those that have figures in a group, in the order in which they took turns."""
    return list(dict.fromkeys(side for _, side in run.rows(group)))


def calls_panel(run: Run, calls: str) -> Panel:
    """CPU of the host per call over the number of plugins that calls go round."""
    group = "Calls over many plugins"
    curves = [Curve(side, COLOURS[side], curve(run, group, side, "CPU us", f"{calls}, ")) for side in sides(run, group)]
    return Panel(f"Calls round many plugins, {calls}", "host's CPU per call, us", curves)


def memory_panel(run: Run) -> Panel:
    """Memory of all plugins over their number."""
    curves = [
        Curve(measure.removesuffix(" MiB"), colour, curve(run, "Memory of many plugins", "ferrule.pool", measure))
        for measure, colour in MEMORY_COLOURS.items()
    ]
    return Panel("Memory of all plugins", "MiB", curves)


def ticks(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 of each power of ten that lie around the values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    every = [step * 10.0**power for power in range(low, high + 1) for step in (1, 2, 5)]
    first = max((index for index, tick in enumerate(every) if tick <= min(values)), default=0)
    last = min((index for index, tick in enumerate(every) if tick >= max(values)), default=len(every) - 1)
    return every[first : max(last, first + 1) + 1]


def position(value: float, low: float, high: float, start: float, end: float) -> float:
    """Where a value lies on a logarithmic axis."""
    return start + (end - start) * (math.log(value) - math.log(low)) / max(1e-9, math.log(high) - math.log(low))


def label_heights(curves: Sequence[Curve], y: Callable[[float], float]) -> list[float]:
    """Where the names of curves stand: at their right ends, moved apart where those are close."""
    ends = [y(curve.points[max(curve.points)]) for curve in curves]
    placed: dict[int, float] = {}
    free_from = -math.inf
    for index in sorted(range(len(ends)), key=ends.__getitem__):
        placed[index] = max(ends[index], free_from)
        free_from = placed[index] + LABEL_HEIGHT
    return [placed[index] for index in range(len(ends))]


def draw_curves(panel: Panel) -> Iterator[str]:
    """A panel with its axes."""
    yield text(LEFT, 16, panel.title, style='font-weight="bold"')
    yield text(LEFT, 33, panel.unit, style='fill="#555"')
    curves = [curve for curve in panel.curves if curve.points]
    if not curves:
        return
    sizes = sorted({size for curve in curves for size in curve.points})
    values = [value for curve in curves for value in curve.points.values()]
    right, bottom = PANEL_WIDTH - RIGHT, PANEL_HEIGHT - BOTTOM
    levels = ticks(values)

    def x(size: float) -> float:
        return position(size, sizes[0], max(sizes[-1], sizes[0] * 2), LEFT, right)

    def y(value: float) -> float:
        return position(value, levels[0], levels[-1], bottom, TOP)

    for level in levels:
        yield line(LEFT, y(level), right, y(level), "#ddd")
        yield text(LEFT - 6, y(level) + 4, f"{level:g}", "end", 'fill="#555"')
    for size in sizes:
        yield text(x(size), bottom + 16, f"{size:g}", "middle", 'fill="#555"')
    yield text((LEFT + right) / 2, bottom + 34, "plugins", "middle", 'fill="#555"')
    for curve, label_y in zip(curves, label_heights(curves, y), strict=True):
        places = [(x(size), y(value)) for size, value in sorted(curve.points.items())]
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top in places)
        yield f'<polyline points="{path}" fill="none" stroke="{curve.colour}" stroke-width="2"/>'
        yield from (f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3.5" fill="{curve.colour}"/>' for left, top in places)
        yield text(right + 8, label_y + 4, curve.name, style=f'fill="{curve.colour}"')


BARS = {
    "lone p50 ms": "one after the other, median",
    "lone p99 ms": "one after the other, p99",
    "at once p50 ms": "all wanted at once, median",
    "at once p99 ms": "all wanted at once, p99",
}
BAR_LEFT, BAR_HEIGHT, BAR_STEP = 190, 14, 18


def draw_starts(run: Run) -> Iterator[str]:
    """Bars for what a start takes, once it has begun."""
    yield text(10, 16, "A start, from its begin until the plugin is ready", style='font-weight="bold"')
    yield text(10, 33, "ms", style='fill="#555"')
    found = {
        (measure, side): value
        for measure in BARS
        for case, side in run.rows("Starts")
        if (value := run.median(Figure("Starts", case, side, measure))) is not None
    }
    longest = max(found.values(), default=1.0)
    top: float = TOP
    for measure, label in BARS.items():
        yield text(BAR_LEFT - 8, top + BAR_STEP, label, "end")
        for side in sides(run, "Starts"):
            value = found.get((measure, side), 0.0)
            width = max(1.0, value / longest * (PANEL_WIDTH - BAR_LEFT - 150))
            yield f'<rect x="{BAR_LEFT}" y="{top}" width="{width:.1f}" height="{BAR_HEIGHT}" fill="{COLOURS[side]}"/>'
            yield text(BAR_LEFT + width + 6, top + 11, f"{shown(value)}  {side}", style='fill="#555"')
            top += BAR_STEP
        top += BAR_STEP


def draw(_bench: Bench, run: Run) -> str:
    """Draws all panels of a run."""
    panels = [
        list(draw_curves(calls_panel(run, "1 call at a time"))),
        list(draw_curves(calls_panel(run, "16 calls at once"))),
        list(draw_starts(run)),
        list(draw_curves(memory_panel(run))),
    ]
    parts: list[str] = []
    for number, drawn in enumerate(panels):
        row, column = divmod(number, COLUMNS)
        parts.append(f'<g transform="translate({column * PANEL_WIDTH} {TITLE_HEIGHT + row * PANEL_HEIGHT})">')
        parts += [*drawn, "</g>"]
    height = TITLE_HEIGHT + PANEL_HEIGHT * math.ceil(len(panels) / COLUMNS)
    subtitle = f"{run.facts['date']}, commit {run.facts['commit']}, {run.facts['CPU']}"
    return page(PANEL_WIDTH * COLUMNS, height, "Many plugins in one process", subtitle, parts)
