"""The truth: against mpmath, kinks, limits, what cannot be decided, and the rounding of a ball."""

from collections.abc import Callable, Mapping
from math import inf, nan
from typing import Any

import flint
import mpmath
import numpy as np
import pytest
from contract import ORDERS
from floats import FORMATS, FloatArray, Format, each_format, every_value, widen
from mpmath import mpf
from truths import fraction, matches, samples, truth

import crosscheck
from crosscheck import Activation, Kink, Limits, SpecError

BITS = 4000
RELU = crosscheck.activations["relu"]
Definition = Callable[[Any, Any], Any]
Kinks = tuple[Kink, ...]


NO_LIMITS = Limits((nan, nan, nan), (nan, nan, nan))


def record(definition: Definition, limits: Limits = NO_LIMITS, kinks: Kinks = (), **fields: Any) -> Activation:
    """An activation of which only the definition matters."""

    def unused(m: Any, x: Any) -> Any:
        raise AssertionError("only the definition says what is true")

    formulas = dict.fromkeys(("derivative", "second_derivative", "torch_value", "jax_value"), unused)
    return Activation(name="mine", definition=definition, limits=limits, kinks=kinks, **formulas, **fields)


def inputs(fmt: Format, *extra: float) -> FloatArray:
    """A seeded few from all binades up to 700, subnormals too, and numbers of everyday size."""
    rng = np.random.default_rng(4)
    x = next(samples(RELU, {}, fmt.name, seed=1, per_binade=1, uniform=0)).x
    x = rng.choice(x[np.abs(widen(x)) < 700], 50)
    ends = [fmt.smallest_subnormal, 3 * fmt.smallest_subnormal, fmt.smallest_normal, *extra]
    return np.concatenate([x, np.array(ends, fmt.dtype), rng.uniform(-20, 20, 30).astype(fmt.dtype)])


# Values and derivatives


def _sigmoid(x: Any) -> tuple[Any, Any, Any]:
    s, c = 1 / (1 + mpmath.exp(-x)), 1 / (1 + mpmath.exp(x))
    return s, s * c, s * c * (c - s)


def _tanh(x: Any) -> tuple[Any, Any, Any]:
    t, d = mpmath.tanh(x), mpmath.sech(x) ** 2
    return t, d, -2 * t * d


def _softplus(x: Any) -> tuple[Any, Any, Any]:
    s, d, _ = _sigmoid(x)
    return mpmath.log1p(mpmath.exp(x)), s, d


def _branches(x: Any) -> tuple[Any, Any, Any]:
    return (x**2, 2 * x, mpf(2)) if x > 1 else (mpmath.exp(x), mpmath.exp(x), mpmath.exp(x))


CASES: Mapping[str, tuple[Activation, Callable[[Any], tuple[Any, Any, Any]]]] = {
    "sigmoid": (crosscheck.activations["sigmoid"], _sigmoid),
    "tanh": (crosscheck.activations["tanh"], _tanh),
    "exp": (record(lambda m, x: m.exp(x)), lambda x: (mpmath.exp(x),) * 3),
    "softplus": (record(lambda m, x: m.log(1 + m.exp(x))), _softplus),
    "cube": (record(lambda m, x: x**3), lambda x: (x**3, 3 * x**2, 6 * x)),
    "branches": (record(lambda m, x: m.where(x > 1, x * x, m.exp(x))), _branches),
    "sinh": (record(lambda m, x: m.sinh(x)), lambda x: (mpmath.sinh(x), mpmath.cosh(x), mpmath.sinh(x))),
    "tanh of": (record(lambda m, x: m.tanh(x)), _tanh),
    "cosh": (record(lambda m, x: m.cosh(x)), lambda x: (mpmath.cosh(x), mpmath.sinh(x), mpmath.cosh(x))),
    "erf": (
        record(lambda m, x: m.erf(x)),
        lambda x: (mpmath.erf(x), g := 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x), -2 * x * g),
    ),
}


@each_format
@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives_are_mpmaths(name: str, fmt: Format) -> None:
    activation, reference = CASES[name]
    x = inputs(fmt)
    if name == "erf":
        x = x[np.abs(x) < 25]  # further out mpmath needs more than BITS
    result = truth(activation, x, ORDERS)
    for k in ORDERS:
        assert result[k].judged.all()
        assert not result[k].undecided.any()
    with mpmath.workprec(BITS):
        for i, value in enumerate(widen(x).tolist()):
            for k, exact in enumerate(reference(mpf(value))):
                matches(result[k], i, fraction(exact), fmt)


@pytest.mark.parametrize("fmt", [FORMATS["bfloat16"], FORMATS["float16"]], ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_no_input_of_a_narrow_format_is_undecided(name: str, fmt: Format) -> None:
    x = every_value(fmt)
    nan_input = np.isnan(widen(x))
    result = truth(crosscheck.activations[name], x, ORDERS)
    for k in ORDERS:
        assert not result[k].undecided.any()
        np.testing.assert_array_equal(result[k].judged, np.ones_like(nan_input) if k == 0 else ~nan_input)
        np.testing.assert_array_equal(np.isnan(result[k].rounded), nan_input)
        assert np.abs(result[k].residual).max() <= 0.5


def test_sigmoid_second_derivative_beside_ties_of_bfloat16_subnormals() -> None:
    """It is -x/8 + x^3/48: for x = 4, 12, 20, ... units the cube alone, 2^-250 of it, breaks the tie towards 0."""
    fmt = FORMATS["bfloat16"]
    units = np.arange(4, 128, 8)
    result = truth(crosscheck.activations["sigmoid"], (units * fmt.smallest_subnormal).astype(fmt.dtype), [2])[2]
    assert not result.undecided.any()
    np.testing.assert_array_equal(widen(result.rounded) / fmt.smallest_subnormal, -(units // 8))
    np.testing.assert_allclose(result.residual, -0.5, atol=2.0**-20)


@each_format
def test_relu_is_exact_at_every_kind_of_input(fmt: Format) -> None:
    x = next(samples(RELU, {}, fmt.name, seed=0, per_binade=1, uniform=50)).x
    result = truth(RELU, x, ORDERS)
    number = ~np.isnan(widen(x))
    wide = widen(x)[number]
    expected = np.maximum(wide, 0), np.where(wide > 0, 1, 0), np.zeros_like(wide)
    for k in ORDERS:
        np.testing.assert_array_equal(widen(result[k].rounded)[number], expected[k])
        assert not result[k].residual.any()
        assert not result[k].undecided.any()


def test_softplus_at_minus_100_is_not_lost() -> None:
    x = np.array([-100.0])
    for bits in (53, 106):
        with mpmath.workprec(bits):
            assert mpmath.log(1 + mpmath.exp(mpf(-100))) == 0
    value = truth(CASES["softplus"][0], x, [0])[0]
    assert value.rounded.tolist() == [3.720075976020836e-44]


HUGE = {
    # activation, dtype, input, value, first, second
    "sigmoid of -3e38": ("sigmoid", "float32", -3e38, 0, 0, 0),
    "sigmoid of 3e38": ("sigmoid", "float32", 3e38, 1, 0, 0),
    "sigmoid of -1e300": ("sigmoid", "float64", -1e300, 0, 0, 0),
    "sigmoid of 1e300": ("sigmoid", "float64", 1e300, 1, 0, 0),
    "tanh of -3e38": ("tanh", "bfloat16", -3e38, -1, 0, 0),
    "tanh of 1e300": ("tanh", "float64", 1e300, 1, 0, 0),
    "relu of 1e300": ("relu", "float64", 1e300, 1e300, 1, 0),
    "softplus of 1e300": ("softplus", "float64", 1e300, 1e300, 1, 0),
    "softplus of -1e300": ("softplus", "float64", -1e300, 0, 0, 0),
    "cube of 1e300": ("cube", "float64", 1e300, inf, inf, 6e300),
    "cube of -1e20": ("cube", "float32", -1e20, -inf, inf, np.float32(6) * np.float32(-1e20)),
    "exp of 60000": ("exp", "float16", 60000, inf, inf, inf),
    "exp of -1e300": ("exp", "float64", -1e300, 0, 0, 0),
}


@pytest.mark.parametrize(("name", "dtype", "x", "value", "first", "second"), HUGE.values(), ids=HUGE)
def test_huge_inputs(name: str, dtype: str, x: float, value: float, first: float, second: float) -> None:
    activation = CASES[name][0] if name in CASES else crosscheck.activations[name]
    result = truth(activation, np.array([x], FORMATS[dtype].dtype), ORDERS)
    for k, expected in enumerate((value, first, second)):
        assert not result[k].undecided.any()
        assert widen(result[k].rounded)[0] == pytest.approx(expected, rel=2.0**-52)


@each_format
def test_at_nan_the_value_is_judged_and_the_derivatives_are_not(fmt: Format) -> None:
    result = truth(crosscheck.activations["sigmoid"], np.array([nan, 1.0], fmt.dtype), ORDERS)
    for k in ORDERS:
        assert np.isnan(result[k].rounded).tolist() == [True, False]
        assert result[k].judged.tolist() == [k == 0, True]
        assert not result[k].undecided.any()


def test_parameters_reach_the_definition() -> None:
    scaled = record(lambda m, x, a: a * x, parameters={"a": 2.0})
    x = np.array([3.0])
    assert truth(scaled, x, [0, 1])[0].rounded.tolist() == [6]
    assert truth(scaled, x, [0, 1], {"a": 0.5})[1].rounded.tolist() == [0.5]


CONSTANTS = {"integer": lambda m, x: 3, "float": lambda m, x: 0.5, "pi": lambda m, x: m.pi}


@pytest.mark.parametrize("constant", CONSTANTS.values(), ids=CONSTANTS)
def test_a_constant_has_derivative_0(constant: Definition) -> None:
    result = truth(record(constant), np.array([-2.0, 0.0]), ORDERS)
    assert result[0].rounded.tolist() == [float(constant(np, 0))] * 2
    assert not result[1].rounded.any()
    assert result[1].judged.all()
    assert not result[2].rounded.any()


# Kinks

ZERO = np.array([-1.0, 0.0, -0.0, 1.0])


def test_the_declared_choice_stands_at_the_kink_and_the_sides_are_kept() -> None:
    absolute = record(lambda m, x: m.abs(x), kinks=(Kink(at=0.0, chosen={1: 0.0}, source="test"),))
    result = truth(absolute, ZERO, ORDERS)
    assert result[0].rounded.tolist() == [1, 0, 0, 1]
    assert result[1].rounded.tolist() == [-1, 0, 0, 1]
    assert result[2].rounded.tolist() == [0, 0, 0, 0]
    np.testing.assert_array_equal(result[1].left, [nan, -1, -1, nan])
    np.testing.assert_array_equal(result[1].right, [nan, 1, 1, nan])
    assert np.isnan(result[0].left).all()
    assert np.isnan(result[2].right).all()


@pytest.mark.parametrize(("side", "slope"), [("left", -1 / 3), ("right", 0.0)])
def test_a_side_may_be_chosen(side: str, slope: float) -> None:
    """One that no declared number needs to hold: it is decided like any other derivative."""
    bent = record(lambda m, x: m.where(x > 0, 0, -x / 3), kinks=(Kink(at=0.0, chosen={1: side}, source="test"),))
    result = truth(bent, ZERO, [1])[1]
    assert result.rounded[1] == slope
    assert result.judged.all()
    smooth = record(lambda m, x: m.where(x > 0, x, x), kinks=(Kink(at=0.0, chosen={1: side}, source="test"),))
    with pytest.raises(SpecError, match="on both sides"):
        truth(smooth, ZERO, [1])


@each_format
def test_the_sides_of_relu(fmt: Format) -> None:
    result = truth(crosscheck.activations["relu"], ZERO.astype(fmt.dtype), ORDERS)
    np.testing.assert_array_equal(widen(result[1].left), [nan, 0, 0, nan])
    np.testing.assert_array_equal(widen(result[1].right), [nan, 1, 1, nan])
    assert widen(result[1].rounded).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    "kinks",
    [(), (Kink(at=1.0, chosen={1: 0.0}, source="test"),), (Kink(at=0.0, chosen={2: 0.0}, source="test"),)],
    ids=["none", "elsewhere", "of another order"],
)
def test_an_undeclared_kink_is_an_error(kinks: tuple[Kink, ...]) -> None:
    absolute = record(lambda m, x: m.abs(x), kinks=kinks)
    with pytest.raises(SpecError, match=r"derivative 1 is -1\.0 to the left of 0\.0 and 1\.0 to the right"):
        truth(absolute, np.array([0.0]), [1])


def elu(m: Any, x: Any) -> Any:
    return m.where(x > 0, x, m.exp(x) - 1)


def test_elu_has_a_kink_of_order_2_only() -> None:
    declared = record(elu, kinks=(Kink(at=0.0, chosen={2: 1.0}, source="test"),))
    result = truth(declared, ZERO, ORDERS)
    assert result[1].rounded[1:].tolist() == [1, 1, 1]
    assert np.isnan(result[1].left).all()
    assert result[2].rounded[1:].tolist() == [1, 1, 0]
    assert (result[2].left[1], result[2].right[1]) == (1, 0)


def test_elu_needs_no_kink_but_for_order_2() -> None:
    assert truth(record(elu), ZERO, [0, 1])[1].judged.all()
    with pytest.raises(SpecError, match=r"derivative 2 .* Kink\(at=(-)?0\.0, chosen=\{2: "):
        truth(record(elu), ZERO, ORDERS)


def test_a_tie_without_a_kink_needs_no_declaration() -> None:
    smooth = record(lambda m, x: m.where(x > 1, x * x, x * x))
    result = truth(smooth, np.array([1.0]), ORDERS)
    assert [result[k].rounded.tolist() for k in ORDERS] == [[1], [2], [2]]
    assert np.isnan(result[1].left).all()


@pytest.mark.parametrize(("strict", "at_0"), [(True, 0), (False, 1)], ids=["greater", "greater or equal"])
def test_at_a_jump_the_value_is_that_of_the_definition(strict: bool, at_0: float) -> None:
    step = record(lambda m, x: m.where(x > 0 if strict else x >= 0, 1, 0))
    assert truth(step, ZERO, [0])[0].rounded.tolist() == [0, at_0, at_0, 1]


@pytest.mark.parametrize(("at", "chosen"), [(1.0, {1: 5.0}), (1.0, {2: 5.0})], ids=["slope", "second"])
def test_a_kink_declared_where_the_tie_is_smooth_is_an_error(at: float, chosen: dict[int, float]) -> None:
    smooth = record(lambda m, x: m.where(x > 1, x * x, x * x), kinks=(Kink(at=at, chosen=chosen, source="test"),))
    with pytest.raises(SpecError, match="Kink"):
        truth(smooth, np.array([at]), ORDERS)


# Limits


def test_the_limits_stand_at_the_infinities() -> None:
    x = np.array([-inf, inf], np.float32)
    result = truth(crosscheck.activations["relu"], x, ORDERS)
    assert [result[k].rounded.tolist() for k in ORDERS] == [[0, inf], [0, 1], [0, 0]]
    assert all(result[k].judged.all() for k in ORDERS)
    third = record(lambda m, x: x / (1 + m.abs(x)) / 3, Limits((-1 / 3, 0, 0), (1 / 3, 0, 0)))
    with pytest.raises(SpecError, match="limits"):  # a float is not a third
        truth(third, x, [0])


def test_infinite_limits() -> None:
    cube = record(lambda m, x: x**3, Limits((-inf, inf, -inf), (inf, inf, inf)))
    result = truth(cube, np.array([-inf, inf]), ORDERS)
    assert [result[k].rounded.tolist() for k in ORDERS] == [[-inf, inf], [inf, inf], [-inf, inf]]
    assert [result[k].error(np.array([-inf, inf])).tolist() for k in (0, 2)] == [[0, 0], [0, 0]]


WRONG = {
    "another number": (Limits((0.5, 0, 0), (1, 0, 0)), "derivative 0 at -infinity is declared 0.5"),
    "the other side": (Limits((0, 0, 0), (0, 0, 0)), "derivative 0 at \\+infinity is declared 0"),
    "infinite": (Limits((0, 0, 0), (inf, 0, 0)), "derivative 0 at \\+infinity is declared inf"),
    "a slope": (Limits((0, 0, 0), (1, 1, 0)), "derivative 1 at \\+infinity is declared 1"),
    "a second": (Limits((0, 0, -1), (1, 0, 0)), "derivative 2 at -infinity is declared -1"),
}


@pytest.mark.parametrize(("limits", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_limit_is_an_error(limits: Limits, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        truth(record(crosscheck.activations["sigmoid"].definition, limits), np.array([0.0]), ORDERS)


def test_an_infinite_limit_of_the_wrong_sign_is_an_error() -> None:
    with pytest.raises(SpecError, match="at -infinity is declared inf"):
        truth(record(lambda m, x: x**3, Limits((inf, inf, -inf), (inf, inf, inf))), np.array([0.0]), [0])


LOG = Limits((-inf, inf, -inf), (nan, 0, 0))


@each_format
def test_limits_stand_at_the_ends_of_a_domain_and_nothing_is_beyond_them(fmt: Format) -> None:
    log = record(lambda m, x: m.log(x), LOG, domain=(0.0, inf))
    result = truth(log, np.array([-inf, -1, -fmt.smallest_subnormal, -0.0, 0.0, 1, inf, nan], fmt.dtype), ORDERS)
    expected = [[nan, nan, nan, -inf, -inf, 0, nan, nan], [nan, nan, nan, inf, inf, 1, 0, nan]]
    for k, values in enumerate(expected):
        np.testing.assert_array_equal(widen(result[k].rounded), values)
        assert result[k].judged.tolist() == [k == 0 or not np.isnan(value) for value in values]
        assert not result[k].undecided.any()


@each_format
def test_just_inside_of_a_domain_s_end_the_definition_holds(fmt: Format) -> None:
    x = np.array([fmt.smallest_subnormal], fmt.dtype)
    result = truth(record(lambda m, x: m.log(x), LOG, domain=(0.0, inf)), x, [0])[0]
    assert widen(result.rounded)[0] == pytest.approx(np.log(fmt.smallest_subnormal), rel=2.0**-7)


WRONG_AT_AN_END = {
    "another number": (Limits((0, inf, -inf), (nan, 0, 0)), "derivative 0 at 0 is declared 0, .* at 0 \\+ 2\\*\\*-1000"),
    "the other sign": (Limits((inf, inf, -inf), (nan, 0, 0)), "derivative 0 at 0 is declared inf"),
    "a slope": (Limits((-inf, -inf, -inf), (nan, 0, 0)), "derivative 1 at 0 is declared -inf"),
}


@pytest.mark.parametrize(("limits", "message"), WRONG_AT_AN_END.values(), ids=WRONG_AT_AN_END)
def test_a_wrong_limit_at_the_end_of_a_domain_is_an_error(limits: Limits, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        truth(record(lambda m, x: m.log(x), limits, domain=(0.0, inf)), np.array([1.0]), ORDERS)


def test_a_domain_may_end_above() -> None:
    root = record(lambda m, x: m.sqrt(2 - x), Limits((inf, 0, 0), (0, -inf, -inf)), domain=(-inf, 2.0))
    assert truth(root, np.array([-2.0, 2.0]), [0])[0].rounded.tolist() == [2.0, 0.0]
    assert np.isnan(truth(root, np.array([3.0]), [0])[0].rounded).all()


def test_without_limits_nan_is_right_at_the_infinities() -> None:
    result = truth(record(lambda m, x: x**3), np.array([-inf, inf]), ORDERS)
    for k in ORDERS:
        assert np.isnan(result[k].rounded).all()
        assert result[k].judged.all()


# What cannot be decided


def irrational_tie(m: Any, x: Any) -> Any:
    """Whether sqrt(2) * sqrt(2) > 2: enclosures never tell equal numbers apart."""
    return m.where(m.greater(m.sqrt(2) * m.sqrt(2), 2), x, m.exp(x))


def test_an_undecidable_definition_is_counted_and_not_guessed() -> None:
    def definition(m: Any, x: Any) -> Any:
        return irrational_tie(m, x) if abs(float(x[0])) < 1 else m.exp(x)

    result = truth(record(definition), np.array([0.5, 2.0, -0.25]), ORDERS)
    for k in ORDERS:
        assert result[k].undecided.tolist() == [True, False, True]
        assert result[k].judged.tolist() == [False, True, False]
    assert np.isnan(result[0].rounded[[0, 2]]).all()
    assert result[0].rounded[1] == pytest.approx(float(np.exp(2.0)), rel=1e-15)


def test_where_no_limits_are_declared_the_definition_need_not_be_decidable_far_out() -> None:
    result = truth(record(irrational_tie), np.array([0.5, -3.0]), [0])[0]
    assert result.undecided.all()
    assert not result.judged.any()


def test_outside_the_domain_nothing_is_decided() -> None:
    result = truth(record(lambda m, x: m.log(x)), np.array([-1.0, 1.0]), [0, 1])
    assert result[0].undecided.tolist() == [True, False]
    assert result[1].rounded[1] == 1


# flint's global settings


@pytest.fixture
def context() -> Any:
    before = flint.ctx.prec, flint.ctx.cap
    flint.ctx.prec, flint.ctx.cap = 77, 5
    yield (77, 5)
    flint.ctx.prec, flint.ctx.cap = before


def broken(m: Any, x: Any) -> Any:
    raise RuntimeError("planted")


@pytest.mark.parametrize(
    ("activation", "error"),
    [
        (CASES["exp"][0], None),
        (record(broken), RuntimeError),
        (record(lambda m, x: m.abs(x)), SpecError),
        (record(lambda m, x: x, Limits((0, 0, 0), (0, 0, 0))), SpecError),
    ],
    ids=["success", "broken definition", "undeclared kink", "wrong limit"],
)
def test_flints_settings_are_restored(context: tuple[int, int], activation: Activation, error: Any) -> None:
    if error is None:
        truth(activation, np.array([0.0, 1.0]), ORDERS)
    else:
        with pytest.raises(error):
            truth(activation, np.array([0.0, 1.0]), ORDERS)
    assert (flint.ctx.prec, flint.ctx.cap) == context
