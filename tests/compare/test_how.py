"""How two functions differ, and where: what compare names is proven, and near-misses are not named."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compared import report
from facts import assert_facts, clause

import crosscheck
from crosscheck import Fact

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


NAMED: dict[str, tuple[Any, Any, tuple[Any, ...], tuple[Fact, ...]]] = {
    # a multiple, and what it is
    "twice": (torch.sin, lambda x: 2 * jnp.sin(x), (ROWS,), (Fact("times", "2", "JAX"),)),
    "a half": (lambda x: 2 * x.sin(), jnp.sin, (ROWS,), (Fact("times", "0.5", "JAX"),)),
    "a third": (lambda x: 3 * x.sin(), jnp.sin, (ROWS,), (Fact("times", "1/3", "JAX"),)),
    "negative": (torch.sin, lambda x: -jnp.sin(x), (ROWS,), (Fact("function", "the negative of", "JAX"),)),
    "bits": (torch.log2, jnp.log, (POSITIVE,), (Fact("times", "ln 2 = 0.693147", "JAX"),)),
    "a mean": (
        lambda x: x.sum(-1),
        lambda x: x.mean(-1),
        (ROWS,),
        (
            Fact(
                "times",
                "1 / n",
                "JAX",
                where=" (n = 8, the number of elements of `x` along axis 1, as a mean and a sum differ)",
            ),
        ),
    ),
    "a sum of all": (
        lambda x: x.mean(),
        lambda x: x.sum(),
        (ROWS,),
        (Fact("times", "n", "JAX", where=" (n = 48, the number of elements of `x`, as a sum and a mean differ)"),),
    ),
    "a biased variance": (
        lambda x: x.var(-1),
        lambda x: x.var(-1),
        (ROWS,),
        (
            Fact(
                "times",
                "(n - 1) / n",
                "JAX",
                where=" (n = 8, the number of elements of `x` along axis 1, as a biased and an unbiased variance differ)",
            ),
        ),
    ),
    "an unbiased deviation": (
        lambda x: x.std(0, correction=0),
        lambda x: x.std(0, ddof=1),
        (ROWS,),
        (
            Fact(
                "times",
                "sqrt(n / (n - 1))",
                "JAX",
                where=" (n = 6, the number of elements of `x` along axis 0, as an unbiased and a biased standard deviation "
                "differ)",
            ),
        ),
    ),
    # a function of the result
    "an offset": (torch.sin, lambda x: jnp.sin(x) - 0.25, (ROWS,), (Fact("minus", "0.25", "JAX"),)),
    "a root": (
        lambda x: (x * x).mean(),
        lambda x: jnp.sqrt((x * x).mean()),
        (ROWS,),
        (Fact("function", "the square root of", "JAX"),),
    ),
    "logarithms": (
        lambda x: x.softmax(-1),
        jax.nn.log_softmax,
        (ROWS,),
        (Fact("function", "the logarithm of", "JAX"),),
    ),
    "logits": (
        lambda x, w: (x @ w).softmax(-1),
        lambda x, w: x @ w,
        (ROWS, crosscheck.normal((8, 3))),
        (Fact("function", "the softmax of", "PyTorch", where=" along axis 1"),),
    ),
    "a sign lost": (torch.sin, lambda x: jnp.abs(jnp.sin(x)), (ROWS,), (Fact("function", "the absolute value of", "JAX"),)),
    "cut off": (
        lambda x: x.sin().clamp(-0.5, 0.5),
        jnp.sin,
        (ROWS,),
        (Fact("bounds", "-0.5 and 0.5", "PyTorch"),),
    ),
    "a bound": (
        torch.sin,
        lambda x: jnp.minimum(jnp.sin(x), 0.3),
        (ROWS,),
        (Fact("above", "0.3", "JAX"),),
    ),
    "a padded column": (
        lambda x: x * 3,
        lambda x: (x * 3).at[:, 2].set(0),
        (ROWS,),
        (Fact("filled", "0", "JAX"),),
    ),
    # another order of elements
    "transposed": (torch.sin, lambda x: jnp.sin(x).T, (SQUARE,), (Fact("arranged", "transposed", "JAX"),)),
    "flipped": (
        lambda x: x.sort(-1).values,
        lambda x: -jnp.sort(-x, -1),
        (ROWS,),
        (Fact("arranged", "reversed along axis 1", "JAX"),),
    ),
    "rolled": (
        torch.sin,
        lambda x: jnp.roll(jnp.sin(x), 2, 1),
        (ROWS,),
        (Fact("arranged", "rolled by 2 along axis 1", "JAX"),),
    ),
    "shifted": (
        lambda x: x.cumsum(0),
        lambda x: jnp.cumsum(x) - x,
        (LINE,),
        (Fact("arranged", "shifted by 1, but for the end", "JAX"),),
    ),
    "permuted": (
        torch.sin,
        lambda x: jnp.sin(x)[:, jnp.array([3, 1, 2, 0, 5, 4, 7, 6])],
        (ROWS,),
        (Fact("arranged", "with the slices of axis 1 in another order: 3, 1, 2, 0, 5, 4, 7, 6", "JAX"),),
    ),
    "reshaped": (
        lambda x: x.reshape(8, 6).sin(),
        lambda x: jnp.sin(x).T,
        (ROWS,),
        (Fact("arranged", "its elements read along axes 0 and 1 in another order", "JAX"),),
    ),
    "unsorted": (
        lambda x: x.topk(4, sorted=True).values,
        lambda x: jnp.sort(jax.lax.top_k(x, 4)[0][..., ::-1] * jnp.sign(x[:, :1])) * jnp.sign(x[:, :1]),
        (ROWS,),
        (Fact("elements", role="JAX"),),
    ),
    "indices": (
        lambda x: x.argsort(-1),
        lambda x: jnp.argsort(-x, -1),
        (ROWS,),
        (Fact("arranged", "reversed along axis 1", "JAX"),),
    ),
    "two outputs": (
        lambda x: (x.sin(), x.cos()),
        lambda x: (jnp.cos(x), jnp.sin(x)),
        (ROWS,),
        (Fact("output", torch="y[1]", jax="y[0]"),),
    ),
    # other inputs
    "a sum along another axis": (
        lambda x: x.square().sum(0),
        lambda x: (x * x).sum(1),
        (SQUARE,),
        (Fact("input", "with `x` transposed", "JAX"),),
    ),
    "a weight": (
        lambda x, w: x @ w.T,
        lambda x, w: x @ w,
        (ROWS, crosscheck.normal((8, 8))),
        (Fact("input", "with `x1` transposed", "JAX"),),
    ),
    "a kernel": (
        lambda x, k: F.conv1d(x[None, None], k[None, None])[0, 0],
        lambda x, k: jnp.convolve(x, k, "valid"),
        (LINE, crosscheck.normal(3)),
        (Fact("input", "with `x1` reversed", "JAX"),),
    ),
    "a mask of the other meaning": (
        lambda x, m: x.masked_fill(m, -9.0).softmax(-1),
        lambda x, m: jax.nn.softmax(jnp.where(m, x, -9.0)),
        (ROWS, MASK),
        (Fact("input", "with `x1` inverted", "JAX"),),
    ),
    "a mask left out": (
        lambda x, m: x.masked_fill(m, -9.0).softmax(-1),
        lambda x, m: jax.nn.softmax(x),
        (ROWS, MASK),
        (Fact("input", "with `x1` False everywhere", "JAX"),),
    ),
    "a bias left out": (
        lambda x, w, b: x @ w + b,
        lambda x, w, b: x @ w,
        (ROWS, crosscheck.normal((8, 3)), crosscheck.normal(3)),
        (Fact("input", "with 0 for `x2`", "JAX"),),
    ),
    "labels from one": (
        lambda x, i: F.nll_loss(x, i.long()),
        lambda x, i: -x[jnp.arange(6), i + 1].mean(),
        (ROWS, MORE),
        (Fact("input", "with `x1` plus 1", "JAX"),),
    ),
    "a frequency": (
        lambda x: x.sin() + x,
        lambda x: jnp.sin(x + x + x) + x + x + x,
        (ROWS,),
        (Fact("input", "at `x` times 3", "JAX"),),
    ),
    # numbers inside
    "an epsilon left out": (
        lambda x, w: F.layer_norm(x, (8,), w, eps=1e-2),
        lambda x, w: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True)) * w,
        (ROWS, crosscheck.normal(8)),
        (Fact("setting", "LayerNorm", "epsilon", torch="0.01", jax="0"),),
    ),
    "an unbiased norm": (
        lambda x, w: F.layer_norm(x, (8,), w),
        lambda x, w: normed(x, 1e-5, ddof=1) * w,
        (ROWS, crosscheck.normal(8)),
        (Fact("form", "LayerNorm", torch="as usual", jax="the variance with divisor n - 1"),),
    ),
    "an unbiased group norm": (
        lambda x, w: F.group_norm(x[..., None], 2, w),
        lambda x, w: (normed(x.reshape(6, 2, 4), 1e-5, ddof=1).reshape(6, 8) * w)[..., None],
        (ROWS, crosscheck.normal(8)),
        (Fact("form", "GroupNorm", torch="as usual", jax="the variance with divisor n - 1"),),
    ),
    "an unbiased batch norm": (
        lambda x, w: F.batch_norm(x, None, None, w, training=True),
        lambda x, w: normed(x.T, 1e-5, ddof=1).T * w,
        (ROWS, crosscheck.normal(8)),
        (Fact("form", "BatchNorm", torch="as usual", jax="the variance with divisor n - 1"),),
    ),
    "a temperature": (
        lambda x: (x / 2).softmax(-1),
        lambda x: jax.nn.softmax(x / 3),
        (ROWS,),
        (Fact("form", "the divisor", torch="2", jax="3"),),
    ),
    "a masked value": (
        lambda x, m: x.masked_fill(m, -1e9).softmax(-1),
        lambda x, m: jax.nn.softmax(jnp.where(m, -1.0, x)),
        (ROWS, MASK),
        (Fact("setting", "the mask", "value", torch="-1e+09", jax="-1"),),
    ),
    "two numbers": (
        lambda m, g: 0.9 * m + 0.1 * g,
        lambda m, g: 0.95 * m + 0.05 * g,
        (LINE, LINE),
        (Fact("form", "the factor", torch="0.9", jax="0.95"), Fact("form", "the factor", torch="0.1", jax="0.05")),
    ),
    "a power": (lambda x: x**3 + 1, lambda x: x**2 + 1, (LINE,), (Fact("form", "the exponent", torch="3", jax="2"),)),
    "a term": (
        lambda x, y: x.sin() + 3 * y.cos(),
        lambda x, y: jnp.sin(x) + jnp.cos(y),
        (LINE, LINE),
        (Fact("missing", "to multiply with 3"),),
    ),
    "a factor inside": (
        lambda x, y: x.sin() + y.cos() + y.cos() + y.cos(),
        lambda x, y: jnp.sin(x) + jnp.cos(y),
        (LINE, LINE),
        (Fact("binary", torch="adds", jax="subtracts"),),
    ),
    # random numbers, and what a result depends on
    "random numbers": (
        lambda x: x * 1.0,
        lambda x: x * jax.random.bernoulli(jax.random.key(0), 0.5, x.shape),
        (ROWS,),
        (Fact("random", "draws", "JAX"),),
    ),
    "random numbers of a generator": (
        lambda x: x * torch.rand(x.shape, generator=torch.Generator().manual_seed(0)),
        lambda x: x * 1.0,
        (ROWS,),
        (Fact("random", "draws", "PyTorch"),),
    ),
    "statistics of the batch": (
        lambda x: F.layer_norm(x, (8,)),
        lambda x: (x - x.mean(0)) / jnp.sqrt(x.var(0) + 1e-5),
        (ROWS,),
        (Fact("alone", role="PyTorch", where="along axis 0 of `x`"),),
    ),
    "a column left out": (
        lambda x: x[:, :-1].square().sum(-1),
        lambda x: jnp.abs(x).sum(-1) ** 1.5,
        (ROWS,),
        (Fact("unused", "`x[:, 7]`, column 7", "PyTorch"),),
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_how_two_functions_differ_is_named(name: str) -> None:
    torch_fn, jax_fn, inputs, facts = NAMED[name]
    pair = report(torch_fn, jax_fn, *inputs)
    assert pair.cause == "definition"
    assert_facts(pair.diagnosis.facts, *facts)
    assert pair.diagnosis.how == clause(pair.diagnosis.facts)
    assert pair.diagnosis.identities or f"{pair.diagnosis.how}" in pair.verdict
    assert f"how       {pair.diagnosis.how}" in pair.story()


OF_RESULTS = {
    *("times", "plus", "minus", "function", "changed", "wrapped", "arranged", "above", "below", "bounds"),
    *("constant", "filled", "elements", "output", "input"),
}
"""The kinds of facts that say how one side's result follows from the other's."""
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
    # that one side mixes positions which the other does not is true of some
    assert OF_RESULTS.isdisjoint(fact.kind for fact in pair.diagnosis.facts)
    assert not any(fact.kind == "unused" and fact.what.startswith("`x[:, ") for fact in pair.diagnosis.facts)


def test_a_factor_is_the_number_of_elements_only_if_it_changes_with_it() -> None:
    by_chance = report(torch.sin, lambda x: jnp.sin(x) / 48, ROWS).diagnosis.facts
    assert by_chance == (Fact("times", "0.0208333", "JAX"),)
    same_place = report(lambda x: x.sum(-1), lambda x: x.sum(-1) / 8, ROWS).diagnosis.facts
    assert same_place == (Fact("times", "0.125", "JAX"),)


def test_numbers_that_are_nearly_equal_are_said_with_the_digits_in_which_they_differ() -> None:
    inside = crosscheck.compare(lambda x: x * (1 + 1e-9), lambda x: x, [LINE], dtype="float64", order=0)
    assert_facts(inside.diagnosis.facts, Fact("missing", "to multiply with 1.000000001"))
    scaled = crosscheck.compare(lambda x: x.softmax(-1) / 0.7 * 0.70000003, jax.nn.softmax, [ROWS], dtype="float64", order=0)
    assert scaled.diagnosis.facts == (Fact("times", "0.99999996", "JAX"),)


def test_no_change_is_named_that_changes_nothing() -> None:
    near = crosscheck.uniform(0.5, 5.0, (6,))
    pair = crosscheck.compare(torch.log, lambda x: jnp.log(x) + 3e-15 * jnp.sin(50 * x), [near], dtype="float64", order=0)
    assert pair.cause == "definition"
    assert pair.diagnosis.how is None


def test_how_gradients_differ_is_said_of_the_gradient() -> None:
    pair = report(torch.sin, doubled_gradient, LINE, order=1)
    assert (pair.cause, pair.side) == ("definition", "jax")
    assert pair.diagnosis.facts == (Fact("times", "2", "JAX"),)
    assert pair.decisive is not None
    assert pair.decisive.order == 1
    clauses = Fact("another function", "the JAX function").words(), f"the gradient: {pair.diagnosis.facts[0].words()}"
    assert "; ".join(clauses) in pair.verdict


def test_a_multiple_where_one_is_infinite_or_nan_is_still_one() -> None:
    pair = crosscheck.compare(torch.exp, lambda x: 2 * jnp.exp(x), order=0, modes="jit")
    assert pair.diagnosis.facts == (Fact("times", "2", "JAX"),)
