"""Intervals of a record: as narrow as what was tried allows, and as wide as what another seed may show."""

from math import inf, nan

import numpy as np
import pytest

from crosscheck._atlas.intervals import Points, drawn, refitted, rounded, widened


def sampled(*shown: tuple[float, float], tried: tuple[float, float] = (0.0, 100.0), whole: bool = False) -> Points:
    """A thousand numbers for each seed, all of which show it in the interval of that seed."""
    samples = []
    for seed, (low, high) in enumerate(shown):
        x = np.random.default_rng(seed).uniform(*tried, 1000)
        samples.append([(x, (low <= x) & (x <= high))])
    return Points.of(samples, whole=whole)


def test_where_every_number_was_tried_an_end_is_the_outermost_one_that_shows_it() -> None:
    x = np.arange(1.0, 101.0)
    points = Points.of([[(x, (x >= 20) & (x <= 60))]], whole=True)
    assert refitted([(2.0, 90.0)], points) == [(20.0, 60.0)]
    assert refitted([(19.8, 61.0)], points) == [(19.8, 61.0)]  # rounded outwards, by little


def test_an_end_stays_where_chance_may_have_hidden_what_lies_inside_and_is_drawn_in_where_not() -> None:
    points = sampled((20, 60), (20, 60), (20, 60))
    ((low, high),) = refitted([(5.0, 95.0)], points)
    assert 19 < low < 20
    assert 60 < high < 61.3
    assert refitted([(low, high)], points) == [(low, high)]


def test_an_end_of_scattered_errors_is_kept_unless_it_is_far_out() -> None:
    points = sampled((20, 60), (20, 60), (20, 60))
    assert refitted([(11.0, 95.0)], points, scattered=True) == [(11.0, 95.0)]
    ((low, high),) = refitted([(5.0, 95.0)], points, scattered=True)
    assert (19 < low < 20, high) == (True, 95.0)


def test_seeds_that_end_apart_widen_the_margin() -> None:
    ((_, close),) = refitted([(20.0, 95.0)], sampled((20, 60), (20, 60)))
    ((_, apart),) = refitted([(20.0, 95.0)], sampled((20, 60), (20, 57)))
    assert apart > close + 5


def test_an_interval_in_which_nothing_shows_is_left_out_unless_little_of_it_was_tried() -> None:
    points = sampled((20, 60))
    assert refitted([(20.0, 60.0), (80.0, 90.0)], points) == [(20.0, 60.0)]
    rarely = Points.of([[(np.linspace(1, 100, 1000), np.arange(1000) % 100 == 0)]], whole=False)
    assert refitted([(1.0, 100.0), (50.3, 50.9)], rarely) == [(1.0, 100.0), (50.3, 50.9)]


@pytest.mark.parametrize("value", [nan, 0.0, -0.0, inf])
def test_a_named_number_is_kept_where_it_shows_and_zeros_have_their_signs(value: float) -> None:
    x = np.array([value, 1.0, -value])
    points = Points.of([[(x, np.array([True, False, False]))]], whole=False)
    assert repr(refitted([(value, value), (-value, -value)], points)[0]) == repr((value, value))
    assert len(refitted([(value, value), (-value, -value), (1.0, 1.0)], points)) == 1 + np.isnan(value)


def test_intervals_are_drawn_around_what_shows_densely_and_around_what_does_here_and_there() -> None:
    x = np.concatenate([-np.arange(1.0, 101.0), np.arange(1.0, 101.0)])
    dense = (np.abs(x - 30) <= 5) | (np.abs(x + 70) <= 5)
    points = Points.of([[(x, dense)]], whole=True)
    assert drawn(points.shown, points, scattered=False) == [(-75.0, -65.0), (25.0, 35.0)]
    here_and_there = Points.of([[(x, (x > 0) & (x % 10 == 0))]], whole=True)
    assert len(drawn(here_and_there.shown, here_and_there, scattered=False)) == 10
    assert drawn(here_and_there.shown, here_and_there, scattered=True) == [(10.0, 100.0)]


def test_the_nearest_interval_is_extended_to_a_number_outside() -> None:
    intervals = [(-60.0, -1.0), (2.0, 5.0), (0.0, 0.0)]
    assert widened(intervals, np.array([-67.04, 3.0, 5.02])) == [(-67.1, -1.0), (2.0, 5.02), (0.0, 0.0)]
    assert widened([(0.0, 0.0)], np.array([7.0])) == [(0.0, 0.0), (7.0, 7.0)]


@pytest.mark.parametrize("value", [0.012345678, 987.654321, 5e-324, 1.7976931348623157e308])
def test_an_end_is_rounded_outwards_and_by_little(value: float) -> None:
    assert value <= rounded(value, 1) <= value * 1.02 or rounded(value, 1) == value
    assert -value >= rounded(-value, -1)
    assert 0.98 * value <= rounded(value, -1) <= value
