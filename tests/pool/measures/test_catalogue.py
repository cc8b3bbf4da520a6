"""The names of metrics, as docs/observing.md has them."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from ferrule.pool.measures import (
    BREAKER_STATES,
    ERROR_TYPES,
    EXIT_REASONS,
    LEASE_OUTCOMES,
    PLUGIN_STATES,
    SECONDS_BOUNDS,
    START_PHASES,
)
from ferrule.pool.measures.catalogue import CATALOGUE
from ferrule.pool.policy import State
from ferrule.pool.policy.breaker import BreakerState
from peers import ROOT

PAGE = (ROOT / "docs" / "observing.md").read_text()


def test_the_page_has_each_metric() -> None:
    rows = re.findall(
        r"^\| (?:`([\w.]+)` \(([^)]+)\))? *\| (\w+) \| (?:`(\w+)`)? *\| ([^|]*) \| ([^|]*) \|$", PAGE, re.M
    )
    found = [
        (name, unit, kind, other, re.findall(r"`([\w.]+)`", labels), text)
        for name, unit, kind, other, labels, text in rows
    ]
    assert found == [
        (
            metric.name,
            metric.unit if metric.name else "",
            metric.kind,
            metric.prometheus,
            [name for name in metric.attributes if name != "plugin"],
            metric.description,
        )
        for metric in CATALOGUE
    ]


@pytest.mark.parametrize(
    ("label", "values"),
    [
        ("`state` of plugins", PLUGIN_STATES),
        ("`state` of breakers", BREAKER_STATES),
        ("`phase`", START_PHASES),
        ("`error.type` of starts", ERROR_TYPES),
        ("`outcome`", LEASE_OUTCOMES),
        ("`reason`", EXIT_REASONS),
    ],
)
def test_the_page_has_the_values_of_each_label(label: str, values: tuple[str, ...]) -> None:
    (cell,) = re.findall(rf"^\| {re.escape(label)} \| (.*) \|$", PAGE, re.M)
    assert sorted(re.findall(r"`(\w+)`", cell)) == sorted(values)


def test_states_are_those_of_the_policy() -> None:
    assert {*PLUGIN_STATES, "gone"} == set(State), "nobody sees one that is gone"
    assert set(BREAKER_STATES) == set(get_args(BreakerState))


def test_the_page_has_the_bounds_of_buckets() -> None:
    (text,) = re.findall(r"Buckets of durations end at (.*?)\.\n\n", PAGE, re.S)
    milliseconds, seconds = text.split("ms")
    numbers = [float(number.replace(",", "")) for number in re.findall(r"\d[\d,.]*\d|\d", milliseconds)]
    numbers = [number / 1000 for number in numbers]
    numbers += [float(number.replace(",", "")) for number in re.findall(r"\d[\d,.]*\d|\d", seconds)]
    assert tuple(numbers) == pytest.approx(SECONDS_BOUNDS)
