"""The searches after a verdict end: what they cost is known before they start."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from compared import assert_fails

from crosscheck import compare, identify
from crosscheck._compare.diagnose.budget import SearchBudget, SpentError

MANY = 2**14


class Guarded:
    """A function that refuses more elements than a search may try with it."""

    def __init__(self, function: Callable[[Any], Any], most: int) -> None:
        self.function, self.most, self.largest = function, most, 0

    def __call__(self, x: Any) -> Any:
        size = int(np.prod(x.shape))
        self.largest = max(self.largest, size)
        assert size <= self.most, f"called with {size} elements"
        return self.function(x)


def pairwise(times: float, x: Any) -> Any:
    return ((x[:, None] - x[None]) ** 2).sum(-1) * times


def looped(times: float, x: Any) -> Any:
    stack, tanh = (torch.stack, torch.tanh) if isinstance(x, torch.Tensor) else (jnp.stack, jnp.tanh)
    return stack([tanh(entry) * times for entry in x])


def mapped(times: float, x: Any) -> Any:
    """In JAX alone the work is that of all pairs, and only if each trip of the loop is counted."""
    if isinstance(x, torch.Tensor):
        return (len(x) * x - x.sum(0)) * times
    return jax.lax.map(lambda entry: (entry - x).sum(0), x) * times


@pytest.mark.full
@pytest.mark.parametrize(("function", "most"), [(pairwise, 1024), (looped, 1024), (mapped, MANY)])
def test_a_function_whose_work_grows_unevenly_is_not_tried_at_many_elements(function: Any, most: int) -> None:
    sides = [Guarded(partial(function, 1.0), most), Guarded(partial(function, 2.0), 1024)]
    x = np.array([[1.0, 2.0], [4.0, 8.0]], np.float32)
    report = compare(*sides, x, order=0, modes="jit")
    assert_fails(report, "JAX gives 2 times what PyTorch gives", cause="definition")
    assert all(2 * 2 < side.largest <= side.most for side in sides)


def test_an_elementwise_function_is_still_tried_at_many_elements_and_known() -> None:
    side = Guarded(lambda x: x * torch.sigmoid(x), MANY)
    assert str(identify(side, "torch")) == "silu"
    assert side.largest > MANY // 2


def test_a_part_of_a_budget_takes_from_the_whole() -> None:
    whole = SearchBudget(10)
    part = whole.part(6)
    part.pay(5)
    assert (part.left, whole.left) == (1, 5)
    with pytest.raises(SpentError):
        part.pay(2)
    whole.spend(9)
    assert part.left == whole.left == -4
