"""Modules of flax and equinox are what modules of torch are to ``compare``: copied, cast to the dtype, and watched."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from compared import X, assert_fails, noted
from facts import Worded

from crosscheck import PairReport, compare, normal


class Node:
    """What flax and equinox make their modules of: a class that is registered with JAX, and has names."""

    def __init_subclass__(cls) -> None:
        jax.tree_util.register_pytree_with_keys(cls, cls.flattened, cls.made)

    def flattened(self) -> Any:
        return tuple((jax.tree_util.GetAttrKey(name), value) for name, value in vars(self).items()), tuple(vars(self))

    @classmethod
    def made(cls, names: Any, values: Any) -> Any:
        node = object.__new__(cls)
        vars(node).update(zip(names, values, strict=True))
        return node


class Scaled(Node):
    def __init__(self) -> None:
        self.weight = jnp.float32(0.1)
        self.activation = jnp.tanh

    def __call__(self, x: Any) -> Any:
        return self.activation(x * self.weight)


class Counting(Node):
    """It changes itself, as normalisation over batches does in training mode."""

    def __init__(self) -> None:
        self.mean = jnp.zeros(())

    def __call__(self, x: Any) -> Any:
        self.mean = 0.9 * self.mean + 0.1 * x.mean()
        return x - x.mean()


class TorchScaled(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.1))

    def forward(self, x: Any) -> Any:
        return torch.tanh(x * self.weight)


class TorchCounting(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x: Any) -> Any:
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean()
        return x - x.mean()


def centred(x: Any) -> Any:
    return x - x.mean()


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_a_module_is_copied_and_cast_to_the_dtype(dtype: str) -> None:
    module = Scaled()
    report = compare(TorchScaled(), module, X, dtype=dtype)
    assert report.passed, str(report)
    assert module.weight.dtype == jnp.float32


def test_what_a_function_closes_over_is_not_cast() -> None:
    module = Scaled()
    assert_fails(
        compare(TorchScaled(), lambda x: module(x) + 0.0, X, dtype="bfloat16"), "y is bfloat16 in torch, float32 in JAX"
    )


def changed(report: PairReport) -> set[tuple[object, ...]]:
    """Which module changed itself, and what it changed."""
    notes = {note for comparison in report.comparisons for note in comparison.notes}
    return {note.about for note in notes if isinstance(note, Worded) and note.kind == "changed"}


@pytest.mark.parametrize(
    ("torch_fn", "jax_fn", "side", "name"),
    [(centred, Counting(), "JAX", ".mean"), (TorchCounting(), centred, "torch", "mean")],
    ids=["jax", "torch"],
)
def test_a_module_that_changes_itself_is_judged_and_that_is_said(torch_fn: Any, jax_fn: Any, side: str, name: str) -> None:
    report = compare(torch_fn, jax_fn, X)
    assert report.passed, str(report)
    assert {comparison.mode for comparison in report.comparisons} == {"eager", "jit"}
    assert changed(report) == {(side, name)}
    module = torch_fn if torch_fn is not centred else jax_fn
    assert float(module.mean) == 0


def test_a_module_that_does_not_is_told_nothing() -> None:
    assert "changed" not in noted(compare(TorchScaled(), Scaled(), X))


class NotCopied(Scaled):
    def flattened(self) -> Any:
        raise RuntimeError("not to be copied")


class TorchNotCopied(TorchScaled):
    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("not to be copied")


def test_a_module_that_cannot_be_copied_is_a_side_that_raises() -> None:
    assert_fails(compare(TorchScaled(), NotCopied(), X), "JAX function raised RuntimeError: not to be copied", side="jax")
    assert_fails(
        compare(TorchNotCopied(), Scaled(), X), "torch function raised RuntimeError: not to be copied", side="torch"
    )


def test_dropout_in_training_mode_is_told_of_eval() -> None:
    report = compare(torch.nn.Dropout(0.5), lambda x: x, X)
    assert_fails(report, "not deterministic: it draws random numbers; a module in training mode needs .eval()", side="torch")
    assert compare(torch.nn.Dropout(0.5).eval(), lambda x: x, X).passed


def test_a_function_that_runs_but_cannot_be_traced_is_compared_eagerly() -> None:
    class Own(Exception):
        pass

    def untraced(x: Any) -> Any:
        if isinstance(x, jax.core.Tracer):
            raise Own("only eagerly")
        return x * 2

    report = compare(lambda x: x * 2, untraced, X, order=0, modes="eager")
    assert report.passed
    assert noted(report) == {"untraceable"}
    assert "(Own: only eagerly)" in report.story()
    assert not compare(lambda x: x * 3, untraced, X, order=0, modes="eager").passed


# The libraries, where they are.

BATCH = [normal((6, 3))]


@pytest.fixture
def linear() -> torch.nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.nn.Linear(3, 4)


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float64", marks=pytest.mark.full)])
def test_flax_nnx(linear: torch.nn.Linear, dtype: str) -> None:
    nnx = pytest.importorskip("flax.nnx")
    other = nnx.Linear(3, 4, rngs=nnx.Rngs(0))
    other.kernel[...] = jnp.asarray(linear.weight.detach().numpy().T)
    other.bias[...] = jnp.asarray(linear.bias.detach().numpy())
    assert compare(linear, other, BATCH, dtype=dtype).passed
    wrong = compare(linear, nnx.Sequential(other, lambda y: y * 1.1), BATCH, dtype=dtype)
    assert (wrong.passed, wrong.cause) == (False, "definition")


@pytest.mark.full
def test_flax_nnx_in_training_mode() -> None:
    nnx = pytest.importorskip("flax.nnx")
    dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    draws = "draws random numbers; a module in training mode needs .eval()"
    assert_fails(compare(lambda x: x, dropout, BATCH), draws, side="jax")
    dropout.eval()
    assert compare(lambda x: x, dropout, BATCH).passed
    norm = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
    report = compare(torch.nn.BatchNorm1d(3), norm, BATCH)
    assert report.passed, str(report)
    assert ("JAX", ".mean.value", ".var.value") in changed(report)
    assert (np.asarray(norm.mean[...]) == 0).all()
    assert_fails(compare(torch.nn.BatchNorm1d(3), lambda x: norm(x) + 0.0, BATCH), "needs .eval()", side="jax")


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_flax_linen(linear: torch.nn.Linear, dtype: str) -> None:
    linen = pytest.importorskip("flax.linen")
    kernel, bias = linear.weight.detach().numpy().T, linear.bias.detach().numpy()
    bound = linen.Dense(4).bind({"params": {"kernel": kernel, "bias": bias}})
    assert compare(linear, bound, BATCH, dtype=dtype).passed
    assert_fails(compare(lambda x: x, linen.Dropout(0.5, deterministic=False).bind({}), BATCH), "needs .eval()", side="jax")


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float64", marks=pytest.mark.full)])
def test_equinox(linear: torch.nn.Linear, dtype: str) -> None:
    equinox = pytest.importorskip("equinox")
    other = equinox.nn.Linear(3, 4, key=jax.random.key(0))
    weights = tuple(jnp.asarray(tensor.detach().numpy()) for tensor in linear.parameters())
    other = equinox.tree_at(lambda module: (module.weight, module.bias), other, weights)
    assert compare(linear, other, [normal(3)], dtype=dtype).passed
    assert compare(linear, equinox.filter_vmap(other), BATCH, dtype=dtype).passed
    said = "equinox.nn.inference_mode"
    assert_fails(compare(lambda x: x, equinox.nn.Dropout(0.5), BATCH), said, side="jax")
