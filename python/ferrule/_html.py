"""Pieces of HTML, for what notebooks show of an object.

All text is escaped. Styles are inline, since a notebook may drop others, and good for light and dark pages.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

__all__ = ["Html", "disclosure", "element", "joined", "table"]

LEFT = "text-align: left; vertical-align: top"


class Html(str):
    """Text that is HTML already; every other text is escaped where it is put in."""

    __slots__ = ()


def element(tag: str, *inside: object, style: str = "", **attributes: str) -> Html:
    """One element.

    Args:
        tag: Its name.
        inside: What is in it: `Html` as it is, all else as text.
        style: Its style; empty for none.
        attributes: Other attributes; an empty value is one without a value.

    Example:
        >>> element("b", "a < b", element("i", "!"), title='"')
        '<b title="&quot;">a &lt; b<i>!</i></b>'
    """
    given = ({"style": style} if style else {}) | attributes
    shown = "".join(f' {name}="{html.escape(value)}"' if value else f" {name}" for name, value in given.items())
    return Html(f"<{tag}{shown}>{joined(inside)}</{tag}>")


def joined(inside: Iterable[object]) -> Html:
    """Pieces one after the other."""
    return Html("".join(each if isinstance(each, Html) else html.escape(str(each)) for each in inside))


def table(head: Sequence[object], rows: Iterable[Sequence[object]], title: object = "") -> Html:
    """A table.

    Args:
        head: The titles of the columns; empty for none.
        rows: The cells of each row.
        title: What stands above; empty for nothing.
    """
    parts = [element("caption", title, style="text-align: left; font-weight: bold")] if title else []
    if head:
        parts.append(element("thead", element("tr", *(element("th", each, style=LEFT) for each in head))))
    body = (element("tr", *(element("td", each, style=LEFT) for each in row)) for row in rows)
    return element("table", *parts, element("tbody", *body))


def disclosure(summary: object, *inside: object, is_open: bool = False) -> Html:
    """What can be opened and closed."""
    below = element("div", *inside, style="margin-left: 1.5em")
    return element("details", element("summary", summary), below, **({"open": ""} if is_open else {}))
