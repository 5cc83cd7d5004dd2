"""Which points beyond the budget show another function, and which lost digits: errors made by hand, no framework."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from floats import Float64Array
from judging import MOST_PROBED, NEARBY, systematic, systematic_in_rows

SIGNS = pytest.mark.parametrize("sign", [1, -1], ids=["too large", "too small"])

# Another function, or lost digits, in rows


def of_rows(signed: Sequence[float], relative: Sequence[float], *, bad: Sequence[int], rows: Sequence[int]) -> list[bool]:
    """``systematic_in_rows`` for rows of two entries, the truth being 1 everywhere, the neighbours' errors the same."""
    exact, errors = np.ones(len(signed)), np.tile(signed, (1 + NEARBY.size, 1))
    flags = systematic_in_rows(np.array(bad), np.array(relative), np.array(rows), 2, errors, exact, 1.0, in_float64=False)
    return flags.tolist()


def test_in_rows_what_stays_in_float64_is_another_function() -> None:
    """Rows 1 and 3 are run in float64; the entries 2, 3, 7 of the array are theirs."""
    flags = of_rows([0.1, 1e-20, 0.0, 0.1], [0.1, 0.1, 0.1], bad=[2, 3, 7], rows=[1, 3])
    assert flags == [True, False, True]


def test_in_rows_half_of_the_error_is_the_border() -> None:
    assert of_rows([0.05, 0.049], [0.1, 0.1], bad=[0, 1], rows=[0]) == [True, False]


def test_in_rows_an_error_of_float64_s_size_is_lost_digits() -> None:
    assert of_rows([2.0**-46, 2.0**-48], [2.0**-46, 2.0**-48], bad=[0, 1], rows=[0]) == [True, False]


@pytest.mark.parametrize(("error", "expected"), [(0.1, True), (0.0, False)], ids=["stays", "disappears"])
def test_in_rows_the_others_follow_those_that_were_run(error: float, expected: bool) -> None:
    assert of_rows([error, 0.0], [0.1, 0.1, 0.1], bad=[0, 4, 9], rows=[0]) == [expected] * 3


@SIGNS
@pytest.mark.parametrize("neighbour", range(4))
def test_in_rows_an_error_that_flips_its_sign_at_one_neighbour_is_lost_digits(neighbour: int, sign: int) -> None:
    signed = np.full((5, 2), 0.1)
    assert row_of(sign * signed) == [True, True]
    signed[1 + neighbour, 0] = -0.0125
    assert row_of(sign * signed) == [False, False]  # the other entry's is no larger
    signed[1 + neighbour, 0] = -0.0124
    assert row_of(sign * signed) == [True, True]


@SIGNS
def test_in_rows_in_float64_two_of_four_neighbours_share_the_error_of_another_function(sign: int) -> None:
    signed = np.array([[0.1, 0.1], [0.1, 0.1], [0.0, 0.05], [0.0, 0.0], [0.0, 0.0]])
    assert row_of(sign * signed, in_float64=True) == [False, True]


def row_of(signed: Float64Array, *, in_float64: bool = False) -> list[bool]:
    """For one row of two entries, from its errors and below them those at its neighbours."""
    bad, rows = np.array([0, 1]), np.array([0])
    flags = systematic_in_rows(bad, np.full(2, 0.1), rows, 2, signed, np.ones(2), 1.0, in_float64=in_float64)
    return flags.tolist()


# Another function, or lost digits

X = np.linspace(-6.0, 6.0, 301)
Errors = Callable[[Float64Array], tuple[Float64Array, Float64Array]]


def noise(x: Float64Array) -> Float64Array:
    """A sign and a size that look random and depend on the input's bits alone."""
    bits = np.ascontiguousarray(x).view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return (bits >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1


def other_function(x: Float64Array) -> tuple[Float64Array, Float64Array]:
    true = 1 / (1 + np.exp(-x))
    return 0.02 * true, true


def lost_digits(x: Float64Array) -> tuple[Float64Array, Float64Array]:
    true = 1 / (1 + np.exp(-x))
    return 2.0**-12 * noise(x) * true, true


def rounded_in_float64(x: Float64Array) -> tuple[Float64Array, Float64Array]:
    true = 1 / (1 + np.exp(-x))
    return 2.0**-52 * noise(x) * true, true


def relative(errors: Errors, x: Float64Array) -> Float64Array:
    signed, true = errors(x)
    return np.abs(signed / true)


EVERYWHERE = pytest.mark.parametrize("in_float64", [False, True], ids=["narrower", "float64"])


def recorded(x: Float64Array, relative_error: Float64Array | None = None) -> Float64Array:
    """The inputs at which an implementation is run in float64."""
    seen: list[Float64Array] = []

    def errors(inputs: Float64Array) -> tuple[Float64Array, Float64Array]:
        seen.append(inputs)
        return np.full(inputs.shape, 0.1), np.ones(inputs.shape)

    systematic(x, np.full(x.shape, 0.1) if relative_error is None else relative_error, errors, 1.0, in_float64=False)
    (inputs,) = seen
    return inputs


def test_it_is_run_at_so_many_inputs_at_most() -> None:
    x = np.linspace(1, 2, 10_000)
    assert recorded(x, np.sin(x)).size == MOST_PROBED == 72 * 17


def test_the_ends_and_the_largest_errors_are_among_those_that_are_probed() -> None:
    x = np.random.default_rng(2).permutation(np.linspace(-3, 3, 5000))
    error = np.random.default_rng(3).random(x.shape)
    inputs = recorded(x, error)
    assert np.isin([x.min(), x.max(), *x[np.argsort(error)[-8:]]], inputs).all()
    centres = np.sort(x[np.isin(x, inputs)])
    assert np.diff(centres).max() < 0.2


@pytest.mark.parametrize("x", [1.25, -3.0, 0.0], ids=str)
def test_the_neighbours_of_a_probed_input_lie_within_6_percent_on_both_sides(x: float) -> None:
    """As many on each side, none like another one; at zero as far away as at one."""
    inputs = recorded(np.array([x]))
    distance = (inputs - x) / (abs(x) or 1)
    assert distance[0] == 0
    assert len({*distance}) == 17
    for side in (1, -1):
        far = np.sort(side * distance[1:])[8:]
        assert far.min() > 0.007
        assert 0.05 < far.max() < 0.06
        assert np.diff(far).min() > 0.004


def test_the_neighbours_of_a_row_lie_on_both_sides() -> None:
    assert len({*NEARBY}) == 4
    assert (NEARBY > 0).sum() == (NEARBY < 0).sum() == 2


# The neighbours' part: what the errors at a point are compared with

AROUND = np.full(16, 0.1)
"""The errors at the neighbours, from the nearest on, each time that above and then that below."""


def one_point(at: float, around: Float64Array, *, in_float64: bool = False) -> bool:
    """Whether an error is another function's, beside others, the truth being 1 everywhere."""

    def errors(inputs: Float64Array) -> tuple[Float64Array, Float64Array]:
        return np.array([at, *around]), np.ones(17)

    (flag,) = systematic(np.ones(1), np.full(1, abs(at)), errors, 1.0, in_float64=in_float64).tolist()
    return bool(flag)


def with_first(count: int, error: float, rest: float = 0.1) -> Float64Array:
    return np.array([error] * count + [rest] * (16 - count))


@SIGNS
@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [(1, 0.1, True), (2, 0.1, False), (2, 0.0125, False), (2, 0.0124, True), (16, 0.1, False)],
    ids=["one", "two", "two, an eighth as large", "two, smaller", "all"],
)
def test_an_error_that_flips_its_sign_at_two_neighbours_is_lost_digits(
    count: int, size: float, expected: bool, sign: int
) -> None:
    assert one_point(sign * 0.1, sign * with_first(count, -size)) == expected


@SIGNS
@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [(8, 0.1, True), (7, 0.1, False), (8, 0.05, True), (8, 0.049, False), (8, 10.0, True)],
    ids=["half of them", "fewer", "half as large", "smaller", "larger"],
)
def test_in_float64_half_of_the_neighbours_share_the_error_of_another_function(
    count: int, size: float, expected: bool, sign: int
) -> None:
    around = sign * with_first(count, size, rest=0.0)
    assert one_point(sign * 0.1, around, in_float64=True) == expected
    assert one_point(sign * 0.1, around)


@SIGNS
def test_in_float64_an_error_of_the_other_sign_is_not_shared(sign: int) -> None:
    around = np.array([-0.1, *np.full(7, 0.1), *np.zeros(8)])
    assert not one_point(sign * 0.1, sign * around, in_float64=True)


@SIGNS
@pytest.mark.parametrize("grows", [1, -1], ids=["growing", "shrinking"])
@pytest.mark.parametrize("x", [1.0, -1.0])
def test_an_error_that_only_grows_or_shrinks_crosses_zero(x: float, grows: int, sign: int) -> None:
    """An approximation's does; one that stays the same between two neighbours, or turns, flips as lost digits do."""

    def is_systematic(shape: Callable[[Float64Array], Float64Array]) -> bool:
        def errors(inputs: Float64Array) -> tuple[Float64Array, Float64Array]:
            return sign * 0.01 + grows * shape(inputs / x - 1), np.ones(inputs.shape)

        return bool(systematic(np.array([x]), np.full(1, 0.01), errors, 1.0, in_float64=False)[0])

    assert is_systematic(lambda far: far)
    assert not is_systematic(lambda far: np.clip(far, -0.05, 0.05))
    assert not is_systematic(lambda far: np.where(far > 0.055, -far, far))
    assert not is_systematic(lambda far: np.where(far == 0, 0.06, far))


@SIGNS
@pytest.mark.parametrize(("size", "expected"), [(0.41, True), (0.4, False)], ids=["above", "at"])
def test_an_error_up_to_four_times_one_that_flips_is_lost_digits(size: float, expected: bool, sign: int) -> None:
    def errors(inputs: Float64Array) -> tuple[Float64Array, Float64Array]:
        signed = np.array([-sign * 0.1, size, *(sign * AROUND), *np.full(16, size)])
        return signed, np.ones(inputs.shape)

    flags = systematic(np.array([1.0, 2.0]), np.array([0.1, size]), errors, 1.0, in_float64=False)
    assert flags.tolist() == [False, expected]


@EVERYWHERE
def test_another_function_keeps_its_error(in_float64: bool) -> None:
    flags = systematic(X, relative(other_function, X), other_function, 1.0, in_float64=in_float64)
    assert flags.shape == X.shape
    assert flags.all()


@EVERYWHERE
def test_digits_lost_inside_flip_their_sign(in_float64: bool) -> None:
    assert not systematic(X, relative(lost_digits, X), lost_digits, 1.0, in_float64=in_float64).any()


@EVERYWHERE
def test_another_function_that_crosses_the_truth_keeps_its_error(in_float64: bool) -> None:
    """An approximation is too large here and too small there; whether a probe lies at a crossing is chance."""

    def errors(x: Float64Array) -> tuple[Float64Array, Float64Array]:
        return 0.02 * np.sin(x), np.ones(x.shape)

    x = np.sort(np.random.default_rng(5).permutation(X[np.abs(np.sin(X)) > 0.01])[:150])
    assert systematic(x, relative(errors, x), errors, 1.0, in_float64=in_float64).all()


def test_an_error_that_float64_does_not_show_is_lost_digits() -> None:
    assert not systematic(X, np.full(X.shape, 0.02), rounded_in_float64, 1.0, in_float64=False).any()


def constant(size: float, true: float = 1.0) -> Errors:
    return lambda x: (np.full(x.shape, size), np.full(x.shape, true))


@SIGNS
@pytest.mark.parametrize(("kept", "expected"), [(0.5, True), (0.49, False)], ids=["half kept", "less than half"])
def test_half_of_the_relative_error_must_stay(kept: float, expected: bool, sign: int) -> None:
    flags = systematic(X, np.full(X.shape, 0.02), constant(sign * 0.02 * kept), 1.0, in_float64=False)
    assert (flags == expected).all()


@SIGNS
@pytest.mark.parametrize(("times", "expected"), [(1.01, True), (1.0, False), (0.5, False)], ids=["above", "at", "below"])
def test_in_float64_another_function_errs_by_more_than_2_to_minus_30(times: float, expected: bool, sign: int) -> None:
    size = times * 2.0**-30
    assert (systematic(X, np.full(X.shape, size), constant(sign * size), 1.0, in_float64=True) == expected).all()


@SIGNS
@pytest.mark.parametrize("magnitude", [1.0, 8.0])
@pytest.mark.parametrize(("times", "expected"), [(1.01, True), (1.0, False)], ids=["above", "at"])
def test_another_function_errs_by_more_than_float64_s_rounding(
    times: float, expected: bool, magnitude: float, sign: int
) -> None:
    size = times * 2.0**-47 * magnitude
    assert (systematic(X, np.full(X.shape, size), constant(sign * size), magnitude, in_float64=False) == expected).all()


@SIGNS
@pytest.mark.parametrize(
    ("size", "true", "expected"),
    [
        (512.0, 1.0, True),
        (511.9, 1.0, False),
        (2.0**-36, 2.0**-46, True),
        (2.0**-38, 2.0**-47, False),
        (2.0**-40, 2.0**-49, False),
    ],
    ids=["512 times", "less", "above float64's rounding", "of its size", "below it"],
)
def test_so_many_times_too_large_a_result_is_another_function_s(size: float, true: float, expected: bool, sign: int) -> None:
    """However large the error was before: a sum where a mean is meant is as many times too large as there are numbers."""
    for side in (1, -1):
        flags = systematic(X, np.full(X.shape, 1e6), constant(sign * size, side * true), 1.0, in_float64=False)
        assert (flags == expected).all()


@SIGNS
def test_so_many_times_too_large_before_as_well(sign: int) -> None:
    assert systematic(X, np.full(X.shape, 600.0), constant(sign * 600.0), 1.0, in_float64=False).all()


@pytest.mark.parametrize("of_values", [False, True])
@pytest.mark.parametrize(
    ("x", "result", "expected"),
    [
        (2.0**20, 1.0, False),
        (-(2.0**20), 1.0, False),
        (2.0**20, 0.0, False),
        (2.0**20, -(2.0**-33), False),
        (2.0**20, 0.999 * 2.0**-33, True),
        (1.0, 1.0, True),
    ],
    ids=["one", "one, below zero", "nothing", "half of the input's ULP", "a smaller rest", "a small input"],
)
def test_terms_as_large_as_the_input_may_have_cancelled_in_a_value(
    x: float, result: float, expected: bool, of_values: bool
) -> None:
    """An error of 2^-30 is beyond the rounding of numbers like 1, not of numbers like 2^20."""
    errors = constant(2.0**-30, result - 2.0**-30)
    flags = systematic(np.array([x]), np.full(1, 2.0**-30), errors, 1.0, in_float64=False, of_values=of_values)
    assert flags.tolist() == [expected or not of_values]


def test_a_lost_tail_in_float64_is_lost_digits() -> None:
    """1 - tanh(x)^2 is 0 beyond 19, where the truth is 4 exp(-2x): all of it is lost, at every neighbour too."""
    x = np.linspace(20.0, 300.0, 200)

    def errors(x: Float64Array) -> tuple[Float64Array, Float64Array]:
        true = 4 * np.exp(-2 * np.abs(x))
        return -true, true

    assert not systematic(x, np.ones(x.shape), errors, 1.0, in_float64=True).any()


def test_a_lost_tail_that_float64_keeps_is_lost_digits() -> None:
    x = np.linspace(9.0, 11.0, 50)

    def errors(x: Float64Array) -> tuple[Float64Array, Float64Array]:
        return 2.0**-53 * noise(x), 4 * np.exp(-2 * x)

    assert not systematic(x, np.ones(x.shape), errors, 1.0, in_float64=False).any()


@pytest.mark.parametrize("x", [np.array([1.25]), np.array([1.25, 3.0])], ids=["alone", "one of two"])
def test_an_isolated_wrong_input_in_float64_is_not_another_function(x: Float64Array) -> None:
    def errors(inputs: Float64Array) -> tuple[Float64Array, Float64Array]:
        return np.where(np.isin(inputs, x), 0.5, 0.0), np.ones(inputs.shape)

    flags = systematic(x, np.full(x.shape, 0.5), errors, 1.0, in_float64=True)
    assert flags.tolist() == [False] * x.size


@EVERYWHERE
@pytest.mark.parametrize("x", [0.0, 1.25, -3.0], ids=str)
def test_one_point_is_enough_to_see_another_function(x: float, in_float64: bool) -> None:
    point = np.array([x])
    flags = systematic(point, relative(other_function, point), other_function, 1.0, in_float64=in_float64)
    assert flags.tolist() == [True]


@EVERYWHERE
def test_points_of_both_kinds_are_told_apart(in_float64: bool) -> None:
    """Lost digits, of half a percent at most, below 0; another function, 20 times as far off, above."""

    def errors(x: Float64Array) -> tuple[Float64Array, Float64Array]:
        return np.where(x < 0, 2.0**-8 * noise(x), 0.1), np.ones(x.shape)

    x = X[np.abs(X) > 0.5]
    flags = systematic(x, relative(errors, x), errors, 1.0, in_float64=in_float64)
    np.testing.assert_array_equal(flags, x > 0)


def test_the_order_of_the_points_does_not_matter() -> None:
    def errors(x: Float64Array) -> tuple[Float64Array, Float64Array]:
        return np.where(x < 0, 2.0**-50, 0.1), np.ones(x.shape)

    x = np.random.default_rng(9).permutation(X[np.abs(X) > 0.5])
    np.testing.assert_array_equal(systematic(x, np.full(x.shape, 0.1), errors, 1.0, in_float64=False), x > 0)
