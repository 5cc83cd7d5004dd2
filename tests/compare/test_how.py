"""How two functions differ, and where: what compare names is proven, and near-misses are not named."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compared import report

import crosscheck

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("no_simpler_input")]

ROWS = crosscheck.normal((6, 8))
SQUARE = crosscheck.normal((6, 6))
LINE = crosscheck.normal(10)
POSITIVE = crosscheck.uniform(0.1, 2, (6, 8))
MASK = np.random.default_rng(0).random((6, 8)) > 0.5
MORE = np.array([1, 0, 2, 1, 0, 2], np.int32)


def normed(x: Any, epsilon: float, ddof: int = 0) -> Any:
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True, ddof=ddof) + epsilon)


def attention(q: Any, k: Any) -> Any:
    return jax.nn.softmax(q @ k.T) @ k


@jax.custom_vjp
def doubled_gradient(x: Any) -> Any:
    return jnp.sin(x)


doubled_gradient.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (2 * g * jnp.cos(x),))


NAMED: dict[str, tuple[Any, Any, tuple[Any, ...], str]] = {
    # a multiple, and what it is
    "twice": (torch.sin, lambda x: 2 * jnp.sin(x), (ROWS,), "JAX gives 2 times what PyTorch gives"),
    "a half": (lambda x: 2 * x.sin(), jnp.sin, (ROWS,), "JAX gives 0.5 times what PyTorch gives"),
    "a third": (lambda x: 3 * x.sin(), jnp.sin, (ROWS,), "JAX gives 1/3 times what PyTorch gives"),
    "negative": (torch.sin, lambda x: -jnp.sin(x), (ROWS,), "JAX gives the negative of what PyTorch gives"),
    "bits": (torch.log2, jnp.log, (POSITIVE,), "JAX gives ln 2 = 0.693147 times what PyTorch gives"),
    "a mean": (
        lambda x: x.sum(-1),
        lambda x: x.mean(-1),
        (ROWS,),
        "JAX gives 1 / n times what PyTorch gives (n = 8, the number of elements of `x` along axis 1, as a mean and a sum "
        "differ)",
    ),
    "a sum of all": (
        lambda x: x.mean(),
        lambda x: x.sum(),
        (ROWS,),
        "JAX gives n times what PyTorch gives (n = 48, the number of elements of `x`, as a sum and a mean differ)",
    ),
    "a biased variance": (
        lambda x: x.var(-1),
        lambda x: x.var(-1),
        (ROWS,),
        "JAX gives (n - 1) / n times what PyTorch gives (n = 8, the number of elements of `x` along axis 1, as a biased "
        "and an unbiased variance differ)",
    ),
    "an unbiased deviation": (
        lambda x: x.std(0, correction=0),
        lambda x: x.std(0, ddof=1),
        (ROWS,),
        "JAX gives sqrt(n / (n - 1)) times what PyTorch gives (n = 6, the number of elements of `x` along axis 0, as an "
        "unbiased and a biased standard deviation differ)",
    ),
    # a function of the result
    "an offset": (torch.sin, lambda x: jnp.sin(x) - 0.25, (ROWS,), "JAX gives what PyTorch gives, minus 0.25"),
    "a root": (
        lambda x: (x * x).mean(),
        lambda x: jnp.sqrt((x * x).mean()),
        (ROWS,),
        "the square root of what PyTorch gives",
    ),
    "logarithms": (
        lambda x: x.softmax(-1),
        jax.nn.log_softmax,
        (ROWS,),
        "JAX gives the logarithm of what PyTorch gives",
    ),
    "logits": (
        lambda x, w: (x @ w).softmax(-1),
        lambda x, w: x @ w,
        (ROWS, crosscheck.normal((8, 3))),
        "PyTorch gives the softmax of what JAX gives along axis 1",
    ),
    "a sign lost": (torch.sin, lambda x: jnp.abs(jnp.sin(x)), (ROWS,), "JAX gives the absolute value of what PyTorch gives"),
    "cut off": (
        lambda x: x.sin().clamp(-0.5, 0.5),
        jnp.sin,
        (ROWS,),
        "PyTorch gives what JAX gives, cut off at -0.5 and 0.5",
    ),
    "a bound": (torch.sin, lambda x: jnp.minimum(jnp.sin(x), 0.3), (ROWS,), "what PyTorch gives, but nothing above 0.3"),
    "a padded column": (
        lambda x: x * 3,
        lambda x: (x * 3).at[:, 2].set(0),
        (ROWS,),
        "JAX gives 0 where PyTorch does not, and the same elsewhere",
    ),
    # another order of elements
    "transposed": (torch.sin, lambda x: jnp.sin(x).T, (SQUARE,), "JAX gives what PyTorch gives, transposed"),
    "flipped": (
        lambda x: x.sort(-1).values,
        lambda x: -jnp.sort(-x, -1),
        (ROWS,),
        "JAX gives what PyTorch gives, reversed along axis 1",
    ),
    "rolled": (torch.sin, lambda x: jnp.roll(jnp.sin(x), 2, 1), (ROWS,), "what PyTorch gives, rolled by 2 along axis 1"),
    "shifted": (
        lambda x: x.cumsum(0),
        lambda x: jnp.cumsum(x) - x,
        (LINE,),
        "JAX gives what PyTorch gives, shifted by 1, but for the end",
    ),
    "permuted": (
        torch.sin,
        lambda x: jnp.sin(x)[:, jnp.array([3, 1, 2, 0, 5, 4, 7, 6])],
        (ROWS,),
        "with the slices of axis 1 in another order: 3, 1, 2, 0, 5, 4, 7, 6",
    ),
    "reshaped": (
        lambda x: x.reshape(8, 6).sin(),
        lambda x: jnp.sin(x).T,
        (ROWS,),
        "its elements read along axes 0 and 1 in another order",
    ),
    "unsorted": (
        lambda x: x.topk(4, sorted=True).values,
        lambda x: jnp.sort(jax.lax.top_k(x, 4)[0][..., ::-1] * jnp.sign(x[:, :1])) * jnp.sign(x[:, :1]),
        (ROWS,),
        "JAX gives the same elements as PyTorch, in another order",
    ),
    "indices": (
        lambda x: x.argsort(-1),
        lambda x: jnp.argsort(-x, -1),
        (ROWS,),
        "JAX gives what PyTorch gives, reversed along axis 1",
    ),
    "two outputs": (
        lambda x: (x.sin(), x.cos()),
        lambda x: (jnp.cos(x), jnp.sin(x)),
        (ROWS,),
        "JAX gives as `y[0]` what PyTorch gives as `y[1]`",
    ),
    # other inputs
    "a sum along another axis": (
        lambda x: x.square().sum(0),
        lambda x: (x * x).sum(1),
        (SQUARE,),
        "JAX gives what PyTorch gives with `x` transposed",
    ),
    "a weight": (
        lambda x, w: x @ w.T,
        lambda x, w: x @ w,
        (ROWS, crosscheck.normal((8, 8))),
        "JAX gives what PyTorch gives with `x1` transposed",
    ),
    "a kernel": (
        lambda x, k: F.conv1d(x[None, None], k[None, None])[0, 0],
        lambda x, k: jnp.convolve(x, k, "valid"),
        (LINE, crosscheck.normal(3)),
        "JAX gives what PyTorch gives with `x1` reversed",
    ),
    "a mask of the other meaning": (
        lambda x, m: x.masked_fill(m, -9.0).softmax(-1),
        lambda x, m: jax.nn.softmax(jnp.where(m, x, -9.0)),
        (ROWS, MASK),
        "JAX gives what PyTorch gives with `x1` inverted",
    ),
    "a mask left out": (
        lambda x, m: x.masked_fill(m, -9.0).softmax(-1),
        lambda x, m: jax.nn.softmax(x),
        (ROWS, MASK),
        "JAX gives what PyTorch gives with `x1` False everywhere",
    ),
    "a bias left out": (
        lambda x, w, b: x @ w + b,
        lambda x, w, b: x @ w,
        (ROWS, crosscheck.normal((8, 3)), crosscheck.normal(3)),
        "JAX gives what PyTorch gives with 0 for `x2`",
    ),
    "labels from one": (
        lambda x, i: F.nll_loss(x, i.long()),
        lambda x, i: -x[jnp.arange(6), i + 1].mean(),
        (ROWS, MORE),
        "JAX gives what PyTorch gives with `x1` plus 1",
    ),
    "a frequency": (
        lambda x: x.sin() + x,
        lambda x: jnp.sin(x + x + x) + x + x + x,
        (ROWS,),
        "JAX gives what PyTorch gives at `x` times 3",
    ),
    # numbers inside
    "an epsilon left out": (
        lambda x, w: F.layer_norm(x, (8,), w, eps=1e-2),
        lambda x, w: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True)) * w,
        (ROWS, crosscheck.normal(8)),
        "LayerNorm's epsilon: 0 in JAX, 0.01 in PyTorch",
    ),
    "an unbiased norm": (
        lambda x, w: F.layer_norm(x, (8,), w),
        lambda x, w: normed(x, 1e-5, ddof=1) * w,
        (ROWS, crosscheck.normal(8)),
        "LayerNorm: the variance with divisor n - 1 in JAX, as usual in PyTorch",
    ),
    "a temperature": (
        lambda x: (x / 2).softmax(-1),
        lambda x: jax.nn.softmax(x / 3),
        (ROWS,),
        "the divisor: 3 in JAX, 2 in PyTorch",
    ),
    "a masked value": (
        lambda x, m: x.masked_fill(m, -1e9).softmax(-1),
        lambda x, m: jax.nn.softmax(jnp.where(m, -1.0, x)),
        (ROWS, MASK),
        "the mask's value: -1 in JAX, -1e+09 in PyTorch",
    ),
    "two numbers": (
        lambda m, g: 0.9 * m + 0.1 * g,
        lambda m, g: 0.95 * m + 0.05 * g,
        (LINE, LINE),
        "the factor: 0.95 in JAX, 0.9 in PyTorch; the factor: 0.05 in JAX, 0.1 in PyTorch",
    ),
    "a power": (lambda x: x**3 + 1, lambda x: x**2 + 1, (LINE,), "the exponent: 2 in JAX, 3 in PyTorch"),
    "a term": (
        lambda x, y: x.sin() + 3 * y.cos(),
        lambda x, y: jnp.sin(x) + jnp.cos(y),
        (LINE, LINE),
        "JAX forgets to multiply with 3",
    ),
    "a factor inside": (
        lambda x, y: x.sin() + y.cos() + y.cos() + y.cos(),
        lambda x, y: jnp.sin(x) + jnp.cos(y),
        (LINE, LINE),
        "JAX subtracts where PyTorch adds",
    ),
    # random numbers, and what a result depends on
    "random numbers": (
        lambda x: x * 1.0,
        lambda x: x * jax.random.bernoulli(jax.random.key(0), 0.5, x.shape),
        (ROWS,),
        "JAX draws random numbers",
    ),
    "random numbers of a generator": (
        lambda x: x * torch.rand(x.shape, generator=torch.Generator().manual_seed(0)),
        lambda x: x * 1.0,
        (ROWS,),
        "PyTorch draws random numbers",
    ),
    "statistics of the batch": (
        lambda x: F.layer_norm(x, (8,)),
        lambda x: (x - x.mean(0)) / jnp.sqrt(x.var(0) + 1e-5),
        (ROWS,),
        "PyTorch treats each position along axis 0 of `x` alone, which JAX does not",
    ),
    "a column left out": (
        lambda x: x[:, :-1].square().sum(-1),
        lambda x: jnp.abs(x).sum(-1) ** 1.5,
        (ROWS,),
        "PyTorch does not use `x[:, 7]`, column 7, which JAX does",
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_how_two_functions_differ_is_named(name: str) -> None:
    torch_fn, jax_fn, inputs, said = NAMED[name]
    pair = report(torch_fn, jax_fn, *inputs)
    assert pair.cause == "definition"
    assert said in (pair.diagnosis.how or ""), str(pair)
    assert pair.diagnosis.identities or f"{pair.diagnosis.how}" in pair.verdict
    assert f"how       {pair.diagnosis.how}" in pair.story()


NEAR: dict[str, tuple[Any, Any, tuple[Any, ...]]] = {
    "nearly twice": (torch.sin, lambda x: 2 * jnp.sin(x) + 1e-3 * x**3, (ROWS,)),
    "twice but for one element": (torch.sin, lambda x: (2 * jnp.sin(x)).at[3, 3].add(0.01 * x[3, 3] ** 3), (ROWS,)),
    "twice at these inputs": (lambda x: x * 1, lambda x: x * x + 0.75, (np.array([0.5], np.float32),)),
    "transposed but for a column": (torch.sin, lambda x: jnp.sin(x).T.at[:, 0].multiply(x[1]), (SQUARE,)),
    "a function that does not depend on the order": (
        lambda x: x.amax(-1),
        lambda x: jnp.exp(x).sum(-1),
        (ROWS,),
    ),
    "an epsilon beside the root": (
        lambda x: F.layer_norm(x, (8,)),
        lambda x: (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1e-2),
        (ROWS,),
    ),
    "two numbers and a term": (
        lambda x, y: 0.9 * x + 0.1 * y,
        lambda x, y: 0.95 * x + 0.05 * y + 0.01 * x * y,
        (LINE, LINE),
    ),
    "a column that is no median here": (lambda x: x.median(-1).values, lambda x: x.mean(-1), (ROWS,)),
    "zeros in a row": (
        lambda x: x * torch.tensor([0.0, 0, 0, 0, 1]),
        lambda x: jnp.zeros(5).at[0].set(x[0] ** 3),
        (crosscheck.normal(5),),
    ),
    "a mean at this size alone": (lambda x: x.sum(-1), lambda x: x.sum(-1) / 8 + 0.01 * x[..., 0] ** 2, (ROWS,)),
}


@pytest.mark.parametrize("name", NEAR)
def test_what_nearly_fits_is_not_named(name: str) -> None:
    torch_fn, jax_fn, inputs = NEAR[name]
    pair = report(torch_fn, jax_fn, *inputs)
    assert pair.cause == "definition"
    how = pair.diagnosis.how or ""  # that one side mixes positions which the other does not is true of some
    assert "gives" not in how, how
    assert "`x[:, " not in how, how


def test_a_factor_is_the_number_of_elements_only_if_it_changes_with_it() -> None:
    by_chance = report(torch.sin, lambda x: jnp.sin(x) / 48, ROWS).diagnosis.how
    assert by_chance == "JAX gives 0.0208333 times what PyTorch gives"
    same_place = report(lambda x: x.sum(-1), lambda x: x.sum(-1) / 8, ROWS).diagnosis.how
    assert same_place == "JAX gives 0.125 times what PyTorch gives"


def test_numbers_that_are_nearly_equal_are_said_with_the_digits_in_which_they_differ() -> None:
    inside = crosscheck.compare(lambda x: x * (1 + 1e-9), lambda x: x, [LINE], dtype="float64", order=0)
    assert inside.diagnosis.how == "JAX forgets to multiply with 1.000000001"
    scaled = crosscheck.compare(lambda x: x.softmax(-1) / 0.7 * 0.70000003, jax.nn.softmax, [ROWS], dtype="float64", order=0)
    assert scaled.diagnosis.how == "JAX gives 0.99999996 times what PyTorch gives"


def test_no_change_is_named_that_changes_nothing() -> None:
    near = crosscheck.uniform(0.5, 5.0, (6,))
    pair = crosscheck.compare(torch.log, lambda x: jnp.log(x) + 3e-15 * jnp.sin(50 * x), [near], dtype="float64", order=0)
    assert pair.cause == "definition"
    assert pair.diagnosis.how is None


def test_how_gradients_differ_is_said_of_the_gradient() -> None:
    pair = report(torch.sin, doubled_gradient, LINE, order=1)
    assert (pair.cause, pair.side) == ("definition", "jax")
    assert pair.diagnosis.how == "JAX gives 2 times what PyTorch gives"
    assert "the JAX function computes another function; the gradient: JAX gives 2 times what PyTorch gives" in pair.verdict


def test_a_multiple_where_one_is_infinite_or_nan_is_still_one() -> None:
    pair = crosscheck.compare(torch.exp, lambda x: 2 * jnp.exp(x), order=0, modes="jit")
    assert pair.diagnosis.how == "JAX gives 2 times what PyTorch gives"
