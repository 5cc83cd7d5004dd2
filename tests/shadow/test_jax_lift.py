"""A lifted JAX program computes what the program computes in float64, and noise enters where rounding does."""

import dataclasses
import gc
import resource
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from shadowed import JaxLifted, Noise, UntraceableError, lift

import crosscheck

UNIT = 2.0**-24
RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 6)).astype(np.float32)
Y = RNG.normal(size=(4, 6)).astype(np.float32)
W = RNG.normal(size=(6, 6)).astype(np.float32)
IMAGE = RNG.normal(size=(1, 2, 5, 5)).astype(np.float32)
KERNEL = RNG.normal(size=(3, 2, 3, 3)).astype(np.float32)
LABELS = np.array([0, 2, 0, 1], np.int32)

One = Callable[..., Any]


def gradient(function: One) -> One:
    return jax.grad(lambda x, *more: (function(x, *more) * jnp.cos(jnp.arange(1, 7, dtype=x.dtype))).sum())


def pull_back(function: One) -> One:
    def program(x: Any, v: Any) -> Any:
        return jax.vjp(function, x)[1](v)[0]

    return program


def layer_norm(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) * 1.1 + 0.3


def attention(x: Any, w: Any) -> Any:
    return jax.nn.softmax(x @ w @ x.T / np.sqrt(6)) @ x


@jax.custom_vjp
def doubled(x: Any) -> Any:
    return jnp.sin(x) * 0.7


doubled.defvjp(lambda x: (doubled(x), x), lambda x, g: (2.1 * g * jnp.cos(x),))


@jax.custom_jvp
def tripled(x: Any) -> Any:
    return jnp.exp(x) * 0.3


tripled.defjvp(lambda primals, tangents: (tripled(*primals), 3.3 * tangents[0] * primals[0]))


def newton(x: Any) -> Any:
    return lax.while_loop(lambda c: abs(c * c - 2) > 1e-3, lambda c: (c + 2 / c) * 0.5, abs(x) + 1)


def conv(x: Any, w: Any) -> Any:
    return lax.conv_general_dilated(x, w, (1, 1), "SAME")


def conv_along_one_axis(x: Any, w: Any) -> Any:
    return lax.conv_general_dilated(
        x, w, (2,), [(2, 1)], (1,), (2,), dimension_numbers=("NWC", "WIO", "NWC"), feature_group_count=2
    )


def pool(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def spd(x: Any) -> Any:
    return x @ x.T + jnp.eye(4, dtype=x.dtype)


def pieces(x: Any) -> Any:
    return lax.reduce(x, x.dtype.type(1), lambda a, b: a * b + 0.1, (0,))


PROGRAMS: dict[str, tuple[One, tuple[Any, ...]]] = {
    "elementwise": (lambda x, y: jnp.exp(x) * 0.1 + jnp.tanh(y) ** 3 / 1.7, (X, Y)),
    "logsumexp": (lambda x: jax.nn.logsumexp(x, -1), (X,)),
    "softmax": (jax.nn.softmax, (X,)),
    "layer norm": (layer_norm, (X,)),
    "layer norm, gradient": (gradient(layer_norm), (X,)),
    "attention, gradient": (gradient(attention), (X, W)),
    "scan": (lambda x: lax.scan(lambda c, a: (c * 0.9 + a, jnp.sin(c)), x[0], x)[1], (X,)),
    "scan, gradient": (gradient(lambda x: lax.scan(lambda c, a: (c * 0.9 + a, jnp.sin(c)), x[0], x)[1]), (X,)),
    "while": (lambda x: newton(x[0, 0]), (X,)),
    "while, vmap": (jax.vmap(jax.vmap(newton)), (X,)),
    "fori": (lambda x: lax.fori_loop(0, 5, lambda i, c: c * 0.3 + jnp.sin(c) * i, x), (X,)),
    "fori, any bounds": (lambda x, n: lax.fori_loop(0, n[0] + 3, lambda i, c: c * 0.3 + i, x), (X, LABELS)),
    "cond": (lambda x: lax.cond(x.sum() > 0, jnp.sin, lambda x: x * 0.1, x), (X,)),
    "switch, vmap": (jax.vmap(lambda i, x: lax.switch(i, [jnp.sin, jnp.cos, jnp.exp], x)), (LABELS, X)),
    "map": (lambda x: lax.map(lambda r: r / r.sum(), x), (X,)),
    "custom_vjp": (doubled, (X,)),
    "custom_vjp, gradient": (gradient(doubled), (X,)),
    "custom_jvp": (tripled, (X,)),
    "custom_jvp, gradient": (gradient(tripled), (X,)),
    "jit in jit": (jax.jit(lambda x: jax.jit(jnp.sin)(x) + jax.jit(layer_norm)(x)), (X,)),
    "checkpoint, gradient": (gradient(jax.checkpoint(lambda x: jnp.sin(jnp.sin(x)))), (X,)),
    "conv": (conv, (IMAGE, KERNEL)),
    "conv, gradient": (lambda x, w: jax.vjp(conv, x, w)[1](conv(x, w))[1], (IMAGE, KERNEL)),
    "conv along one axis": (conv_along_one_axis, (X[None, :, :4], KERNEL[0, :, :, :2].transpose(1, 0, 2))),
    "conv along one axis, gradient": (
        lambda x, w: jax.vjp(conv_along_one_axis, x, w)[1](conv_along_one_axis(x, w))[1],
        (X[None, :, :4], KERNEL[0, :, :, :2].transpose(1, 0, 2)),
    ),
    "max pool, gradient": (lambda x: jax.vjp(pool, x)[1](pool(x))[0], (IMAGE,)),
    "one minus square": (gradient(lambda x: jnp.tanh(jnp.tanh(x))), (X,)),  # a primitive of its own from JAX 0.12 on
    "log2": (lambda x: jnp.log2(abs(x) + 0.1), (X,)),  # so too
    "einsum": (lambda x, w: jnp.einsum("ij,jk,lk->il", x, w, x), (X, W)),
    "cumsum": (lambda x: jnp.cumsum(x, 1) + lax.cumlogsumexp(x, 0) + jnp.cumprod(x, 0), (X,)),
    "gather": (lambda x, i: x[i] + jnp.take_along_axis(x, i[:, None], 1), (X, LABELS)),
    "gather, gradient": (gradient(lambda x, i: x[i] * x), (X, LABELS)),
    "sort": (lambda x: jnp.sort(x)[:, ::-1] + jax.lax.top_k(x, 6)[0], (X,)),
    "segment_sum": (lambda x, i: jax.ops.segment_sum(x, i, 3), (X, LABELS)),
    "scatter": (lambda x, i: x.at[i].max(0.1 * x).at[i[:2]].set(0.3).at[i[:2]].multiply(0.7), (X, LABELS)),
    "reduce": (pieces, (X,)),
    "solve": (lambda x: jnp.linalg.solve(spd(x), x), (X,)),
    "solve, gradient": (gradient(lambda x: jnp.linalg.solve(spd(x), x)), (X,)),
    "cholesky": (lambda x: jnp.linalg.cholesky(spd(x)), (X,)),
    "fft": (lambda x: abs(jnp.fft.fft(x)), (X,)),
    "gelu": (jax.nn.gelu, (X,)),
    "gelu, pulled back": (pull_back(jax.nn.gelu), (X, Y)),
    "selu": (jax.nn.selu, (X,)),
    "silu, second": (gradient(gradient(jax.nn.silu)), (X,)),
    "softplus, second": (gradient(gradient(jax.nn.softplus)), (X,)),
    "mish": (jax.nn.mish, (X,)),
    "special functions": (lambda x: jax.scipy.special.digamma(abs(x)) + lax.lgamma(x) + lax.erf_inv(jnp.tanh(x)), (X,)),
    "constants": (lambda x: x * Y + jnp.array([0.1] * 6) + jnp.linspace(0, 1, 6, dtype=x.dtype), (X,)),
    "argmax": (lambda x: x.argmax(-1), (X,)),
}
if hasattr(lax, "polynomial"):  # from JAX 0.12 on
    PROGRAMS["polynomial"] = lambda x: lax.polynomial(x, [0.1, 1.3, x[:1] * 0.7, 0.9]), (X,)
    PROGRAMS["polynomial, gradient"] = gradient(lambda x: lax.polynomial(x, [0.1, 1.3, 0.2, 0.9])), (X,)


def flat(function: One) -> Callable[..., Sequence[Any]]:
    return lambda *arguments: jax.tree.leaves(function(*arguments))


def wide(arguments: Sequence[Any]) -> list[Any]:
    return [a.astype(np.float64) if jnp.issubdtype(a.dtype, np.floating) else a for a in arguments]


def test_a_convolution_along_one_axis_runs_along_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, XLA's for a CPU along one axis takes a hundred times as long."""
    function, arguments = PROGRAMS["conv along one axis"]
    program, run = lifted(function, *arguments), []
    primitive = lax.conv_general_dilated_p
    bind = primitive.bind
    monkeypatch.setattr(primitive, "bind", lambda *values, **params: run.append(params) or bind(*values, **params))
    program.run(wide(arguments))
    (convolution,) = run
    assert len(convolution["window_strides"]) == 2


def lifted(function: One, *arguments: Any) -> JaxLifted:
    return lift(flat(function), arguments, str(arguments[0].dtype))


@pytest.mark.parametrize("name", PROGRAMS)
def test_clean_is_the_program_in_float64(name: str) -> None:
    function, arguments = PROGRAMS[name]
    dtype = next(str(a.dtype) for a in arguments if a.dtype != np.int32)
    program = lift(flat(function), arguments, dtype)
    results = program.run(wide(arguments))
    with jax.enable_x64(True):
        expected = [np.asarray(e) for e in flat(function)(*map(jnp.asarray, wide(arguments)))]
    for result, exact in zip(results, expected, strict=True):
        assert result.dtype in {exact.dtype, np.dtype(np.int32)}
        np.testing.assert_allclose(result, exact, rtol=1e-12, atol=1e-13)
    assert not program.met.narrow
    for result, same in zip(results, program.run(wide(arguments), Noise(5, 0.0)), strict=True):
        np.testing.assert_array_equal(result, same)
    noisy = program.run(wide(arguments), Noise(5, 1e-9))
    for result, near in zip(results, noisy, strict=True):
        np.testing.assert_allclose(near, result, rtol=1e-5, atol=1e-6)


def test_an_integer_result_keeps_its_dtype() -> None:
    (result,) = lifted(lambda x: x.argmax(-1), X).run(wide([X]))
    assert result.dtype == np.int32


def test_a_hidden_cast_is_undone_and_named() -> None:
    program = lifted(lambda x: x.astype(jnp.bfloat16).astype(jnp.float32) * 0.1, X)
    np.testing.assert_array_equal(program.run(wide([X]))[0], X.astype(np.float64) * 0.1)
    assert program.met.narrow == {"bfloat16"}
    program = lifted(lambda x: lax.reduce_precision(x, 8, 7), X)
    np.testing.assert_array_equal(program.run(wide([X]))[0], X)
    assert program.met.narrow == {"bfloat16"}


def test_bfloat16_inputs() -> None:
    x = X.astype(jnp.bfloat16)
    program = lifted(lambda x: jax.nn.softmax(x.astype(jnp.float32) * 0.1).astype(x.dtype) * 0.3, x)
    with jax.enable_x64(True):
        expected = jax.nn.softmax(jnp.asarray(x, np.float64) * 0.1) * 0.3
    np.testing.assert_allclose(program.run(wide([x]))[0], expected, rtol=1e-14)
    assert not program.met.narrow


def test_float32_inside_float64_is_narrow() -> None:
    program = lift(lambda x: [jnp.sin(x.astype(np.float32)).astype(x.dtype)], wide([X]), "float64")
    np.testing.assert_allclose(program.run(wide([X]))[0], np.sin(wide([X])[0]), rtol=1e-14)
    assert program.met.narrow == {"float32"}


def test_a_constant_is_what_was_written_even_where_float64_cannot_be_traced() -> None:
    def program(x: Any) -> Any:
        assert x.dtype == np.float32
        return x * 0.1 + 2.0**-23

    np.testing.assert_allclose(lifted(program, X).run(wide([X]))[0], X.astype(np.float64) * 0.1 + 2.0**-23, rtol=1e-15)


def test_a_failure_to_trace_is_told_with_what_was_raised() -> None:
    with pytest.raises(UntraceableError) as raised:
        lifted(lambda x: x if x.sum() > 0 else -x, X)
    assert isinstance(raised.value.__cause__, jax.errors.TracerBoolConversionError)


def test_random_numbers_are_those_of_the_program() -> None:
    key = jax.random.key_data(jax.random.key(3))
    program = lift(lambda x, key: [jax.random.uniform(key, x.shape), jax.random.normal(key, x.shape)], [X, key], "float32")
    uniform, normal = program.run([X, np.asarray(key)])
    np.testing.assert_array_equal(uniform, jax.random.uniform(key, X.shape))
    np.testing.assert_allclose(normal, jax.random.normal(key, X.shape), rtol=1e-5)


def test_bits_and_neighbours_are_those_of_the_narrow_dtype() -> None:
    program = lifted(lambda x: [lax.bitcast_convert_type(x, np.int32), jnp.nextafter(x, x + 1)], X)
    bits, following = program.run(wide([X]))
    np.testing.assert_array_equal(bits, X.view(np.int32))
    np.testing.assert_array_equal(following, np.nextafter(X, X + 1))
    assert program.met.opaque == {"bitcast_convert_type", "nextafter"}


def test_a_primitive_of_someone_elses_is_opened() -> None:
    def value(jax: Any, x: Any, axis: int) -> Any:
        return jax.nn.softmax(x, axis)

    def first(jax: Any, x: Any, v: Any, axis: int) -> Any:
        s = jax.nn.softmax(x, axis)
        return s * (v - (s * v).sum(axis, keepdims=True)) * 0.1

    rules = {"jax_value": value, "jax_gradient": first, "jax_second": lambda jax, x, v, w, axis: x, "jax_along": None}
    softmax = dataclasses.replace(crosscheck.activations["softmax"], **rules).jax
    program = lifted(lambda x: jax.vjp(lambda x: softmax(x, axis=-1), x)[1](x)[0], X)
    x = wide([X])[0]
    s = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    np.testing.assert_allclose(program.run([x])[0], s * (x - (s * x).sum(-1, keepdims=True)) * 0.1, rtol=1e-12)
    assert not program.met.opaque


def noise_in(function: One, *arguments: Any, unit: float = UNIT) -> Any:
    """Relative change under noise, in units, over 200 seeds."""
    program = lifted(function, *arguments)
    (clean,) = program.run(wide(arguments))
    draws = np.array([program.run(wide(arguments), Noise(seed, unit))[0] for seed in range(200)])
    return (draws - clean) / abs(clean) / unit


def test_one_product_has_noise_of_the_unit() -> None:
    change = noise_in(lambda x, y: x * y, X, Y)
    assert 0.99 < abs(change).max() <= 1.0001
    assert abs(change.std() - 1 / np.sqrt(3)) < 0.02
    assert abs(change.mean()) < 0.05
    assert abs(np.corrcoef(change.reshape(200, -1).T) - np.eye(24)).max() < 0.4


def test_equal_values_have_noise_of_their_own() -> None:
    (result,) = lifted(lambda x: x * 0.3, np.ones(100, np.float32)).run([np.ones(100)], Noise(1, UNIT))
    assert len(set(result)) == 100


@pytest.mark.parametrize(
    "function",
    [
        lambda x: -abs(x),
        lambda x: x * 2 / 4,
        lambda x: jnp.sort(x)[::-1].T.reshape(-1),
        lambda x: jnp.where(x > 0, jnp.maximum(x, 0.1), jnp.floor(x)),
        lambda x: jnp.concatenate([x, x[1:]]).max(0),
        lambda x: jnp.clip(jnp.round(x), -1, 1),
    ],
)
def test_exact_operations_have_no_noise(function: One) -> None:
    program = lifted(function, X)
    np.testing.assert_array_equal(program.run(wide([X]))[0], program.run(wide([X]), Noise(1, UNIT))[0])


def test_a_seed_is_one_noise() -> None:
    program = lifted(layer_norm, X)
    first, again, other = (program.run(wide([X]), Noise(seed, UNIT))[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


def test_cancellation_amplifies() -> None:
    x = np.float32([0.01, 0.001])
    assert 300 < abs(noise_in(lambda x: 1 - jnp.cos(x), x[:1])).max() < 40_000
    assert abs(noise_in(lambda x: 2 * jnp.sin(x / 2) ** 2, x[:1])).max() < 10


def test_sums_have_noise_in_their_operands_too() -> None:
    x = np.ones(6400, np.float32)
    # 20 times as wide in each of 6400 operands is 20/80 in the sum, and the sum itself has 20.
    assert 15 < abs(noise_in(jnp.sum, x)).max() <= 25
    alternating = x * (-1.0) ** np.arange(6400, dtype=np.float32) + np.float32(2.0**-10)
    assert abs(noise_in(jnp.sum, alternating)).max() > 50


def test_special_values_stay() -> None:
    x = np.float32([np.nan, np.inf, -np.inf, 0.0, -0.0])
    (result,) = lifted(lambda x: x * 1.5, x).run(wide([x]), Noise(1, UNIT))
    np.testing.assert_array_equal(result, x)
    assert np.signbit(result[-1])


def test_a_loop_that_waits_for_no_change_ends_under_noise() -> None:
    def root(x: Any) -> Any:
        return lax.while_loop(lambda s: s[0] != s[1], lambda s: (s[1], (s[1] + x / s[1]) * 0.5), (x, x + 1))[1]

    (result,) = lifted(root, np.float32(2)).run([np.float64(2)], Noise(3, UNIT))
    assert abs(result - np.sqrt(2)) < 1e-6


def test_subnormal_results_are_flushed() -> None:
    x = np.float32([1e-30, 1e-10])
    program = lifted(lambda x: (x * 1e-10) * 1e10, x)
    np.testing.assert_allclose(program.run(wide([x]))[0], x, rtol=1e-12)
    np.testing.assert_allclose(program.run_flushed(wide([x]))[0], [0, x[1]], rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "opaque"),
    [
        (lambda x: jnp.linalg.cholesky(spd(x)), {"cholesky"}),
        (lambda x: jnp.linalg.eigh(spd(x))[0], {"eigh"}),
        (lambda x: jnp.fft.fft(x).real, {"fft"}),
        (lambda x: jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x), {"pure_callback"}),
        (lambda x: jax.scipy.special.erfinv(jnp.sort(x) / 9), set()),
    ],
)
def test_what_noise_cannot_enter_is_named(function: One, opaque: set[str]) -> None:
    program = lifted(function, X)
    clean, noisy = program.run(wide([X]))[0], program.run(wide([X]), Noise(1, UNIT))[0]
    assert program.met.opaque == opaque
    assert clean.dtype == np.float64
    assert (clean != noisy).any()


def test_the_arguments_stay_and_are_not_shared() -> None:
    x = wide([X])[0]
    (result,) = lifted(lambda x: x, X).run([x])
    np.testing.assert_array_equal(x, X)
    assert not np.shares_memory(result, x)


@pytest.mark.full
def test_memory_is_given_back() -> None:
    def once() -> None:
        program = lifted(lambda x: lax.scan(lambda c, a: (c * 0.9 + a, jnp.sin(c)), x[0], x)[1], X)
        program.run(wide([X]), Noise(1, UNIT))

    def lives() -> int:
        gc.collect()
        return sum(type(thing) is JaxLifted for thing in gc.get_objects())  # isinstance asks proxies for their class

    before = lives()
    once()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        once()
    assert lives() == before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 60_000  # kilobytes
