"""Values that stand for those in a histogram: the same buckets, the same sum."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferrule.pool.measures import SECONDS_BOUNDS, Histogram
from ferrule.pool.measures.replay import Replay

LAST = SECONDS_BOUNDS[-1]


@given(st.lists(st.lists(st.floats(1e-7, 3 * LAST), max_size=8), max_size=4))
def test_a_histogram_of_the_replayed_values_is_the_first_one(rounds: list[list[float]]) -> None:
    histogram, copy, replay = Histogram(), Histogram(), Replay()
    for values in rounds:
        for value in values:
            histogram.add(value)
        for value, count in replay.values(histogram):
            assert value >= 0
            for _ in range(count):
                copy.add(value)
        assert copy.counts == histogram.counts
    if all(value <= LAST for values in rounds for value in values):
        assert copy.sum == pytest.approx(histogram.sum)


@given(st.lists(st.sampled_from([*SECONDS_BOUNDS, *(math.nextafter(bound, math.inf) for bound in SECONDS_BOUNDS)])))
def test_values_at_the_bounds_stay_in_their_buckets(values: list[float]) -> None:
    histogram, copy = Histogram(), Histogram()
    for value in values:
        histogram.add(value)
    for value, count in Replay().values(histogram):
        for _ in range(count):
            copy.add(value)
    assert copy.counts == histogram.counts


def test_nothing_new_is_nothing_replayed() -> None:
    histogram, replay = Histogram(), Replay()
    histogram.add(0.3)
    ((value, count),) = replay.values(histogram)
    assert value == pytest.approx(0.3)
    assert count == 1
    assert list(replay.values(histogram)) == []


def test_values_of_0() -> None:
    histogram = Histogram()
    histogram.add(0.0)
    assert list(Replay().values(histogram)) == [(0.0, 1)]


def test_values_beyond_the_last_bound_make_up_for_the_rest_of_the_sum() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.5, 6.0, 8.0):
        histogram.add(value)
    assert list(Replay().values(histogram)) == [(0.5, 1), (1.5, 1), (7.0, 2)]
