"""Results that change where a gradient is asked for, with what comes in, or at a second call are found, and said so."""

from typing import Any

import jax
import numpy as np
import pytest
import torch
from facts import kind_of

import crosscheck
from crosscheck import Comparison

pytestmark = pytest.mark.full

TANH = crosscheck.activations["tanh"]


def judged(side: str, fault: Any, orders: list[int]) -> list[Comparison]:
    report = crosscheck.verify(
        "tanh", implementations=[side], dtypes=["float32"], orders=orders, modes=["eager"], replace={side: fault}
    )
    return list(report.comparisons)


class Ignoring(torch.autograd.Function):
    """tanh, whose gradient is what it is for 1, whatever comes in."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return TANH.torch(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (x,) = ctx.saved_tensors
        assert TANH.torch_gradient is not None
        return TANH.torch_gradient(torch, x)


@jax.custom_vjp
def ignoring(x: Any) -> Any:
    return TANH.jax(x)


def ignoring_rule(x: Any, _: Any) -> tuple[Any]:
    assert TANH.jax_gradient is not None
    return (TANH.jax_gradient(jax, x),)


ignoring.defvjp(lambda x: (TANH.jax(x), x), ignoring_rule)


@pytest.mark.parametrize(("side", "fault"), [("torch", Ignoring.apply), ("jax", ignoring)])
def test_a_gradient_that_ignores_what_comes_in_is_found(side: str, fault: Any) -> None:
    value, gradient = judged(side, fault, [0, 1])
    assert value.passed
    assert (gradient.passed, gradient.cause, gradient.side) == (False, "definition", side)
    assert kind_of(gradient.notes[0]) == "with another cotangent"


def test_a_value_that_is_another_where_a_gradient_is_asked_for_is_found() -> None:
    def fault(x: Any) -> Any:
        y = TANH.torch(x)
        return y + 0.01 * y.detach() if x.requires_grad else y

    value, gradient = judged("torch", fault, [0, 1])
    assert (value.passed, value.cause, value.side) == (False, "definition", "torch")
    assert kind_of(value.notes[0]) == "with a gradient"
    assert gradient.passed
    assert judged("torch", fault, [0])[0].passed, "nobody asked for a gradient"


def test_a_value_that_is_another_at_a_second_call_is_found() -> None:
    calls = []

    def fault(x: Any) -> Any:
        calls.append(x)
        return TANH.torch(x) * (1.01 if len(calls) > 1 else 1)

    (value,) = judged("torch", fault, [0])
    assert (value.passed, value.side) == (False, "torch")
    assert kind_of(value.notes[0]) == "at a second call"


@pytest.mark.parametrize("order", [0, 1])
def test_a_function_that_changes_its_input_is_an_error(order: int) -> None:
    def fault(x: Any) -> Any:
        y = TANH.torch(x)
        with torch.no_grad():
            x.mul_(2)
        return y

    (comparison,) = judged("torch", fault, [order])
    assert (comparison.passed, comparison.cause) == (False, "error")
    assert comparison.message == "WrongOutputError: the function changes its input in place"


@pytest.mark.parametrize("name", ["tanh", "relu", "softmax", "logsumexp", "glu"])
def test_the_own_implementations_are_the_same_again(name: str) -> None:
    report = crosscheck.verify(name, implementations=["torch", "jax"], dtypes=["float32"], orders=[0, 1], modes=["eager"])
    assert report.passed
    notes = [note for comparison in report.comparisons for note in comparison.notes]
    assert [note for note in notes if not note.startswith("worst row: ")] == []


@pytest.mark.parametrize("side", ["torch", "jax"])
def test_an_error_of_the_array_s_size_is_another_function(side: str) -> None:
    """In float64 other inputs are tried, fewer of them, so that the error is smaller there."""

    def scaled(x: Any) -> Any:
        y = TANH.torch(x) if side == "torch" else TANH.jax(x)
        fixed = y.detach() if side == "torch" else jax.lax.stop_gradient(y)
        return fixed + (y - fixed) * x.shape[0]

    value, gradient = judged(side, scaled, [0, 1])
    assert value.passed
    counts = {cause: count.count for cause, count in gradient.uncovered.items()}
    assert max(counts, key=counts.__getitem__) == "definition", counts


def test_a_wrong_value_at_the_largest_number_is_another_function() -> None:
    """It is no rest of terms as large as the input, which would be 0 or far larger."""
    largest = float(np.finfo(np.float32).max)
    (value,) = judged("torch", lambda x: torch.where(x == largest, TANH.torch(x) + 1, TANH.torch(x)), [0])
    assert (value.cause, value.worst and value.worst.input) == ("definition", largest)


@pytest.mark.parametrize("x0", [1.0, -0.5, 20.0, 2.0**-31, -(2.0**90)])
def test_round_numbers_are_among_the_inputs(x0: float) -> None:
    (value,) = judged("torch", lambda x: torch.where(x == x0, TANH.torch(x) + 1, TANH.torch(x)), [0])
    assert not value.passed
    assert value.worst is not None
    assert value.worst.input == x0
