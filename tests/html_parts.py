"""HTML that a notebook would show, taken apart."""

from __future__ import annotations

from html.parser import HTMLParser

HARMLESS = {
    *("b", "caption", "code", "details", "div", "pre", "span", "summary"),
    *("table", "tbody", "td", "th", "thead", "tr"),
}


class _Parts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in HARMLESS
        assert {name for name, _ in attrs} <= {"style", "open"}
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def text_of(html: str) -> str:
    """The text of well-formed HTML that has nothing but harmless elements."""
    parts = _Parts()
    parts.feed(html)
    parts.close()
    assert parts.open == []
    return "".join(parts.texts)
