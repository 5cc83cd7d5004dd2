"""Rules of derivatives that are right for what comes in at 1 alone, and values at NaN, between two functions."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch

import crosscheck


class Clipped(torch.autograd.Function):
    """The sigmoid, with a gradient that is clipped, as no gradient at 1 is."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = torch.sigmoid(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (y,) = ctx.saved_tensors
        return (gradients[0] * y * (1 - y)).clamp(-1, 1)


@jax.custom_vjp
def clipped(x: Any) -> Any:
    return jax.nn.sigmoid(x)


def clipped_rule(y: Any, v: Any) -> tuple[Any]:
    return (jnp.clip(v * y * (1 - y), -1, 1),)


clipped.defvjp(lambda x: (jax.nn.sigmoid(x), jax.nn.sigmoid(x)), clipped_rule)


@pytest.mark.parametrize(
    ("torch_fn", "jax_fn", "side"), [(Clipped.apply, jax.nn.sigmoid, "torch"), (torch.sigmoid, clipped, "jax")]
)
def test_a_gradient_that_is_clipped_after_what_comes_in_is_found(torch_fn: Any, jax_fn: Any, side: str) -> None:
    report = crosscheck.compare(torch_fn, jax_fn, [crosscheck.normal((100,))], modes=["jit"])
    assert (report.passed, report.cause, report.side) == (False, "definition", side)
    assert {comparison.order for comparison in report.comparisons if not comparison.passed} == {1}


def test_gradients_are_reported_without_what_they_were_multiplied_with() -> None:
    report = crosscheck.compare(lambda x: 3 * x, lambda x: 4 * x, [crosscheck.normal((30,))], modes=["jit"])
    (gradient,) = [comparison for comparison in report.comparisons if comparison.order == 1]
    assert gradient.worst is not None
    assert (gradient.worst.got, gradient.worst.expected) == (3, 4)
    assert gradient.figures["abs_max"] == 1


@pytest.mark.parametrize("side", ["torch", "jax"])
def test_who_swallows_nan_is_at_fault(side: str) -> None:
    def swallowing(x: Any) -> Any:
        return torch.nan_to_num(x) if side == "torch" else jnp.nan_to_num(x)

    functions = {"torch": lambda x: x * 1, "jax": lambda x: x * 1, side: swallowing}
    given = [torch.tensor([1.0, float("nan"), -2.0])]
    report = crosscheck.compare(functions["torch"], functions["jax"], given, order=0, modes=["jit"])
    assert (report.passed, report.cause, report.side) == (False, "special", side)
