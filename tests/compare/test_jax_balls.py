"""A JAX program in ball arithmetic gives what mpmath gives, rounded once, or says that it does not know."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from jax import lax

import crosscheck
from crosscheck._compare.truth.jax_balls import enclose

One = Callable[..., Any]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6))
MP = mpmath.MPContext()
MP.dps = 120


def enclosed(function: One, *arguments: Any) -> Any:
    """The one result of a program."""
    results = enclose(lambda *arrays: jax.tree.leaves(function(*arrays)), arguments)
    assert results is not None
    (result,) = results
    return result


def rounded(function: One, *arguments: Any) -> Any:
    """An mpmath function, element by element."""
    exact = np.frompyfunc(lambda *numbers: float(function(*map(MP.mpf, map(float, numbers)))), len(arguments), 1)
    return np.asarray(exact(*arguments), np.float64)


def near(result: Any, expected: Any) -> None:
    """Within an ULP; JAX's derivatives have constants, such as pi, that are rounded themselves."""
    np.testing.assert_array_less(abs(result - expected), np.spacing(abs(expected)) * 1.01)


INSIDE, POSITIVE = RNG.uniform(-0.99, 0.99, 20), RNG.uniform(1.01, 9, 20)
ALL = np.concatenate([INSIDE, RNG.normal(0, 10, 20), [1e-30, -1e-9, 1e-300]])

FUNCTIONS: dict[str, tuple[One, One, Any]] = {
    "acos": (jnp.arccos, MP.acos, INSIDE),
    "acosh": (jnp.arccosh, MP.acosh, POSITIVE),
    "asin": (jnp.arcsin, MP.asin, INSIDE),
    "asinh": (lax.asinh, MP.asinh, ALL),
    "atan": (jnp.arctan, MP.atan, ALL),
    "atanh": (lax.atanh, MP.atanh, INSIDE),
    "cbrt": (jnp.cbrt, lambda x: MP.sign(x) * MP.cbrt(abs(x)), POSITIVE * np.tile([1, -1], 10)),
    "cos": (jnp.cos, MP.cos, ALL),
    "cosh": (jnp.cosh, MP.cosh, ALL),
    "digamma": (lax.digamma, MP.digamma, POSITIVE),
    "erf": (lax.erf, MP.erf, INSIDE),
    "erfc": (lax.erfc, MP.erfc, POSITIVE),
    "erf_inv": (lax.erf_inv, MP.erfinv, INSIDE),
    "exp": (jnp.exp, MP.exp, ALL),
    "exp2": (lax.exp2, lambda x: MP.mpf(2) ** x, ALL),
    "expm1": (jnp.expm1, MP.expm1, ALL),
    "lgamma": (lax.lgamma, lambda x: MP.log(abs(MP.gamma(x))), np.concatenate([POSITIVE, -POSITIVE])),
    "log": (jnp.log, MP.log, POSITIVE),
    "log1p": (jnp.log1p, lambda x: MP.log(1 + x), INSIDE),
    "logistic": (jax.nn.sigmoid, lambda x: 1 / (1 + MP.exp(-x)), ALL),
    "pow": (lambda x: x**1.5, lambda x: x ** MP.mpf(1.5), POSITIVE),
    "power of an integer": (lambda x: x**-3, lambda x: x**-3, ALL[:-1]),
    "rsqrt": (lax.rsqrt, lambda x: 1 / MP.sqrt(x), POSITIVE),
    "sin": (jnp.sin, MP.sin, np.append(ALL, 1e22)),
    "sinh": (jnp.sinh, MP.sinh, ALL),
    "sqrt": (jnp.sqrt, MP.sqrt, POSITIVE),
    "tan": (jnp.tan, MP.tan, ALL),
    "tanh": (jnp.tanh, MP.tanh, ALL),
    "log2": (jnp.log2, lambda x: MP.log(x) / MP.log(2), POSITIVE),
    "softplus": (jax.nn.softplus, lambda x: MP.log1p(MP.exp(x)), np.append(ALL, [-50, -500])),
    "silu": (jax.nn.silu, lambda x: x / (1 + MP.exp(-x)), ALL),
    "gelu": (partial(jax.nn.gelu, approximate=False), lambda x: x * MP.ncdf(x), INSIDE),
}
if hasattr(lax, "polynomial"):  # from JAX 0.12 on
    FUNCTIONS["polynomial"] = (lambda x: lax.polynomial(x, [1, 0.1, 3]), lambda x: 1 + x / 10 + 3 * x**2, ALL)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives(name: str) -> None:
    function, exact, x = FUNCTIONS[name]

    def derivatives(x: Any) -> list[Any]:
        first = jax.grad(lambda x: function(x).sum())
        return [function(x), first(x), jax.grad(lambda x: first(x).sum())(x)]

    enclosures = enclose(derivatives, [x])
    assert enclosures is not None
    near(enclosures[0], rounded(exact, x))
    tame = abs(x) > 0.01  # mpmath takes differences
    for order in (1, 2):
        difference = rounded(lambda x, order=order: MP.diff(exact, x, order), x[tame])
        np.testing.assert_allclose(enclosures[order][tame], difference, rtol=1e-14, atol=1e-300)
        assert np.isfinite(enclosures[order]).all() or x.min() < 1e-100


def test_functions_of_two() -> None:
    x, y = POSITIVE, INSIDE
    near(enclosed(jnp.arctan2, y, -x), rounded(MP.atan2, y, -x))
    near(enclosed(jnp.power, x, y), rounded(MP.power, x, y))
    near(enclosed(lax.igamma, x, x + 1), rounded(lambda a, b: MP.gammainc(a, 0, b, regularized=True), x, x + 1))
    near(enclosed(lax.igammac, x, x + 1), rounded(lambda a, b: MP.gammainc(a, b, regularized=True), x, x + 1))
    near(enclosed(lax.igamma, x * 20, x), rounded(lambda a, b: MP.gammainc(a, 0, b, regularized=True), x * 20, x))
    near(enclosed(lax.zeta, x, x), rounded(MP.zeta, x, x))
    near(enclosed(lambda x: lax.polygamma(2.0 + 0 * x, x), x), rounded(lambda x: MP.polygamma(2, x), x))
    np.testing.assert_array_equal(enclosed(lax.rem, 7 * y, x), np.fmod(7 * y, x))


def mean(row: Any) -> Any:
    return MP.fsum(row) / len(row)


def variance(row: Any) -> Any:
    return mean([(a - mean(row)) ** 2 for a in row])


ROWS: dict[str, tuple[One, One]] = {
    "logsumexp": (lambda x: jax.nn.logsumexp(x, -1), lambda row: [MP.log(MP.fsum(map(MP.exp, row)))]),
    "softmax": (jax.nn.softmax, lambda row: [MP.exp(a) / MP.fsum(map(MP.exp, row)) for a in row]),
    "log softmax": (jax.nn.log_softmax, lambda row: [a - MP.log(MP.fsum(map(MP.exp, row))) for a in row]),
    "layer norm": (
        lambda x: (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5),
        lambda row: [(a - mean(row)) / MP.sqrt(variance(row) + MP.mpf(1e-5)) for a in row],
    ),
    "variance": (lambda x: x.var(-1), lambda row: [variance(row)]),
    "variance by the mean square": (lambda x: (x**2).mean(-1) - x.mean(-1) ** 2, lambda row: [variance(row)]),
    "cumsum": (lambda x: jnp.cumsum(x, -1), lambda row: [MP.fsum(row[: i + 1]) for i in range(len(row))]),
    "cumprod": (lambda x: jnp.cumprod(x, -1), lambda row: [MP.fprod(row[: i + 1]) for i in range(len(row))]),
    "cumlogsumexp": (
        lambda x: lax.cumlogsumexp(x, 1, reverse=True),
        lambda row: [MP.log(MP.fsum(map(MP.exp, row[i:]))) for i in range(len(row))],
    ),
    "product": (lambda x: x.prod(-1), lambda row: [MP.fprod(row)]),
    "matrices": (lambda x: jnp.einsum("ij,kj->ik", x, x[:1] * 3), lambda row: [MP.fdot(row, [3 * a for a in x_row()])]),
    "scan": (
        lambda x: lax.scan(lambda c, a: (c * 0.1 + a, c * 0.1), jnp.zeros(4), x.T)[0][:, None],
        lambda row: [MP.fsum(a * MP.mpf(0.1) ** (5 - i) for i, a in enumerate(row))],
    ),
}


def x_row() -> list[Any]:
    return [MP.mpf(float(a)) for a in X[0] + 100]


@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str) -> None:
    function, exact = ROWS[name]
    x = X + 100  # cancels
    expected = [[float(e) for e in exact([MP.mpf(float(a)) for a in row])] for row in x]
    result = enclosed(function, x)
    np.testing.assert_array_equal(result.reshape(len(x), -1), expected)


def test_both_formulas_of_the_variance_are_one_function() -> None:
    def two_passes(x: Any) -> Any:
        return ((x - x.mean()) ** 2).mean()

    def one_pass(x: Any) -> Any:
        return (x * x).mean() - x.mean() ** 2

    x = X + 1e6
    for function in (lambda f: f, jax.grad):
        np.testing.assert_array_equal(enclosed(function(two_passes), x), enclosed(function(one_pass), x))
    assert enclosed(two_passes, x) != enclosed(lambda x: x.var(ddof=1), x)


def test_digits_that_float64_loses_are_there() -> None:
    assert enclosed(lambda x: jnp.log(1 + jnp.exp(x)), np.float64(-50)) == rounded(lambda x: MP.log1p(MP.exp(x)), -50.0)
    assert enclosed(lambda x: 1 - jnp.cos(x), np.float64(1e-9)) == 5e-19
    assert enclosed(lambda x: jnp.log(1 + jnp.exp(x)), np.float64(-700)) == np.exp(-700.0)
    assert enclosed(lambda x: (x + 1e300) - 1e300, np.float64(0.1)) == 0.1


def test_a_zero_and_an_overflow_are_numbers() -> None:
    x = np.array([0.25, 2.0])
    large = float(MP.exp(250))
    np.testing.assert_array_equal(enclosed(lambda x: jnp.sin(x) ** 2 + jnp.cos(x) ** 2 - 1, x), [0, 0])
    np.testing.assert_array_equal(enclosed(lambda x: jnp.exp(x * 1000), x), [large, np.inf])
    np.testing.assert_array_equal(enclosed(lambda x: jnp.exp(x * 1000) * jnp.exp(-x * 1000), x), [1, 1])


@jax.custom_jvp
def tripled(x: Any) -> Any:
    return jnp.exp(x) * 0.25


tripled.defjvp(lambda primals, tangents: (tripled(*primals), 3.5 * tangents[0] * primals[0]))

I = np.array([2, 0, -1, 2])  # noqa: E741

EXACT: dict[str, tuple[One, tuple[Any, ...], Any]] = {
    "where": (lambda x: jnp.where(x > 0, x, 0), (X,), np.maximum(X, 0)),
    "relu, gradient": (jax.grad(lambda x: jax.nn.relu(x).sum()), (np.array([-1.0, 0, 2]),), [0, 0, 1]),
    "max, gradient": (jax.grad(lambda x: x.max(-1).sum()), (X,), X.max(-1, keepdims=True) <= X),
    "max of inexact numbers, gradient": (
        lambda x: jax.grad(lambda y: y.max(-1).sum())(jnp.exp(x)),
        (X,),
        X.max(-1, keepdims=True) <= X,
    ),
    "clip": (lambda x: jnp.clip(x, -0.5, 0.5), (X,), np.clip(X, -0.5, 0.5)),
    "cond": (lambda x: lax.cond(x.sum() > 0, lambda x: x * 2, jnp.exp, x), (abs(X),), 2 * abs(X)),
    "while": (lambda x: lax.while_loop(lambda c: c < 100, lambda c: c * 2, x), (np.float64(3),), 192),
    "while, vmap": (
        jax.vmap(lambda x: lax.while_loop(lambda c: c < 9, lambda c: c * 2, x)),
        (np.array([3.0, 5]),),
        [12, 10],
    ),
    "while, vmap of rows and keys": (
        jax.vmap(
            lambda x: lax.while_loop(
                lambda state: state[0].sum() < 9,
                lambda state: (state[0] * 2, jax.random.split(state[1])[0]),
                (x, jax.random.key(0)),
            )[0]
        ),
        (np.array([[3.0, 1], [8, 2], [1, 1]]),),
        [[12, 4], [8, 2], [8, 8]],
    ),
    "scan, gradient": (
        jax.grad(lambda x: lax.scan(lambda c, a: (c * a, c), 1.0, x)[0]),
        (np.array([2.0, 3, 5]),),
        [15, 10, 6],
    ),
    "fori": (lambda x: lax.fori_loop(0, 5, lambda i, c: c + i, x), (X,), None),
    "gather": (lambda x, i: x[i], (X, I), X[I]),
    "gather, gradient": (jax.grad(lambda x, i: x[i].sum()), (X, I), np.array([1.0, 0, 2, 1])[:, None] * np.ones(6)),
    "along an axis": (
        lambda x, i: jax.grad(lambda x: jnp.take_along_axis(x, i[:, None] % 6, 1).sum())(x),
        (X, I),
        np.eye(6)[I % 6],
    ),
    "scatter": (
        lambda x: x.at[1].set(0.5).at[jnp.array([2, 2])].multiply(2.0),
        (X,),
        X * [[1], [0], [4], [1]] + [[0], [0.5], [0], [0]],
    ),
    "outside": (lambda x: x.at[7].get(mode="fill", fill_value=3.0), (X,), np.full(6, 3.0)),
    "dynamic slice": (lambda x, i: lax.dynamic_slice(x, (i[0], i[1]), (2, 3)), (X, I), X[2:4, :3]),
    "dynamic update": (lambda x: lax.dynamic_update_slice(x, x[:1], (3, 0)), (X,), X[[0, 1, 2, 0]]),
    "pad": (lambda x: jnp.pad(x, 1)[::2], (X,), np.pad(X, 1)[::2]),
    "pieces": (lambda x: jnp.stack(jnp.split(x, 2))[::-1].swapaxes(0, 2), (X,), X.reshape(2, 2, 6)[::-1].swapaxes(0, 2)),
    "sort": (lambda x: jnp.sort(jnp.exp(x), 0)[0] * 0 + jnp.sort(x, 0), (X,), np.sort(X, 0)),
    "argsort": (lambda x: jnp.argsort(jnp.exp(x)), (X,), np.argsort(X)),
    "top_k": (lambda x: lax.top_k(x, 2)[1], (X,), np.argsort(-X)[:, :2]),
    "argmax": (lambda x: x.argmax(0), (X,), X.argmax(0)),
    "median": (lambda x: jnp.median(x, 1), (np.sort(X)[:, :5],), np.sort(X)[:, 2]),
    "round": (jnp.round, (np.array([0.5, 1.5, -0.5, -2.5, 2.4, 1e300]),), [0, 2, 0, -2, 2, 1e300]),
    "floor and ceil": (lambda x: jnp.floor(x) + jnp.ceil(x), (X,), np.floor(X) + np.ceil(X)),
    "integers": (lambda x: (x * 10).astype(int) // 2 + jnp.arange(6), (X,), (X * 10).astype(int) // 2 + np.arange(6)),
    "booleans": (lambda x: (x > 0).sum(0) * 0.5, (X,), (X > 0).sum(0) * 0.5),
    "a casual cast": (lambda x: x.astype(jnp.bfloat16).astype(x.dtype) * 1, (X,), X),
    "a narrow constant": (lambda x: x.astype(np.float32) * 0.1, (np.ones(2),), [0.1, 0.1]),
    "masked softmax": (
        lambda x: jax.nn.softmax(x, where=x > 0)[0] * 0 + jax.nn.softmax(jnp.where(jnp.isfinite(x), 1.0, -jnp.inf))[0],
        (X,),
        np.full(6, 1 / 6),
    ),
    "an infinite mask": (
        lambda x: jax.nn.softmax(jnp.where(jnp.arange(6) < 2, x * 0, -jnp.inf)),
        (X,),
        np.tile([0.5, 0.5, 0, 0, 0, 0], (4, 1)),
    ),
    "custom_jvp, gradient": (jax.grad(lambda x: tripled(x).sum()), (X,), 3.5 * X),
    "checkpoint": (jax.grad(jax.checkpoint(lambda x: (x * x).sum())), (X,), 2 * X),
    "jit in jit": (jax.jit(lambda x: jax.jit(lambda x: x * 2)(x) * 0.5), (X,), X),
    "random bits": (lambda x: x * jax.random.bernoulli(jax.random.key(0), 1.0, x.shape), (X,), X),
    "batches": (
        lambda x: jnp.einsum("bi,bij->bj", x, jnp.ones((4, 6, 2))),
        (np.round(X),),
        np.round(X).sum(1)[:, None] * [1, 1],
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_exactly(name: str) -> None:
    function, arguments, expected = EXACT[name]
    result = enclosed(function, *arguments)
    if expected is None:
        expected = rounded(lambda x: x + 10, *arguments)
    np.testing.assert_array_equal(result, expected)


def test_a_primitive_of_someone_elses_is_opened() -> None:
    def value(jax: Any, x: Any, axis: int) -> Any:
        return jax.nn.softmax(x, axis)

    def first(jax: Any, x: Any, v: Any, axis: int) -> Any:
        return x * v * 0.25

    rules = {"jax_value": value, "jax_gradient": first, "jax_second": lambda jax, x, v, w, axis: x, "jax_along": None}
    softmax = dataclasses.replace(crosscheck.activations["softmax"], **rules).jax
    result = enclosed(lambda x: jax.vjp(softmax, x)[1](x)[0], np.ones((2, 3)))
    np.testing.assert_array_equal(result, np.full((2, 3), 0.25))


def test_what_is_no_number_is_nan() -> None:
    x = np.array([0.0, -1, np.nan, np.inf, 4])
    nan = np.nan
    np.testing.assert_array_equal(enclosed(lambda x: 1 / x, x), [nan, -1, nan, nan, 0.25])
    np.testing.assert_array_equal(enclosed(jnp.sqrt, x), [0, nan, nan, nan, 2])
    np.testing.assert_array_equal(enclosed(lambda x: jnp.log(x) * 0, x), [nan, nan, nan, nan, 0])
    np.testing.assert_array_equal(enclosed(lambda x: jnp.where(x > 0, 1.0, 0.0), x), [0, 0, nan, nan, 1])
    np.testing.assert_array_equal(enclosed(lambda x: jnp.where(jnp.isnan(x), 1.0, x), x), [0, -1, nan, nan, 4])
    np.testing.assert_array_equal(enclosed(lambda x: jnp.sign(x) * 0, x), [0, 0, nan, nan, 0])
    np.testing.assert_array_equal(enclosed(lambda x: lax.zeta(2.5 + 0 * x, x - 0.5), x[:2]), [nan, nan])
    product = enclosed(lambda x: jnp.outer(x, jnp.ones(2)) @ jnp.ones((2, 2)), x)
    np.testing.assert_array_equal(np.isnan(product[:, 0]), [False, False, True, True, False])


def test_what_cannot_be_decided_is_unknown() -> None:
    def about_one(x: Any) -> Any:
        return jnp.sin(x) ** 2 + jnp.cos(x) ** 2

    x = np.array([0.3])
    assert np.isnan(enclosed(lambda x: jnp.where(about_one(x) > 1, 3.0, 5.0), x))
    assert enclosed(lambda x: jnp.where(about_one(x) > 1, 3.0, 3.0), x) == 3
    assert enclosed(lambda x: jnp.maximum(about_one(x), 1), x) == 1
    assert enclosed(lambda x: jnp.where((about_one(x) > 1) & (x > 1), 3.0, 5.0), x) == 5
    assert np.isnan(enclosed(lambda x: jnp.floor(about_one(x)), x))
    for function in (
        lambda x: about_one(x) > 1,
        lambda x: lax.cond(about_one(x)[0] > 1, jnp.sin, jnp.cos, x),
        lambda x: jnp.sort(jnp.concatenate([about_one(x), about_one(2 * x)])),
        lambda x: about_one(x).astype(int),
        lambda x: (about_one(x) > 1).astype(int),
    ):
        assert enclose(lambda x, function=function: [function(x)], [x]) is None


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.linalg.eigh(x @ x.T)[0],
        lambda x: jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x),
        lambda x: jnp.fft.fft(x).real,
        lambda x: lax.bitcast_convert_type(x, np.int64),
        lambda x: jnp.nextafter(x, x + 1),
        lambda x: lax.while_loop(lambda s: s > 0, lambda s: s * 0.5, x[0, 0] ** 2),
        lambda x: lax.fori_loop(0, 10**9, lambda _, s: s, x),
        lambda x: x * 1j,
    ],
)
def test_what_balls_have_not_is_none(function: One) -> None:
    assert enclose(lambda x: [function(x)], [X]) is None
    assert enclose(lambda x: [abs(x)], [X * 1j]) is None


@pytest.mark.parametrize("large", [1e5, 1e18, 1e300])
def test_nothing_takes_long_with_large_numbers(large: float) -> None:
    x, y = np.array([large, 2.5]), np.full(2, 1.25)

    def of_order(n: Any, x: Any) -> Any:
        return lax.polygamma(jnp.floor(n), x)

    for function in (lax.igamma, lax.igammac, lax.zeta, of_order, lax.pow, lax.rem, lax.atan2):
        for arguments in ((x, x), (x, y), (y + 1, x)):
            assert np.isfinite(enclosed(function, *arguments)[1])
    assert np.isfinite(enclosed(lambda x: lax.zeta(2.0 + 0 * x, -x - 0.25), x)[1])
    for function in (jnp.exp, lax.exp2, jnp.sin, lax.erfc, lax.lgamma, lax.digamma, lax.bessel_i1e):
        assert np.isfinite(enclosed(function, x)[1])
    assert enclosed(lambda x: jnp.round(lax.exp2(x)) - jnp.floor(lax.exp2(x)), x)[1] == 1
    assert enclose(lambda x: [lax.exp2(x).astype(int)], [x]) is None


def test_too_much_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def programs() -> Sequence[One]:
        return lambda x: [jnp.exp(jnp.sin(x))], lambda x: [x @ x.T @ x]

    assert all(enclose(program, [X]) is not None for program in programs())
    monkeypatch.setattr("crosscheck._compare.truth.jax_balls.BUDGET", 80)
    assert all(enclose(program, [X]) is None for program in programs())
    assert enclose(lambda x: [x], [X]) is not None
    # too much at a higher precision only
    monkeypatch.setattr("crosscheck._compare.truth.jax_balls.BUDGET", 110)
    result = enclosed(lambda x: jnp.log(1 + jnp.exp(x)), np.array([1.0, -700]))
    assert result[0] == rounded(lambda x: MP.log(1 + MP.exp(x)), 1.0)
    assert np.isnan(result[1])


def test_a_wrong_function_is_seen() -> None:
    x = RNG.normal(size=50)
    right = enclosed(jax.nn.silu, x)
    assert (enclosed(lambda x: x * jax.nn.sigmoid(x * (1 + 1e-12)), x) != right).mean() > 0.9
    assert (enclosed(lambda x: x / (1 + jnp.exp(-x)), x) == right).all()
    gelu = enclosed(partial(jax.nn.gelu, approximate=False), x)
    assert (abs(enclosed(jax.nn.gelu, x) - gelu) > 1e-9).any()


def test_arguments_and_settings_stay() -> None:
    import flint

    x, before = X.copy(), flint.ctx.prec
    enclose(lambda x: [jnp.exp(x).at[0].set(0)], [x])
    np.testing.assert_array_equal(x, X)
    assert flint.ctx.prec == before
    assert not jax.config.jax_enable_x64
