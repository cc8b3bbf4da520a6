"""What built pages name is there: links within the site lead somewhere, and a reader's browser asks no other host."""

from __future__ import annotations

import functools
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from ferrule.cli.explain import sections
from website.pages import PAGES, SITE

HERE = "http://here/"


class Names(HTMLParser):
    """The anchors of a page, what it links to, and what a browser loads for it."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes note of one element."""
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        elif tag == "link" and values.get("rel") != "canonical" and "href" in values:
            self.loaded.add(values["href"])
        elif "src" in values:
            self.loaded.add(values["src"])


@functools.cache
def names_of(page: str) -> Names:
    names = Names()
    names.feed((SITE / page / "index.html").read_text())
    return names


def test_all_pages_are_there() -> None:
    assert {"", "tutorial/", "errors/", "benches/RESULTS/", "reference/pool/", "CHANGELOG/"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    dead = []
    for link in names_of(page).links | names_of(page).loaded:
        target = urlsplit(urljoin(HERE + page, link))
        if target.netloc != urlsplit(HERE).netloc:
            continue
        path = unquote(target.path).removeprefix("/")
        found = (SITE / path / "index.html" if path.endswith("/") or not path else SITE / path).is_file()
        if not found or (target.fragment and unquote(target.fragment) not in names_of(path).anchors):
            dead.append(link)
    assert dead == []


def test_each_code_of_an_error_is_an_anchor() -> None:
    assert set(sections()) <= names_of("errors/").anchors


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    assert [each for each in names_of(page).loaded if urlsplit(each).netloc] == []
