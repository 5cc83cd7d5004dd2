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
from crosscheck._compare.diagnose.budget import Budget, SpentError
from crosscheck._compare.inputs import gather
from crosscheck._compare.work import Work, at_any_number, of_jax, of_torch
from crosscheck._frameworks.jax_program import JaxProgram
from crosscheck._frameworks.programs import Inputs
from crosscheck._frameworks.torch_program import TorchProgram

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
    return stack([tanh(one) * times for one in x])


@pytest.mark.parametrize("function", [pairwise, looped])
def test_a_function_whose_work_grows_unevenly_is_not_tried_at_many_elements(function: Any) -> None:
    sides = [Guarded(partial(function, times), 1024) for times in (1.0, 2.0)]
    x = np.array([[1.0, 2.0], [4.0, 8.0]], np.float32)
    report = compare(*sides, x, order=0, modes="jit")
    assert_fails(report, "JAX gives 2 times what PyTorch gives", cause="definition")
    assert all(2 * 2 < side.largest <= 1024 for side in sides)


def test_an_elementwise_function_is_still_tried_at_many_elements_and_known() -> None:
    side = Guarded(lambda x: x * torch.sigmoid(x), MANY)
    assert str(identify(side, "torch")) == "silu"
    assert side.largest > MANY // 2


def inputs(count: int = 4) -> Inputs:
    return gather(np.linspace(0.1, 1, count, dtype=np.float32), "float32", None, 0, 0)


def of_both(function: Any, given: Inputs) -> tuple[Work, Work | None]:
    return of_torch(TorchProgram(function, given, "cpu")), of_jax(JaxProgram(function, given, "cpu", ("jit",)))


def test_work_counts_the_elements_inside_also_where_jax_only_traces() -> None:
    def function(x: Any) -> Any:
        return (x[:, None] * x).sum(0) * 2

    for work in of_both(function, inputs(8)):
        assert work is not None
        assert 8 * 8 + 8 + 8 <= work.elements <= 4 * (8 * 8 + 8 + 8)
        assert 3 <= work.operations <= 6


def test_work_counts_each_trip_of_a_scan() -> None:
    def scan(x: Any) -> Any:
        return jax.lax.scan(lambda carry, one: (carry + one, carry * 2), 0.0, x)[1]

    few, many = (of_jax(JaxProgram(scan, inputs(count), "cpu", ("jit",))) for count in (10, 1000))
    assert few is not None
    assert many is not None
    assert many.operations == few.operations
    assert many.elements == 100 * few.elements


def test_work_at_many_elements_is_that_of_few_times_their_number() -> None:
    def measure(function: Any) -> Callable[[Inputs], Work | None]:
        return lambda given: of_jax(JaxProgram(function, given, "cpu", ("jit",)))

    assert at_any_number(measure(lambda x: jnp.tanh(x) + 1), inputs(), 0, MANY) == Work(2, 2 * MANY)
    for uneven in (partial(looped, 1.0), partial(pairwise, 1.0), lambda x: x.reshape(2, 2)):
        assert at_any_number(measure(uneven), inputs(), 0, MANY) is None


def test_a_part_of_a_budget_takes_from_the_whole() -> None:
    whole = Budget(10)
    part = whole.part(6)
    part.pay(5)
    assert (part.left, whole.left) == (1, 5)
    with pytest.raises(SpentError):
        part.pay(2)
    whole.spend(9)
    assert part.left == whole.left == -4
