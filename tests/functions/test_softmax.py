"""Softmax as a model uses it, and what it refuses: a function of rows, in both frameworks, against closed forms."""

import itertools
from collections.abc import Callable, Iterator
from math import inf, nan
from typing import Any

import in_both
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from contract import DTYPES
from floats import FORMATS, Float64Array, unit_of, widen
from in_both import TORCH_WARNS_OF_ITSELF, array, each_framework, make, x64
from rational import rounded_all
from softmax_calls import AXES, SOFTMAX, drawn, function_of

every_dtype = pytest.mark.parametrize("dtype", DTYPES)

pytestmark = [pytest.mark.full, *TORCH_WARNS_OF_ITSELF]

EVERY_AXIS = [(shape, axis) for shape, axes in AXES.values() for axis in axes]
along_every_axis = pytest.mark.parametrize(("shape", "axis"), EVERY_AXIS, ids=[f"{s}-{a}" for s, a in EVERY_AXIS])


@pytest.fixture(autouse=True)
def _no_x64() -> Iterator[None]:
    """64 bits in JAX for a test that wants them: none may leave them on."""
    yield
    assert not jax.config.jax_enable_x64


# The closed forms


def softmax(x: Float64Array, axis: int = -1) -> Float64Array:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def jacobian(x: Float64Array) -> Float64Array:
    """``J[i, j]`` = s_i (delta_ij - s_j)."""
    s = softmax(x)
    return s[:, None] * (np.eye(x.size) - s)


def hessian(x: Float64Array) -> Float64Array:
    """``H[i, j, k]``, the derivative of ``J[i, j]`` by x_k: of the product of s_i and delta_ij - s_j."""
    s, j = softmax(x), jacobian(x)
    return np.einsum("ik,ij->ijk", j, np.eye(x.size) - s) - np.einsum("i,jk->ijk", s, j)


def third(x: Float64Array) -> Float64Array:
    """``T[i, j, k, l]``, the derivative of ``H[i, j, k]`` by x_l, by the product rule again."""
    s, j, h = softmax(x), jacobian(x), hessian(x)
    return (
        np.einsum("ikl,ij->ijkl", h, np.eye(x.size) - s)
        - np.einsum("ik,jl->ijkl", j, j)
        - np.einsum("il,jk->ijkl", j, j)
        - np.einsum("i,jkl->ijkl", s, h)
    )


def assert_close(got: Any, expected: Float64Array, what: str = "", *, tolerance: float = 1e-14) -> None:
    """To float64's rounding: of terms of magnitude 1 or less that are added."""
    np.testing.assert_allclose(array(got), expected, rtol=tolerance, atol=tolerance, err_msg=what)


def test_the_closed_forms_are_each_other_s_derivatives() -> None:
    """By central differences: what the other tests compare with is not wrong itself."""
    x, step = drawn((4,)), 1e-5
    for f, derivative in ((softmax, jacobian), (jacobian, hessian), (hessian, third)):
        differences = [(f(x + step * e) - f(x - step * e)) / (2 * step) for e in np.eye(4)]
        np.testing.assert_allclose(np.stack(differences, axis=-1), derivative(x), atol=1e-10)


# Values


@each_framework
@along_every_axis
def test_values_along_every_axis(framework: str, shape: tuple[int, ...], axis: int) -> None:
    with x64("float64"):
        x = drawn(shape)
        result = function_of(framework, axis)(make(framework, x))
        assert tuple(result.shape) == shape
        assert_close(result, softmax(x, axis))
        assert_close(result.sum(axis), np.ones(np.delete(shape, axis)))


@each_framework
def test_the_last_axis_is_the_default(framework: str) -> None:
    x = make(framework, drawn((2, 3, 4)), "float32")
    np.testing.assert_array_equal(array(getattr(SOFTMAX, framework)(x)), array(function_of(framework, -1)(x)))
    assert repr(getattr(SOFTMAX, framework)) == f"<softmax(x, axis=-1) for {framework}>"


@every_dtype
@each_framework
def test_every_dtype_is_kept_and_rounded_once(framework: str, dtype: str) -> None:
    """float32 and float64 within 2.5 ULP; of 16 bits the float32 result is rounded, beyond half by its error alone."""
    fmt = FORMATS[dtype]
    x = drawn((6, 7), seed=2).astype(fmt.dtype)
    with x64(dtype):
        tensor = make(framework, widen(x), dtype)
        result = function_of(framework)(tensor)
        assert result.dtype == tensor.dtype
    expected = softmax(widen(x).astype(np.longdouble))
    unit = unit_of(expected.astype(np.float64), fmt)
    assert (np.abs(array(result) - expected) / unit).max() <= (0.51 if fmt.bits == 16 else 2.5)


@each_framework
@pytest.mark.parametrize(("shape", "axis"), [((0, 3), -1), ((2, 0, 4), 2), ((3, 0), 0)], ids=str)
def test_no_rows_at_all_give_no_values(framework: str, shape: tuple[int, ...], axis: int) -> None:
    result = function_of(framework, axis)(make(framework, np.zeros(shape), "float32"))
    assert tuple(result.shape) == shape


@each_framework
def test_a_row_of_one_entry_is_1_with_derivative_0(framework: str) -> None:
    x = np.array([[-inf], [-1000.0], [0.0], [88.7], [inf]], np.float32)
    v = np.full_like(x, 3)
    for order, expected in ((0, 1.0), (1, 0.0), (2, 0.0)):
        result = in_both.derivative(framework, function_of(framework), x, order, v)
        assert result.tolist() == [[expected]] * 5


@each_framework
def test_large_entries_do_not_overflow(framework: str) -> None:
    top = FORMATS["float32"].largest
    rows = [[1000.0, 1000.0], [-1000.0, -1001.0], [top, -top], [top, top], [-top, -top]]
    expected = [[0.5, 0.5], [1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))], [1, 0], [0.5, 0.5], [0.5, 0.5]]
    np.testing.assert_allclose(array(function_of(framework)(make(framework, rows, "float32"))), expected, rtol=2e-7)


def test_both_frameworks_agree_where_entries_are_not_contiguous() -> None:
    x = drawn((6, 8), seed=3).astype(np.float32)
    tensor = torch.from_numpy(x)
    for view, same in ((tensor.T, x.T), (tensor[:, ::2], x[:, ::2]), (tensor[:1].expand(4, 8), np.tile(x[:1], (4, 1)))):
        leaf = view.detach().requires_grad_()
        value = SOFTMAX.torch(leaf)
        (gradient,) = torch.autograd.grad(value[..., 0].sum(), leaf)
        np.testing.assert_allclose(array(value), array(SOFTMAX.jax(jnp.asarray(same))), rtol=4e-7)
        expected = jax.grad(lambda x: SOFTMAX.jax(x)[..., 0].sum())(jnp.asarray(same))
        np.testing.assert_allclose(array(gradient), array(expected), rtol=1e-6, atol=1e-9)


# Infinities and NaN

LIMITS = {
    "an entry of minus infinity": ([-inf, 0.0, 0.0], [0, 0.5, 0.5]),
    "all but one": ([-inf, -inf, 700.0], [0, 0, 1]),
    "plus infinity": ([0.0, inf, 5.0], [0, 1, 0]),
    "both": ([-inf, 3.0, inf], [0, 0, 1]),
    "plus infinity twice": ([inf, inf, 0.0], [nan] * 3),
    "only plus infinity": ([inf, inf, inf], [nan] * 3),
    "only minus infinity": ([-inf, -inf, -inf], [nan] * 3),
    "NaN": ([0.0, nan, 1.0], [nan] * 3),
    "NaN beside infinity": ([inf, nan, 1.0], [nan] * 3),
    "NaN beside minus infinity": ([-inf, nan, -inf], [nan] * 3),
}


@pytest.mark.parametrize("case", LIMITS)
@every_dtype
@each_framework
def test_infinite_entries_have_the_limit_or_none(framework: str, dtype: str, case: str) -> None:
    row, expected = LIMITS[case]
    with x64(dtype):
        result = array(function_of(framework)(make(framework, [row], dtype)))
        jitted = array(jax.jit(function_of("jax"))(make("jax", [row], dtype)))
    np.testing.assert_array_equal(result, [expected])
    np.testing.assert_array_equal(jitted, [expected])


@pytest.mark.parametrize("case", [case for case, (_, expected) in LIMITS.items() if not np.isnan(expected).any()])
@every_dtype
@each_framework
def test_where_there_is_a_limit_the_derivatives_are_finite(framework: str, dtype: str, case: str) -> None:
    """0 where the limit is one-hot; where minus infinity masks an entry, those of the row without it."""
    row, s = LIMITS[case]
    fmt = FORMATS[dtype]
    x, v = np.array([row], fmt.dtype), np.array([[0.25, -1.5, 2.0]], fmt.dtype)
    d = widen(v) - (s * widen(v)).sum()
    for order, closed in ((1, s * d), (2, s * (d * d - (s * d * d).sum()))):
        result = in_both.derivative(framework, function_of(framework), x, order, v)
        assert widen(result).tolist() == widen(rounded_all(closed, fmt)).tolist()


@each_framework
def test_an_entry_does_not_spoil_other_rows(framework: str) -> None:
    x = np.array([[nan, 0.0], [0.0, 0.0], [inf, inf], [-inf, -inf], [0.0, -inf]], np.float32)
    for axis, rows in ((-1, x), (0, x.T)):
        value, gradient = (in_both.derivative(framework, function_of(framework, axis), rows, order) for order in (0, 1))
        value, gradient = (value, gradient) if axis == -1 else (value.T, gradient.T)
        assert np.isnan(value).any(axis=1).tolist() == [True, False, True, True, False]
        assert value[[1, 4]].tolist() == [[0.5, 0.5], [1.0, 0.0]]
        assert gradient[1].tolist() == [0.0, 0.0]


# Derivatives


@pytest.mark.parametrize("modes", [("jacfwd",) * 3, ("jacfwd", "jacrev", "jacrev")], ids="-".join)
def test_the_third_derivative_in_jax(modes: tuple[str, ...]) -> None:
    """No rule is given for it: JAX differentiates the second's formula."""
    x = drawn((4,), seed=6)
    function: Callable[..., Any] = SOFTMAX.jax
    for mode in modes:
        function = getattr(jax, mode)(function)
    function = jax.jit(function)
    with x64("float64"):
        assert_close(function(jnp.asarray(x)), third(x), tolerance=1e-10)


TORCH_MODES = [modes for modes in itertools.product(("jacfwd", "jacrev"), repeat=3) if modes[1:] != ("jacfwd", "jacfwd")]


@pytest.mark.parametrize("modes", TORCH_MODES, ids="-".join)
def test_the_third_derivative_in_torch_is_right(modes: tuple[str, ...]) -> None:
    """It is the derivative of the second's formula, as the rules say it."""
    x = drawn((4,), seed=6)
    function: Callable[..., Any] = SOFTMAX.torch
    for mode in modes:
        function = getattr(torch.func, mode)(function)
    assert_close(function(torch.from_numpy(x)), third(x), tolerance=1e-10)


@along_every_axis
def test_gradcheck_and_gradgradcheck_pass_in_torch(shape: tuple[int, ...], axis: int) -> None:
    """Finite differences, which know nothing of the rules that were given."""
    x = torch.from_numpy(drawn(shape, seed=10)).requires_grad_()
    assert torch.autograd.gradcheck(function_of("torch", axis), (x,), check_forward_ad=True)
    if shape != (2, 3, 4):  # which takes seconds
        assert torch.autograd.gradgradcheck(function_of("torch", axis), (x,), check_fwd_over_rev=True)


@along_every_axis
@each_framework
def test_derivatives_along_every_axis(framework: str, shape: tuple[int, ...], axis: int) -> None:
    x, v = drawn(shape, seed=11), drawn(shape, seed=12)
    rows, along = (np.moveaxis(a, axis, -1).reshape(-1, shape[axis]) for a in (x, v))
    closed = (
        [jacobian(row) @ d for row, d in zip(rows, along, strict=True)],
        [np.einsum("ijk,j,k->i", hessian(row), d, d) for row, d in zip(rows, along, strict=True)],
    )
    for order, flat in zip((1, 2), closed, strict=True):
        moved = np.moveaxis(x, axis, -1).shape
        expected = np.moveaxis(np.reshape(flat, moved), -1, axis)
        result = in_both.derivative(framework, function_of(framework, axis), x, order, v, jit=True)
        assert_close(result, expected, f"order {order}", tolerance=1e-13)


# vmap


@pytest.mark.parametrize("batch", [0, 1, 2])
@each_framework
def test_vmap_leaves_the_axis_of_the_row_alone(framework: str, batch: int) -> None:
    """The axis counts in what the function sees, wherever vmap takes the batch from."""
    x = drawn((3, 4, 5), seed=13)
    vmap = {"torch": lambda f: torch.func.vmap(f, in_dims=batch), "jax": lambda f: jax.vmap(f, in_axes=batch)}[framework]
    with x64("float64"):
        for axis in (-1, 0, 1):
            result = vmap(function_of(framework, axis))(make(framework, x))
            expected = np.stack([softmax(row, axis) for row in np.moveaxis(x, batch, 0)])
            assert_close(result, expected, f"axis {axis}")


@each_framework
def test_vmap_over_directions_alone(framework: str) -> None:
    """The row is the same for every member of the batch."""
    x, v = drawn((4,), seed=16), drawn((6, 4), seed=17)
    m = {"torch": torch.func, "jax": jax}[framework]
    function = getattr(SOFTMAX, framework)
    with x64("float64"):
        row = make(framework, x)
        assert_close(m.vmap(lambda d: m.jvp(function, (row,), (d,))[1])(make(framework, v)), v @ jacobian(x))
        assert_close(m.vmap(lambda d: m.vjp(function, row)[1](d)[0])(make(framework, v)), v @ jacobian(x))


# torch.compile


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_torch_compiles_value_and_gradient(dtype: str, axis: int) -> None:
    """In a full graph, which is proven to have been compiled."""
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    function = function_of("torch", axis)
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    x, v = make("torch", drawn((3, 4), seed=18), dtype).requires_grad_(), make("torch", drawn((3, 4), seed=19), dtype)
    results = []
    for run in (compiled, function):
        value = run(x)
        assert value.dtype == x.dtype
        (gradient,) = torch.autograd.grad(value, x, v)
        results.append((array(value), array(gradient)))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    unit = float(np.ldexp(1.0, 1 - FORMATS[dtype].precision))
    np.testing.assert_allclose(results[0], results[1], rtol=4 * unit, atol=unit / 4)
    s = softmax(array(x), axis)
    d = array(v) - (s * array(v)).sum(axis, keepdims=True)
    np.testing.assert_allclose(results[0], [s, s * d], rtol=2 * unit, atol=unit)
