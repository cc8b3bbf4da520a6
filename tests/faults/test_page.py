"""The page on reliability is that of the table."""

from __future__ import annotations

from faults.page import AREAS, PAGE, render, without_measures
from faults.rows import ROWS


def test_page_has_the_rows_of_the_table() -> None:
    expected = without_measures(render({}))
    assert without_measures(PAGE.read_text()) == expected, "run `make faults`, which writes the page"


def test_every_area_is_on_the_page() -> None:
    assert {row.area for row in ROWS} == set(AREAS)


def test_table_is_as_large_as_promised() -> None:
    assert len(ROWS) >= 150
