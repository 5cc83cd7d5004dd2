"""How large errors are and where: the columns of inputs, the sizes, and pieces put together."""

import itertools
from dataclasses import FrozenInstanceError
from math import inf, nan

import numpy as np
import pytest
from floats import FORMATS, every_value

from crosscheck._arithmetic.profile import COLUMNS, SIZES, Columns, joined, profile


def none(x: np.ndarray) -> np.ndarray:
    return np.zeros(x.shape, bool)


@pytest.mark.parametrize(
    ("error", "size"),
    [
        (0.0, "0"),
        (1e-300, "0.5"),
        (0.5, "0.5"),
        (np.nextafter(0.5, 1), "1"),
        (1.0, "1"),
        (1.5, "2"),
        (1024.0, "1024"),
        (1025.0, "2^11"),
        (2.0**24, "2^24"),
        (np.nextafter(2.0**24, inf), "more"),
        (1e300, "more"),
        (inf, "NaN, inf"),
    ],
)
def test_an_error_is_counted_by_its_size(error: float, size: str) -> None:
    x = np.array([1.0])
    counted = profile(Columns.of(x), np.array([error]), none(x), ~none(x))
    assert [SIZES[k] for k in np.flatnonzero(counted.counts)] == [size]
    assert counted.worst == (error,)


def test_each_column_has_the_largest_error_of_its_inputs() -> None:
    x = np.random.default_rng(0).permutation(np.arange(960.0))
    counted = profile(Columns.of(x), x / 2, none(x), ~none(x))
    assert len(counted.x) == len(counted.worst) == COLUMNS
    assert counted.worst == tuple((10 * k + 9) / 2 for k in range(COLUMNS))
    assert counted.x == tuple(10 * k + 5 for k in range(COLUMNS))
    assert sum(counted.counts) == 960


def test_what_is_not_judged_does_not_count_and_nan_among_the_inputs_has_no_column() -> None:
    x = np.array([nan, 1.0, 2.0, -inf])
    counted = profile(Columns.of(x), np.array([9.0, 1.0, 7.0, nan]), none(x), np.array([True, True, False, True]))
    assert counted.x == (-inf, 1.0, 2.0)
    assert counted.worst == (0.0, 1.0, 0.0)
    assert sum(counted.counts) == 3
    assert counted.counts[0] == 1  # NaN has no size


def test_a_wrong_nan_is_infinitely_wrong() -> None:
    x = np.array([1.0, 2.0])
    counted = profile(Columns.of(x), np.array([nan, 0.0]), np.array([True, False]), ~none(x))
    assert counted.worst == (inf, 0.0)
    assert counted.counts[-1] == 1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_every_value_of_a_format_has_columns(dtype: str) -> None:
    x = every_value(FORMATS[dtype])
    counted = profile(Columns.of(x), np.zeros(x.shape), none(x), ~none(x))
    assert len(counted.x) == COLUMNS
    assert list(counted.x) == sorted(counted.x)
    assert counted.counts[0] == 2**16


def test_nothing_has_no_columns() -> None:
    x = np.empty(0)
    assert profile(Columns.of(x), x, none(x), none(x)).x == ()
    assert profile(Columns.of_elements(0, 0, 0), x, none(x), none(x)).x == ()


@pytest.mark.parametrize("size", [1, 7, 96, 97, 1000])
def test_pieces_put_together_are_the_whole(size: int) -> None:
    ulp = np.random.default_rng(size).exponential(3, size)
    whole = profile(Columns.of_elements(0, size, size), ulp, none(ulp), ~none(ulp))
    cuts = [0, size // 3, size // 2, size]
    pieces = [
        profile(Columns.of_elements(start, stop, size), ulp[start:stop], none(ulp[start:stop]), ~none(ulp[start:stop]))
        for start, stop in itertools.pairwise(cuts)
    ]
    assert joined(pieces) == whole == joined([whole])
    assert whole.by == "element"
    assert len(whole.x) == min(size, COLUMNS)


def test_what_was_found_does_not_change() -> None:
    columns = Columns.of(np.arange(3.0))
    for record, name in ((columns, "by"), (profile(columns, np.zeros(3), none(columns.x), ~none(columns.x)), "counts")):
        with pytest.raises(FrozenInstanceError):
            setattr(record, name, None)


def test_inputs_are_placed_in_columns_and_nan_in_none() -> None:
    columns = Columns.of(np.array([3.0, nan, -inf, 0.0], np.float32))
    assert columns.index.tolist() == [2, -1, 0, 1]
    assert columns.by == "input"


def test_elements_are_placed_in_columns_in_their_order() -> None:
    columns = Columns.of_elements(95, 98, 192)
    assert columns.index.tolist() == [47, 48, 48]
    assert columns.x.tolist() == list(range(1, 193, 2))
