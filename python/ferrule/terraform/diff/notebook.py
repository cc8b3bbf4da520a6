"""What a notebook shows of a plan: its diff, coloured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ferrule._html import Html, element, joined
from ferrule.terraform.diff.comparison import Kind
from ferrule.terraform.diff.lines import Line

__all__ = ["lines_html"]

GROUND_BY_KIND: Final[Mapping[Kind, str]] = {
    Kind.ADD: "rgba(46, 160, 67, 0.2)",
    Kind.REMOVE: "rgba(248, 81, 73, 0.2)",
    Kind.REPLACE: "rgba(248, 81, 73, 0.2)",
    Kind.CHANGE: "rgba(210, 153, 34, 0.25)",
}


def lines_html(lines: Iterable[Line], warnings: Iterable[object] = ()) -> Html:
    """The lines of a diff on grounds that tell what becomes of each value, and warnings below."""
    shown = [
        element("div", str(line), style=f"background: {GROUND_BY_KIND[line.kind]}")
        if line.kind in GROUND_BY_KIND
        else element("div", str(line))
        for line in lines
    ]
    below = [element("div", "warning: ", warning) for warning in warnings]
    return element("pre", joined(shown + below))
