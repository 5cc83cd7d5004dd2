"""Rules between two functions: derivatives that are right for what comes in at 1 alone or missing, NaN, zeros, integers."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from facts import assert_facts

import crosscheck
from crosscheck import Fact

pytestmark = pytest.mark.usefixtures("no_simpler_input")


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


NAN = float("nan")
X, Y = ([torch.tensor(numbers)] for numbers in ([NAN, 1.0, 2.0, 3.5], [1.0, NAN, 3.0, 2.25]))


@pytest.mark.parametrize(
    ("torch_fn", "jax_fn", "inputs", "passes"),
    [
        (torch.fmax, jnp.maximum, X + Y, "JAX"),
        (torch.maximum, jnp.fmax, X + Y, "PyTorch"),
        (torch.nansum, jnp.sum, X, "JAX"),
        (torch.mean, jnp.nanmean, Y, "PyTorch"),
    ],
)
def test_what_a_function_makes_of_nan_is_part_of_what_it_means(
    torch_fn: Any, jax_fn: Any, inputs: list[Any], passes: str
) -> None:
    report = crosscheck.compare(torch_fn, jax_fn, inputs, order=0, modes=["jit"])
    assert (report.passed, report.cause, report.side) == (False, "definition", None)
    assert_facts(report.diagnosis.facts, Fact("nan", role=passes))


def test_nan_hides_on_what_a_result_depends() -> None:
    inputs = [torch.tensor([NAN, 3.0, -2.0]), torch.tensor([0.0, 1.0, 0.0])]
    report = crosscheck.compare(lambda x, m: torch.where(m > 0, x, 0.0), lambda x, m: x * m, inputs, order=0, modes=["jit"])
    assert (report.passed, report.cause, report.side) == (False, "definition", None)
    assert not [fact for fact in report.diagnosis.facts if fact.kind == "unused"]


def test_nan_beside_an_overflow_does_not_excuse_it() -> None:
    """The first row overflows, in float64 too; a NaN in the second one is another matter."""
    x = torch.tensor([[1000.0, 1.0], [NAN, 1.0]])
    report = crosscheck.compare(
        lambda x: torch.logsumexp(x, -1), lambda x: jnp.log(jnp.exp(x).sum(-1)), [x], order=0, modes=["jit"]
    )
    assert (report.passed, report.cause, report.side) == (False, "special", "jax")


@pytest.mark.parametrize(
    ("torch_fn", "jax_fn", "x"),
    [
        (torch.round, lambda x: jnp.floor(x + 0.5), [-0.3]),
        (lambda x: x * (x > 0), lambda x: jnp.where(x > 0, x, 0), [-1.0, 2.0]),
    ],
)
def test_zeros_of_different_sign_pass_as_a_convention_and_are_not_called_the_same(
    torch_fn: Any, jax_fn: Any, x: Any
) -> None:
    report = crosscheck.compare(torch_fn, jax_fn, [torch.tensor(x)], order=0, modes=["jit"])
    assert report.passed, str(report)
    assert report.comparisons[0].cause == "convention"
    assert report.verdict.endswith(f": {Fact('zeros of other sign').words()}.")
    assert report.deviations.keys() == {"sign of zero"}


def test_gradients_whose_zeros_differ_in_sign_are_the_same_numbers() -> None:
    x = torch.tensor([[0.5, -2.0, 1.5], [3.0, 0.25, -1.0]])
    report = crosscheck.compare(lambda x: torch.max(x, dim=1).values, lambda x: jnp.max(x, axis=1), [x])
    assert report.passed
    assert any(comparison.causes.keys() != {"exact"} for comparison in report.comparisons)
    assert all(not (c.figures["rtol"] or c.figures["atol"]) for c in report.comparisons)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int8])
def test_an_integer_that_wraps_around_is_called_that(dtype: torch.dtype) -> None:
    """PyTorch adds up in int64, JAX in int32; a factor would fit as well."""
    x = torch.full((5,), torch.iinfo(dtype).max // 2 + 1, dtype=dtype)
    report = crosscheck.compare(
        lambda x: x.sum(), lambda x: x.sum(dtype=str(dtype).removeprefix("torch.")), [x], modes=["jit"]
    )
    assert (report.passed, report.cause, report.side) == (False, "definition", None)
    assert_facts(report.diagnosis.facts, Fact("wrapped", f"int{torch.iinfo(dtype).bits}", "JAX"))


stop = jax.lax.stop_gradient


@pytest.mark.parametrize(
    ("torch_fn", "jax_fn", "side"),
    [
        (lambda x, y: x * y.detach(), lambda x, y: stop(x) * y, None),
        (lambda x, y: x * y.detach() + y, lambda x, y: (x + 1) * stop(y), None),
        (lambda x, y: x * y, lambda x, y: x * stop(y), "jax"),
    ],
    ids=["each lacks another one", "one lacks a part", "one lacks it"],
)
def test_where_both_sides_lack_a_gradient_none_is_named(torch_fn: Any, jax_fn: Any, side: str | None) -> None:
    report = crosscheck.compare(torch_fn, jax_fn, [crosscheck.normal(5), crosscheck.normal(5)], modes=["jit"])
    assert (report.passed, report.cause, report.side) == (False, "missing", side)
