"""The page on the soak is that of its newest run, which was long enough for every limit, and passed."""

from __future__ import annotations

import json
import re
from html import escape
from itertools import pairwise

import pytest

from soak.page import NEWEST_RUN, PAGE, PANELS, PLOT, plot, render
from soak.sampling import MEASURES, SETTLES_SECONDS, Measure, verdict

RUN = json.loads(NEWEST_RUN.read_text())


def test_page_and_plot_are_those_of_the_newest_run() -> None:
    assert PAGE.read_text() == render(RUN), "run `make soak`, which writes the page"
    assert PLOT.read_text() == plot(RUN), "run `make soak`, which writes the plot"


def test_newest_run_is_long_and_passed() -> None:
    assert RUN["seconds"] >= 2 * SETTLES_SECONDS
    assert (RUN["found"], RUN["not_flat"], RUN["left"]) == (0, [], {})
    assert verdict(RUN["times"], RUN["values"]) == []


def test_each_measure_has_a_panel() -> None:
    assert {measure.panel for measure in MEASURES.values()} == set(PANELS)


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_plot_names_each_measure(measure: Measure) -> None:
    assert f">{escape(measure.title)}<" in PLOT.read_text()


def test_names_of_the_plot_do_not_overlap() -> None:
    for panel in PLOT.read_text().split("<g ")[1:]:
        heights = sorted(float(y) for y in re.findall(r'<text x="518.0" y="([\d.]+)"', panel))
        assert all(below - above >= 12 for above, below in pairwise(heights)), heights
