"""The elements that the plots are made of."""

from collections.abc import Iterable
from html import escape


def text(x: float, y: float, content: str, anchor: str = "start", style: str = "") -> str:
    """A line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {style}>{escape(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width:g}"/>'


def page(width: float, height: float, title: str, subtitle: str, parts: Iterable[str]) -> str:
    """A whole picture on white, with its title above."""
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        text(10, 24, title, style='font-size="16" font-weight="bold"'),
        text(10, 42, subtitle, style='fill="#555"'),
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"
