"""Histograms: buckets up to and including their bound, and percentiles estimated as PromQL does."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ferrule.pool.measures.histogram import SECONDS_BOUNDS, Histogram, merged

SECONDS = st.floats(0, 10_000, allow_nan=False)


def filled(values: list[float], bounds: tuple[float, ...] = SECONDS_BOUNDS) -> Histogram:
    histogram = Histogram(bounds)
    for value in values:
        histogram.add(value)
    return histogram


def test_a_bound_belongs_to_the_bucket_below_it() -> None:
    assert filled([0.0, 1.0, 1.000001, 2.0, 3.0], (1.0, 2.0)).counts == [2, 2, 1]


def test_bounds_ascend() -> None:
    assert list(SECONDS_BOUNDS) == sorted(set(SECONDS_BOUNDS))


@pytest.mark.parametrize(
    ("values", "percent", "estimate"),
    [
        ([], 50, None),
        ([0.5], 50, 0.5),
        ([0.5] * 4, 25, 0.25),
        ([0.5, 1.5], 50, 1.0),
        ([0.5, 1.5], 99, 1.98),
        ([0.5, 1.5, 9.0], 99, 2.0),
        ([9.0], 50, 2.0),
        ([1.5], 0, 1.0),
    ],
)
def test_percentiles(values: list[float], percent: float, estimate: float | None) -> None:
    assert filled(values, (1.0, 2.0)).percentile(percent) == pytest.approx(estimate)


@given(st.lists(SECONDS, min_size=1))
@example([1.0, 1.0, 1.0, 0.001953125, 0.001953125, 0.001953125])  # rounding led beyond the bound
def test_an_estimate_is_in_the_bucket_of_the_true_value(values: list[float]) -> None:
    histogram = filled(values)
    true = sorted(values)[math.ceil(len(values) / 2) - 1]
    estimate = histogram.percentile(50)
    assert estimate is not None
    edges = (0.0, *SECONDS_BOUNDS)
    lower = max(edge for edge in edges if edge < true or edge == 0)
    upper = min((edge for edge in SECONDS_BOUNDS if edge >= true), default=SECONDS_BOUNDS[-1])
    assert min(lower, upper) <= estimate <= upper


@given(st.lists(SECONDS))
def test_cumulative_counts_end_with_the_count(values: list[float]) -> None:
    histogram = filled(values)
    bounds, counts = zip(*histogram.cumulative(), strict=True)
    assert bounds == (*SECONDS_BOUNDS, math.inf)
    assert list(counts) == [sum(value <= bound for value in values) for bound in bounds]
    assert histogram.count == len(values)
    assert histogram.sum == pytest.approx(sum(values))


@given(st.lists(SECONDS), st.lists(SECONDS))
def test_merged_histograms_have_the_values_of_all(first: list[float], second: list[float]) -> None:
    whole, together = merged([filled(first), filled(second)]), filled(first + second)
    assert whole.counts == together.counts
    assert whole.sum == pytest.approx(together.sum)
