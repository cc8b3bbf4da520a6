"""The rule tells a leak from noise, whatever the noise looks like."""

from __future__ import annotations

import random

import pytest

from soak.flatness import FEWEST_SAMPLES, Limit, growth, why_not_flat

LIMIT = Limit(share=0.04, floor=3.0)
TIMES = [7.5 * number for number in range(240)]
LEVEL, NOISE = 100.0, 2.0


def series(seed: int, leak: float = 0.0, warm_up: float = 0.0) -> list[float]:
    """A level with noise and spikes, which a leak raises by so much over the run, and a warm-up in its first third."""
    numbers = random.Random(seed)
    length = TIMES[-1]
    return [
        LEVEL
        + numbers.gauss(0.0, NOISE)
        + (numbers.uniform(0.0, 80.0) if numbers.random() < 0.05 else 0.0)
        + leak * time / length
        + warm_up * min(1.0, 3 * time / length)
        for time in TIMES
    ]


@pytest.mark.parametrize("seed", range(20))
def test_flat_and_noisy(seed: int) -> None:
    assert why_not_flat(TIMES, series(seed), LIMIT) is None


@pytest.mark.parametrize("seed", range(20))
def test_leak_of_twice_the_limit(seed: int) -> None:
    """The limit is that of half the run."""
    leak = 2 * 2 * LIMIT.of(LEVEL)
    assert "grows by" in str(why_not_flat(TIMES, series(seed, leak), LIMIT))


def test_leak_in_steps() -> None:
    """As of a list that doubles, or of an arena that is added: flat between two steps."""
    stairs = [LEVEL + 8.0 * (time // 200) for time in TIMES]
    assert "grows by" in str(why_not_flat(TIMES, stairs, LIMIT))


def test_warm_up_is_no_leak() -> None:
    assert why_not_flat(TIMES, series(1, warm_up=LEVEL), LIMIT) is None


def test_one_high_sample_at_the_end_is_no_leak() -> None:
    assert why_not_flat(TIMES, [*series(2)[:-1], 10 * LEVEL], LIMIT) is None


def test_what_shrinks_is_flat() -> None:
    assert why_not_flat(TIMES, series(3, leak=-50.0), LIMIT) is None


def test_growth_is_that_of_a_straight_line() -> None:
    assert growth([0.0, 1.0, 2.0, 4.0], [5.0, 6.0, 7.0, 9.0]) == pytest.approx(4.0)


def test_floor_counts_where_the_level_is_low() -> None:
    assert Limit(share=0.5, floor=2.0).of(1.0) == 2.0
    assert Limit(share=0.5, floor=2.0).of(10.0) == 5.0


def test_too_few_samples_say_nothing() -> None:
    with pytest.raises(ValueError, match="samples in the later half"):
        why_not_flat(TIMES[:FEWEST_SAMPLES], TIMES[:FEWEST_SAMPLES], LIMIT)
