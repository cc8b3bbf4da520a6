"""The dashboard for Grafana: it asks for what the collector has, and Grafana can show it."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from ferrule.pool.prometheus import PoolCollector
from peers import ROOT
from pool.measures.watched_pool import WatchedPool

DASHBOARD: Any = json.loads((ROOT / "examples" / "grafana" / "ferrule.json").read_text())
PANELS = DASHBOARD["panels"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]
VARIABLES = DASHBOARD["templating"]["list"]


def samples() -> list[Sample]:
    registry = CollectorRegistry()
    registry.register(PoolCollector(WatchedPool()))
    return [sample for family in registry.collect() for sample in family.samples]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_expression_asks_for_what_there_is(expression: str) -> None:
    found = samples()
    names = re.findall(r"ferrule_\w+", expression)
    assert names
    assert set(names) <= {sample.name for sample in found}
    labels = {label for sample in found if sample.name in names for label in sample.labels}
    asked = re.findall(r"(\w+)(?:=~?|!=)\"", expression)
    asked += [label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")]
    assert set(asked) <= labels
    assert expression.count("(") == expression.count(")")
    assert expression.count("{") == expression.count("}")


def test_values_of_labels_are_those_that_occur() -> None:
    pairs = {(label, value) for sample in samples() for label, value in sample.labels.items()}
    for expression in EXPRESSIONS:
        for label, values in re.findall(r"(\w+)(?:=~?|!=)\"([^\"$]+)\"", expression):
            for value in values.split("|"):
                assert (label, value) in pairs


def test_each_metric_is_shown() -> None:
    shown = {name for expression in EXPRESSIONS for name in re.findall(r"ferrule_\w+", expression)}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    assert families == {re.sub(r"_(bucket|sum|count)$", "", sample.name) for sample in samples()}


def test_variables_are_defined() -> None:
    defined = {variable["name"] for variable in VARIABLES}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([PANELS, VARIABLES])))
    assert used - {"__rate_interval", "__range", "__all"} == defined == {"datasource", "pool", "plugin"}


def test_panels_have_places_and_numbers_of_their_own() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in PANELS)
        for x, y in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]
    assert len(set(cells)) == len(cells)
    assert all(x < 24 for x, _ in cells)
    assert {panel["type"] for panel in PANELS} == {"row", "stat", "timeseries"}
