"""A run of `pool.py` as a hand-made SVG: what calls, starts and memory do as plugins become more."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pool_report import KEEPERS, Results, shown
from svg import line, page, text

COLOURS = {"pool": "#c2410c", "stack": "#555555", "grpcio": "#2563eb", "locks": "#7c3aed"}
MEMORY_COLOURS = {"rss_mib": "#999999", "pss_mib": "#2563eb", "private_mib": "#c2410c"}
MEMORY_NAMES = {"rss_mib": "resident", "pss_mib": "proportional", "private_mib": "private"}

PANEL_WIDTH, PANEL_HEIGHT, TITLE_HEIGHT = 480, 290, 62
LEFT, RIGHT, TOP, BOTTOM = 62, 150, 46, 48
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


def calls_panel(results: Results, in_flight: int) -> Panel:
    """CPU of the host per call over the number of plugins that calls go round."""
    curves = []
    for keeper in results.keepers("calls"):
        points = {
            float(size): value
            for size in results.sizes("calls", "cpu_us")
            if (value := results.median(keeper, "calls", f"cpu_us_{size}_{in_flight}")) is not None
        }
        curves.append(Curve(KEEPERS[keeper], COLOURS[keeper], points))
    at_once = "one call at a time" if in_flight == 1 else f"{in_flight} calls at once"
    return Panel(f"Calls round many plugins, {at_once}", "host's CPU per call, us", curves)


def memory_panel(results: Results) -> Panel:
    """Memory of all plugins over their number."""
    curves = []
    for figure, colour in MEMORY_COLOURS.items():
        points = {
            float(size): value
            for size in results.sizes("memory", figure)
            if (value := results.median("pool", "memory", f"{figure}_{size}")) is not None
        }
        curves.append(Curve(MEMORY_NAMES[figure], colour, points))
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
    sizes = sorted({size for curve in panel.curves for size in curve.points})
    values = [value for curve in panel.curves for value in curve.points.values()]
    if not values:
        return
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
    for curve, label_y in zip(panel.curves, label_heights(panel.curves, y), strict=True):
        places = [(x(size), y(value)) for size, value in sorted(curve.points.items())]
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top in places)
        yield f'<polyline points="{path}" fill="none" stroke="{curve.colour}" stroke-width="2"/>'
        yield from (f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3.5" fill="{curve.colour}"/>' for left, top in places)
        yield text(right + 8, label_y + 4, curve.name, style=f'fill="{curve.colour}"')


BARS = {
    "lone_p50_ms": "one after the other, median",
    "lone_p99_ms": "one after the other, p99",
    "at_once_p50_ms": "all wanted at once, median",
    "at_once_p99_ms": "all wanted at once, p99",
}
BAR_LEFT, BAR_HEIGHT, BAR_STEP = 190, 14, 18


def draw_starts(results: Results) -> Iterator[str]:
    """Bars for what a start takes, once it has begun."""
    yield text(10, 16, "A start, from its begin until the plugin is ready", style='font-weight="bold"')
    yield text(10, 33, "ms", style='fill="#555"')
    found = {
        (figure, keeper): value
        for figure in BARS
        for keeper in results.keepers("starts")
        if (value := results.median(keeper, "starts", figure)) is not None
    }
    longest = max(found.values(), default=1.0)
    top: float = TOP
    for figure, label in BARS.items():
        yield text(BAR_LEFT - 8, top + BAR_STEP, label, "end")
        for keeper in results.keepers("starts"):
            value = found.get((figure, keeper), 0.0)
            width = max(1.0, value / longest * (PANEL_WIDTH - BAR_LEFT - 130))
            yield f'<rect x="{BAR_LEFT}" y="{top}" width="{width:.1f}" height="{BAR_HEIGHT}" fill="{COLOURS[keeper]}"/>'
            yield text(BAR_LEFT + width + 6, top + 11, f"{shown(value)}  {KEEPERS[keeper]}", style='fill="#555"')
            top += BAR_STEP
        top += BAR_STEP


def draw(results: Results, subtitle: str) -> str:
    """Draws all panels.

    Args:
        results: The run to draw.
        subtitle: Date, commit and machine.
    """
    panels = [
        list(draw_curves(calls_panel(results, 1))),
        list(draw_curves(calls_panel(results, 16))),
        list(draw_starts(results)),
        list(draw_curves(memory_panel(results))),
    ]
    parts: list[str] = []
    for number, drawn in enumerate(panels):
        row, column = divmod(number, COLUMNS)
        parts.append(f'<g transform="translate({column * PANEL_WIDTH} {TITLE_HEIGHT + row * PANEL_HEIGHT})">')
        parts += [*drawn, "</g>"]
    height = TITLE_HEIGHT + PANEL_HEIGHT * math.ceil(len(panels) / COLUMNS)
    return page(PANEL_WIDTH * COLUMNS, height, "Many plugins in one process", subtitle, parts)
