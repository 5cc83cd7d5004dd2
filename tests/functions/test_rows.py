"""Functions of rows: their exact values and derivatives against mpmath, their scale, and by what a point is known."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import inf, nan
from typing import Any

import mpmath
import numpy as np
import pytest
from catalogue import ROWS
from contract import LENGTHS, ORDERS, OTHER_LENGTHS
from flint import arb
from floats import FORMATS, Float64Array, FloatArray, Format, each_format, widen
from mpmath import mpf
from truths import Sample, coordinates, enclosures, fraction, matches, precision, row_truth, samples

import crosscheck
from crosscheck import Activation, Limits

SOFTMAX = crosscheck.activations["softmax"]
DIGITS = 150
"""Of which cancellation takes at most 90 here: e^-200 beside 1."""
Reference = Callable[[list[Any], list[Any]], Sequence[Sequence[Any]]]

# Against mpmath


def softmax(x: list[Any], v: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """The value, s_i d_i and s_i (d_i^2 - sum_j s_j d_j^2) with d_i = v_i - sum_j s_j v_j, none of it stable."""
    e = [mpf(0) if entry == -inf else mpmath.exp(entry) for entry in x]
    s = [entry / mpmath.fsum(e) for entry in e]
    d = [b - mpmath.fsum(a * b for a, b in zip(s, v, strict=True)) for b in v]
    square = mpmath.fsum(a * b * b for a, b in zip(s, d, strict=True))
    return s, [a * b for a, b in zip(s, d, strict=True)], [a * (b * b - square) for a, b in zip(s, d, strict=True)]


def tiled(fmt: Format, length: int) -> FloatArray:
    """Rows of one length: of spreads up to 100 and levels up to 1000, with some ties, and with entries of minus infinity."""
    rng = np.random.default_rng(length)
    spread = rng.uniform(-1, 1, (3, 4, length)) * np.array([1, 10, 50])[:, None, None]
    level = np.array([0.0, 100.0, -1000.0, 700.0])[None, :, None]
    rows = (spread + level).reshape(-1, length)
    half_tied = np.where(np.arange(length) % 2, rows[3:5], rows[3:5].max(axis=1, keepdims=True))
    dominant = np.zeros((1, length))
    dominant[0, 0] = 100
    masked = np.where(np.arange(length) % 2, -inf, rows[6:9])
    return np.concatenate([rows, half_tied, dominant, masked]).astype(fmt.dtype)


def assert_decided_as(activation: Activation, x: FloatArray, v: FloatArray, reference: Reference) -> None:
    fmt = next(fmt for fmt in FORMATS.values() if fmt.dtype == x.dtype)
    result = row_truth(activation, x, v, ORDERS)
    for k in ORDERS:
        assert result[k].judged.all()
        assert not result[k].undecided.any()
        assert np.isnan(widen(result[k].left)).all()
    with mpmath.workdps(DIGITS):
        for i, (row, along) in enumerate(zip(widen(x).tolist(), widen(v).tolist(), strict=True)):
            exact = reference([mpf(entry) for entry in row], [mpf(entry) for entry in along])
            for k, j in np.ndindex(3, len(row)):
                matches(result[k], i * len(row) + j, tidy(exact[k][j]), fmt)


def tidy(value: Any) -> Fraction:
    """What cancels entirely is 0: the rest is far below what DIGITS leave of anything else."""
    return Fraction(0) if abs(value) < mpf(10) ** -140 else fraction(value)


@pytest.mark.parametrize("length", [1, 2, 8])
@each_format
def test_value_and_derivatives_are_mpmaths(fmt: Format, length: int) -> None:
    x = tiled(fmt, length)
    v = np.random.default_rng(length + 100).standard_normal(x.shape).astype(fmt.dtype)
    assert_decided_as(SOFTMAX, x, v, softmax)


@pytest.mark.parametrize("fmt", [FORMATS["float32"], FORMATS["bfloat16"]], ids=lambda fmt: fmt.name)
def test_the_sampled_rows_are_decided_right(fmt: Format) -> None:
    """Those that a run takes, without the ones that have no limit or an infinite maximum."""
    for sample in samples(SOFTMAX, SOFTMAX.parameters, fmt.name, (2, 8), seed=0, per_binade=0, uniform=0):
        x, v = sample.x[-16:], sample.v[-16:]
        rows = np.isfinite(widen(x).max(axis=1)) & ~np.isnan(widen(x)).any(axis=1)
        assert rows.sum() == len(x) - 4
        rows &= [len(set(row) - {-inf}) > 1 for row in widen(x).tolist()]  # the others are below
        assert_decided_as(SOFTMAX, x[rows], v[rows], softmax)


@pytest.mark.parametrize("masked", [False, True], ids=["", "beside minus infinity"])
@pytest.mark.parametrize("length", [2, 8])
@each_format
def test_entries_that_are_all_equal_give_fractions_that_are_decided(fmt: Format, length: int, masked: bool) -> None:
    """s is 1/n, and the derivatives may lie half way between two numbers of the format, where a ball never decides."""
    v = np.zeros((3, length))
    v[0, :2] = 1 + 2.0 ** (1 - fmt.precision), -(2.0**-fmt.precision)  # their difference has one bit too many
    v[1, :2] = 1, -2
    v[2] = np.random.default_rng(length).standard_normal(length)
    x = np.array([[5.3] * length, [0.0] * length, [-300.0] * length])
    if masked:
        x, v = (np.insert(a, range(1, length + 1), b, axis=1) for a, b in ((x, -inf), (v, 1.5)))
    x, v = x.astype(fmt.dtype), v.astype(fmt.dtype)
    result = row_truth(SOFTMAX, x, v, ORDERS)
    for i, along in enumerate(widen(v).tolist()):
        present = np.isfinite(widen(x[i])).tolist()
        mean = sum(Fraction(b) for b, here in zip(along, present, strict=True) if here) / length
        d = [Fraction(b) - mean for b in along]
        square = sum(b * b for b, here in zip(d, present, strict=True) if here) / length
        for j, here in enumerate(present):
            exact = (Fraction(1, length), d[j] / length, (d[j] ** 2 - square) / length)
            for k in ORDERS:
                assert not result[k].undecided[i * len(along) + j]
                matches(result[k], i * len(along) + j, exact[k] if here else Fraction(0), fmt)


@each_format
def test_a_constant_direction_gives_0(fmt: Format) -> None:
    """Adding one number to the whole row changes nothing: the derivatives vanish, by cancellation alone."""
    x = tiled(fmt, 8)
    result = row_truth(SOFTMAX, x, np.full_like(x, 3), ORDERS)
    for k in (1, 2):
        assert result[k].judged.all()
        assert not widen(result[k].rounded).any()
        assert np.abs(result[k].residual).max() < 2.0**-19


def record(definition: Any) -> Activation:
    """A function of rows of which only the definition matters."""

    def unused(*arguments: Any, **others: Any) -> Any:
        raise AssertionError("only the definition says what is true")

    formulas = dict.fromkeys(("derivative", "second_derivative", "torch_value", "jax_value"), unused)
    return Activation(
        name="mine",
        definition=definition,
        limits=Limits((nan, nan, nan), (nan, nan, nan)),
        parameters={"axis": -1},
        rows=True,
        **formulas,
    )


def test_another_function_of_rows() -> None:
    """The logarithm of softmax, along v as if its Jacobian were symmetric; nothing in the evaluator goes by a name."""

    def reference(x: list[Any], v: list[Any]) -> list[list[Any]]:
        s, first, _ = softmax(x, v)
        mean = mpmath.fsum(a * b for a, b in zip(s, v, strict=True))
        spread = mpmath.fsum(a * b for a, b in zip(first, v, strict=True))
        return [[mpmath.log(a) for a in s], [b - mean for b in v], [-spread for _ in v]]

    x = np.random.default_rng(1).uniform(-20, 20, (6, 3)).astype(np.float32)
    v = np.random.default_rng(2).standard_normal(x.shape).astype(np.float32)
    assert_decided_as(record(log_softmax), x, v, reference)


def test_an_undecidable_definition_is_counted_and_not_guessed() -> None:
    """Whether sqrt(2) sqrt(2) > 2: enclosures never tell equal numbers apart."""

    def definition(m: Any, x: Any, axis: int = -1) -> Any:
        if abs(float(x[0][0])) < 1:
            m.greater(m.sqrt(2) * m.sqrt(2), 2)
        return x / m.sum(m.exp(x), axis=axis, keepdims=True)

    result = row_truth(record(definition), np.array([[0.5, 1.0], [3.0, 1.0]]), np.ones((2, 2)), ORDERS)
    for k in ORDERS:
        assert result[k].undecided.tolist() == [True, True, False, False]
        assert result[k].judged.tolist() == [False, False, True, True]


# The closed forms

every_record = pytest.mark.parametrize("name", ROWS)


def apart(activation: Activation, case: Mapping[str, float], *, closed: bool | None = True) -> set[int]:
    """The orders in which the closed forms, or the power series along v, are not what the definition's series prove.

    The rows have ties and an entry that vanishes beside the others.
    """
    rng = np.random.default_rng(6)
    rows = [
        rng.uniform(-3, 3, 2),
        rng.uniform(-30, 30, 4),
        np.array([1.0, 1.0, -2.0, 1.0]),
        np.array([0.5, -90, 0, 2, 8, 8]),
    ]
    orders = set()
    for row in rows:
        x, v = [arb(entry) for entry in row.tolist()], rng.standard_normal(row.size)
        with precision(512):
            proven, others = (enclosures(activation, case, v, x, (1, 2), closed=how) for how in (False, closed))
            for k in (1, 2):
                assert len(proven[k]) == len(others[k]) == row.size
                for a, b in zip(proven[k], others[k], strict=True):
                    assert max(a.rad(), b.rad()) < 2.0**-300
                    orders |= set() if a.overlaps(b) else {k}
    return orders


@every_record
def test_the_closed_forms_are_those_of_the_definition(name: str) -> None:
    """Proven in balls, at short rows; in long ones they are what is true where the Jacobian is not symmetric."""
    activation = crosscheck.activations[name]
    for case in (activation.parameters, *activation.cases):
        assert apart(activation, case) == set()


@pytest.mark.parametrize("name", [name for name in ROWS if crosscheck.activations[name].result == "row"])
def test_a_jacobian_is_as_symmetric_as_it_is_said_to_be(name: str) -> None:
    activation = crosscheck.activations[name]
    along_v = dataclasses.replace(activation, symmetric=True, torch_along=None, jax_along=None)
    assert apart(along_v, activation.parameters, closed=None) == (set() if activation.symmetric else {1, 2})


@every_record
def test_a_wrong_closed_form_is_caught(name: str) -> None:
    activation = crosscheck.activations[name]

    def without_the_last(m: Any, x: Any, v: Any, *others: Any, **parameters: Any) -> Any:
        formula = activation.second_derivative if others else activation.derivative
        return formula(m, x, np.append(v[:-1], v[-1:] * (1 + arb((1, -100)))), *others, **parameters)

    first = dataclasses.replace(activation, derivative=without_the_last)
    second = dataclasses.replace(activation, second_derivative=without_the_last)
    assert (apart(first, activation.parameters), apart(second, activation.parameters)) == ({1}, {2})


def log_softmax(m: Any, x: Any, axis: int = -1) -> Any:
    return x - m.log(m.sum(m.exp(x), axis=axis, keepdims=True))


def test_what_reverse_mode_computes_is_the_truth_where_the_jacobian_is_not_symmetric() -> None:
    """In a row of up to 8 entries the closed form is not asked, in a longer one it is the truth."""

    def first_derivative(m: Any, x: Any, v: Any, axis: int = -1) -> Any:
        e = m.exp(x)
        return v - e / m.sum(e, axis=axis, keepdims=True) * m.sum(v, axis=axis, keepdims=True)

    def second_derivative(m: Any, x: Any, v: Any, w: Any, axis: int = -1) -> Any:
        s = m.exp(x) / m.sum(m.exp(x), axis=axis, keepdims=True)
        return -s * (w - m.sum(s * w, axis=axis, keepdims=True)) * m.sum(v, axis=axis, keepdims=True)

    def reference(x: list[Any], v: list[Any]) -> list[list[Any]]:
        s, first, _ = softmax(x, v)
        total = mpmath.fsum(v)
        return [[mpmath.log(a) for a in s], [b - a * total for a, b in zip(s, v, strict=True)], [-a * total for a in first]]

    rng = np.random.default_rng(7)
    asymmetric = dataclasses.replace(record(log_softmax), symmetric=False)
    short, v = rng.uniform(-20, 20, (4, 5)).astype(np.float32), rng.standard_normal((4, 5)).astype(np.float32)
    assert_decided_as(asymmetric, short, v, reference)
    closed = dataclasses.replace(asymmetric, derivative=first_derivative, second_derivative=second_derivative)
    long, v = rng.uniform(-20, 20, (3, 12)).astype(np.float32), rng.standard_normal((3, 12)).astype(np.float32)
    assert_decided_as(closed, long, v, reference)
    with pytest.raises(AssertionError, match="only the definition"):
        row_truth(asymmetric, long, v, ORDERS)


# Rows with infinities and NaN

FINITE = [0.0, 1.0, -2.0]
WITHOUT_LIMIT = {
    "NaN": [nan, 0.0, 1.0],
    "NaN beside infinity": [nan, inf, 0.0],
    "plus infinity twice": [inf, inf, 0.0],
    "only plus infinity": [inf, inf, inf],
    "only minus infinity": [-inf, -inf, -inf],
}


@pytest.mark.parametrize("row", WITHOUT_LIMIT.values(), ids=WITHOUT_LIMIT)
@each_format
def test_a_row_without_a_limit_is_nan_and_its_derivatives_are_not_judged(fmt: Format, row: list[float]) -> None:
    x = np.array([FINITE, row, FINITE], fmt.dtype)
    result = row_truth(SOFTMAX, x, np.full_like(x, 0.5), ORDERS)
    for k in ORDERS:
        assert np.isnan(widen(result[k].rounded)).reshape(3, 3).tolist() == [[False] * 3, [True] * 3, [False] * 3]
        assert result[k].judged.reshape(3, 3).tolist() == [[True] * 3, [k == 0] * 3, [True] * 3]
        assert not result[k].undecided.any()


ONE_HOT = {
    "plus infinity": ([0.0, inf, 5.0], [0.0, 1.0, 0.0]),
    "both infinities": ([-inf, -inf, inf], [0.0, 0.0, 1.0]),
    "all but one masked": ([-inf, 700.0, -inf], [0.0, 1.0, 0.0]),
    "one entry": ([3.0], [1.0]),
    "one entry of plus infinity": ([inf], [1.0]),
    "one entry of minus infinity": ([-inf], [1.0]),
}


@pytest.mark.parametrize(("row", "expected"), ONE_HOT.values(), ids=ONE_HOT)
@each_format
def test_a_single_infinite_maximum_has_the_limit(fmt: Format, row: list[float], expected: list[float]) -> None:
    x = np.array([row], fmt.dtype)
    v = np.arange(1, len(row) + 1)[None].astype(fmt.dtype)
    result = row_truth(SOFTMAX, x, v, ORDERS)
    for k in ORDERS:
        assert result[k].judged.all()
        assert widen(result[k].rounded).tolist() == (expected if k == 0 else [0.0] * len(row))
        assert np.abs(result[k].residual).max() < 2.0**-60


@each_format
def test_a_masked_entry_is_0_and_the_others_are_those_of_the_row_without_it(fmt: Format) -> None:
    x, v = np.array([[0.5, -1.0, 3.0]], fmt.dtype), np.array([[1.0, -2.0, 0.25]], fmt.dtype)
    masked, along = (np.insert(a, 1, b, axis=1).astype(fmt.dtype) for a, b in ((x, -inf), (v, 7.0)))
    plain, other = row_truth(SOFTMAX, x, v, ORDERS), row_truth(SOFTMAX, masked, along, ORDERS)
    for k in ORDERS:
        assert widen(other[k].rounded)[1] == 0
        np.testing.assert_array_equal(np.delete(widen(other[k].rounded), 1), widen(plain[k].rounded))
        np.testing.assert_allclose(np.delete(other[k].residual, 1), plain[k].residual, atol=2.0**-19)


# The scale


@each_format
def test_the_scale_is_the_sum_of_the_terms_magnitudes(fmt: Format) -> None:
    """Of s_i (v_i - sum_j s_j v_j), and of its square's: care taken with rounding must not add to it, or hide faults."""
    x = tiled(fmt, 8)
    v = np.random.default_rng(3).standard_normal(x.shape).astype(fmt.dtype)
    wide, size = widen(x), np.abs(widen(v))
    e = np.exp(wide - wide.max(axis=1, keepdims=True))
    s = e / e.sum(axis=1, keepdims=True)
    d = size + (s * size).sum(axis=1, keepdims=True)
    expected = {1: s * d, 2: s * (d * d + (s * d * d).sum(axis=1, keepdims=True))}
    scales = Sample(x, v, coordinates(x)).scales(SOFTMAX, ORDERS, {"axis": -1})
    assert set(scales) == {1, 2}
    for order, right in expected.items():
        np.testing.assert_allclose(scales[order].reshape(x.shape), right, rtol=1e-12)


# By what a point is known


def test_an_entry_is_known_by_how_far_it_lies_below_the_largest() -> None:
    x = np.array([[1.0, 3.0, -2.0], [-inf, 5.0, 5.0], [inf, 0.0, -inf], [-inf, -inf, -inf], [nan, 1.0, 2.0]], np.float32)
    known = coordinates(x)
    assert known.dtype == np.float32
    expected = [[-2, 0, -5], [-inf, 0, 0], [inf] * 3, [-inf] * 3, [nan] * 3]
    np.testing.assert_array_equal(known.reshape(x.shape), expected)


@pytest.mark.parametrize("axis", [-1, 0])
@each_format
def test_the_samples_are_rows_of_several_lengths(fmt: Format, axis: int) -> None:
    drawn = list(samples(SOFTMAX, {"axis": axis}, fmt.name, seed=0, per_binade=1, uniform=1))
    assert [sample.length for sample in drawn] == list(LENGTHS if axis == -1 else OTHER_LENGTHS)
    for sample in drawn:
        assert sample.v is not None
        assert sample.x.dtype == sample.v.dtype == sample.at.dtype == fmt.dtype
        assert sample.x.shape == sample.v.shape
        assert sample.at.shape == (sample.x.size,)


def test_the_samples_of_an_elementwise_function_are_numbers() -> None:
    (sample,) = samples(crosscheck.activations["relu"], {}, "float32", seed=0, per_binade=1, uniform=1)
    assert (sample.length, sample.v) == (None, None)
    np.testing.assert_array_equal(sample.x, sample.at)


def test_some_of_the_rows_in_float64() -> None:
    x = np.array([[1.0, 2.0], [3.0, 5.0], [7.0, 11.0]], np.float32)
    chosen = Sample(x, -x, coordinates(x)).rows(np.array([0, 2]), 2.0)
    values: list[Float64Array] = [chosen.x / 2, -chosen.v]  # type: ignore[operator]
    for array in values:
        assert array.dtype == np.float64
        assert array.tolist() == [[1, 2], [7, 11]]
    assert chosen.at.tolist() == [-2, 0, -8, 0]
