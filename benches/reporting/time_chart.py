"""Measures over the time of a run as hand-made SVG: a panel for each unit, from zero, with a curve for each measure."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from svg import line, page, text

COLOURS = ("#c2410c", "#2563eb", "#0e7490", "#7c3aed", "#a16207")
GREY, GRID = "#555", "#ddd"

PANEL_WIDTH, PANEL_HEIGHT, TITLE_HEIGHT = 760, 210, 62
LEFT, RIGHT, TOP, BOTTOM = 62, 250, 36, 44
LABEL_HEIGHT = 16
MOST_TICKS = 6
STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Curve:
    """A measure: its name, with its last value in words, and its values."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """Curves of one unit over the same moments, in seconds.

    Attributes:
        title: What the curves have in common, with their unit.
        curves: The curves.
        judged_from: The moment from which on the curves are judged; None: they are not.
    """

    title: str
    curves: Sequence[Curve]
    judged_from: float | None = None


def ticks(highest: float, most: int = MOST_TICKS) -> list[float]:
    """Round numbers from 0 to the first one that is not below a value."""
    highest = max(highest, 1e-9)
    power = 10.0 ** math.floor(math.log10(highest / most))
    step = next(step * power for step in (*STEPS, 10, 20) if highest / (step * power) <= most)
    return [number * step for number in range(math.ceil(highest / step - 1e-9) + 1)]


def label_heights(ends: Sequence[float], bottom: float) -> list[float]:
    """Where the names of curves stand, by where the curves end: moved apart where those are close."""
    order = sorted(range(len(ends)), key=ends.__getitem__)
    heights = [ends[index] for index in order]
    for upper, lower in pairwise(range(len(heights))):
        heights[lower] = max(heights[lower], heights[upper] + LABEL_HEIGHT)
    # The last ones may have been moved below the panel.
    excess = max(0.0, heights[-1] - bottom) if heights else 0.0
    by_curve = dict(zip(order, (height - excess for height in heights), strict=True))
    return [by_curve[index] for index in range(len(ends))]


def draw_panel(panel: Panel, times: Sequence[float]) -> Iterator[str]:
    """A panel with its axes."""
    right, bottom = PANEL_WIDTH - RIGHT, PANEL_HEIGHT - BOTTOM
    levels = ticks(max(value for curve in panel.curves for value in curve.values))
    minutes = ticks(times[-1] / 60)

    def x(seconds: float) -> float:
        return LEFT + (right - LEFT) * min(1.0, seconds / 60 / minutes[-1])

    def y(value: float) -> float:
        return bottom - (bottom - TOP) * value / levels[-1]

    yield text(LEFT, 20, panel.title, style='font-weight="bold"')
    if panel.judged_from is not None:
        start, width = x(panel.judged_from), x(times[-1]) - x(panel.judged_from)
        yield f'<rect x="{start:.1f}" y="{TOP}" width="{width:.1f}" height="{bottom - TOP}" fill="#f3f4f6"/>'
    for level in levels:
        yield line(LEFT, y(level), right, y(level), GRID)
        yield text(LEFT - 6, y(level) + 4, f"{level:g}", "end", f'fill="{GREY}"')
    for minute in minutes:
        yield text(x(60 * minute), bottom + 16, f"{minute:g}", "middle", f'fill="{GREY}"')
    yield text((LEFT + right) / 2, bottom + 32, "minutes", "middle", f'fill="{GREY}"')
    yield from draw_curves(panel.curves, times, x, y, right + 8)


def draw_curves(
    curves: Sequence[Curve],
    times: Sequence[float],
    x: Callable[[float], float],
    y: Callable[[float], float],
    label_x: float,
) -> Iterator[str]:
    """The curves of a panel, each with its name at its end."""
    heights = label_heights([y(curve.values[-1]) for curve in curves], PANEL_HEIGHT - BOTTOM)
    for number, (curve, height) in enumerate(zip(curves, heights, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in zip(times, curve.values, strict=True))
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        yield text(label_x, height + 4, curve.name, style=f'fill="{colour}"')


def draw(title: str, subtitle: str, times: Sequence[float], panels: Sequence[Panel]) -> str:
    """All panels below each other."""
    parts: list[str] = []
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate(0 {TITLE_HEIGHT + number * PANEL_HEIGHT})">')
        parts += [*draw_panel(panel, times), "</g>"]
    return page(PANEL_WIDTH, TITLE_HEIGHT + PANEL_HEIGHT * len(panels), title, subtitle, parts)
