"""The ratios of a channel run as a hand-made SVG: dots on a logarithmic axis, whiskers from lowest to highest."""

import math
from collections.abc import Iterator
from html import escape

from channel_clients.point import Point
from channel_report import CLIENTS, PLAINTEXT, TARGETS, TLS, Measured, Results, Transport
from report import Ratio
from svg import line, page, text

COLOURS = {"ferrule": "#c2410c", "ferrule sync": "#c2410c", "grpclib": "#2563eb"}
LEGEND = (("ferrule", COLOURS["ferrule"]), ("grpclib", COLOURS["grpclib"]))
TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)

LABELS_WIDTH, AXIS_WIDTH, MARGIN = 190, 280, 20
PANEL_WIDTH = AXIS_WIDTH + 2 * MARGIN
ROW_HEIGHT, HEAD_HEIGHT, FOOT_HEIGHT, TITLE_HEIGHT = 22, 34, 34, 58

PANELS = (
    ("CPU per call, lower is better", "cpu_us", PLAINTEXT),
    ("CPU per call, lower is better", "cpu_us", TLS),
    ("Calls per second, higher is better", "per_second", PLAINTEXT),
    ("Calls per second, higher is better", "per_second", TLS),
)


def _x(ratio: float) -> float:
    """Position of a ratio on the axis; what lies beyond its ends is drawn at them."""
    low, high = math.log(TICKS[0]), math.log(TICKS[-1])
    return MARGIN + AXIS_WIDTH * (min(max(math.log(ratio), low), high) - low) / (high - low)


def _mark(ratio: Ratio, y: float, colour: str, name: str) -> Iterator[str]:
    yield line(_x(ratio.low), y, _x(ratio.high), y, colour, 2)
    yield f'<circle cx="{_x(ratio.value):.1f}" cy="{y:.1f}" r="4.5" fill="{colour}">'
    yield f"<title>{escape(name)}: {ratio}</title></circle>"


def _row(results: Results, transport: Transport, metric: str, point: Point, y: float) -> Iterator[str]:
    for client, colour in COLOURS.items():
        ratio = results.ratio(Measured(transport, point, client), metric)
        if ratio is not None:
            yield from _mark(ratio, y, colour, client)
    for target in TARGETS:
        if target.point == point and target.metric == metric:
            yield line(_x(target.limit), y - 8, _x(target.limit), y + 8, "#16a34a", 3)


def _panel(results: Results, title: str, metric: str, transport: Transport, points: list[Point]) -> Iterator[str]:
    bottom = HEAD_HEIGHT + ROW_HEIGHT * len(points)
    yield text(MARGIN, 12, title, style='font-weight="bold"')
    yield text(MARGIN, 27, transport.title, style='fill="#555"')
    for tick in TICKS:
        yield line(_x(tick), HEAD_HEIGHT, _x(tick), bottom, "#333" if tick == 1 else "#ddd")
        yield text(_x(tick), bottom + 14, f"{tick:g}", "middle", 'fill="#555"')
    for number, point in enumerate(points):
        yield from _row(results, transport, metric, point, HEAD_HEIGHT + ROW_HEIGHT * (number + 0.5))


def _label(point: Point) -> str:
    return f"{point}, blocking" if point.sync else str(point)


def _legend(width: float) -> Iterator[str]:
    x = width - 420
    for name, colour in LEGEND:
        yield f'<circle cx="{x}" cy="20" r="4.5" fill="{colour}"/>'
        yield text(x + 10, 24, name)
        x += 80
    yield line(x, 12, x, 28, "#16a34a", 3)
    yield text(x + 10, 24, "target")
    yield line(x + 80, 12, x + 80, 28, "#333")
    yield text(x + 90, 24, "grpcio = 1")


def draw(results: Results, subtitle: str) -> str:
    """Draw CPU and throughput of both transports; points that no client was compared at are left out.

    Args:
        results: The run to draw.
        subtitle: Date, commit and machine.
    """
    compared = {measured.point for measured in results.samples if CLIENTS[measured.client].reference != measured.client}
    points = list(dict.fromkeys(each.point for each in results.samples if each.point in compared))
    panel_height = HEAD_HEIGHT + ROW_HEIGHT * len(points) + FOOT_HEIGHT
    width, height = LABELS_WIDTH + 2 * PANEL_WIDTH, TITLE_HEIGHT + 2 * panel_height
    parts = list(_legend(width))
    for number, (title, metric, transport) in enumerate(PANELS):
        row, column = divmod(number, 2)
        top = TITLE_HEIGHT + row * panel_height
        for index, point in enumerate(points if column == 0 else []):
            parts.append(text(LABELS_WIDTH, top + HEAD_HEIGHT + ROW_HEIGHT * (index + 0.5) + 4, _label(point), "end"))
        parts.append(f'<g transform="translate({LABELS_WIDTH + column * PANEL_WIDTH} {top})">')
        parts.extend(_panel(results, title, metric, transport, points))
        parts.append("</g>")
    return page(width, height, "gRPC channels relative to grpcio", subtitle, parts)
