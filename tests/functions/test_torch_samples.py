"""crosscheck's functions for torch under the samples, the references and the gradient checks of torch's own tests."""

import dataclasses
from typing import Any

import pytest
import torch
from catalogue import NAMES
from contract import DTYPES
from torch_samples import Case, cases, ops, undifferentiable, wrong

import crosscheck

pytestmark = pytest.mark.full

FEW = ("silu", "softplus", "prelu", "log_softmax")
"""Of the default suite: one that deviates in torch, two with parameters, one of rows; derivatives of two of them."""
WITHOUT = {"linear", "log1mexp", "logmeanexp", "sparse_plus", "sparse_sigmoid", "squareplus"}
"""Those of which torch ships no function, or one that its tests have no samples of."""
OF_ROWS = {"dtype is torch.float64, not None", "the input has no row with an entry"}
LEFT_OUT = {
    "gelu": {"approximate is 'tanh', not 'none'"},
    "gelu_tanh": {"approximate is 'none', not 'tanh'"},
    "hard_tanh": {"min_val is -0.5, not -1.0", "min_val is 0.0, not -1.0"},
    "log_softmax": OF_ROWS,
    "logsumexp": {"keepdim is True, not False", "names is 2 axes, not one", "the input has no row with an entry"},
    "softmax": OF_ROWS,
    "softmin": OF_ROWS,
    "standardize": {"weight is a tensor, not None", *(f"normalized_shape is {n} axes, not one" for n in (2, 3))},
}
"""What torch's samples ask for that crosscheck's functions do not have. Any other reason fails."""

WITH = tuple(name for name in NAMES if name not in WITHOUT)
every_name = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in WITH]
)
every_dtype = pytest.mark.parametrize(
    "dtype", [pytest.param(dtype, marks=() if dtype == "float32" else pytest.mark.slow) for dtype in DTYPES]
)


def taken(name: str, dtype: str, *, gradients: bool = False) -> tuple[Case, ...]:
    """The samples, of which there are some; why others are left out is known."""
    samples = cases(crosscheck.activations[name], dtype, gradients=gradients)
    assert samples.taken
    assert set(samples.left_out) <= LEFT_OUT.get(name, set())
    return samples.taken


def test_every_function_that_torch_has_samples_of_is_put_to_them() -> None:
    assert {name for name in NAMES if not ops(crosscheck.activations[name])} == WITHOUT


@every_dtype
@every_name
def test_values_are_what_torch_expects_of_its_own(name: str, dtype: str) -> None:
    activation = crosscheck.activations[name]
    assert [said for case in taken(name, dtype) for said in wrong(activation, case, activation.torch)] == []


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in FEW[:2] else pytest.mark.slow) for name in WITH])
def test_derivatives_are_those_of_finite_differences(name: str) -> None:
    activation = crosscheck.activations[name]
    given = taken(name, "float64", gradients=True)
    assert [said for case in given for said in undifferentiable(activation, case, activation.torch)] == []


SILU, SOFTPLUS = crosscheck.activations["silu"], crosscheck.activations["softplus"]

FAULTS = {
    "a thousandth more": (SILU, lambda x: SILU.torch(x) * 1.001, "results are not the truth"),
    "the tail lost": (SOFTPLUS, lambda x, **p: (1 + (p["beta"] * x).exp()).log() / p["beta"], "results are not the truth"),
    "NaN, as torch has it, where torch has none": (
        SILU,
        lambda x: torch.where(x == torch.inf, torch.nan, SILU.torch(x)),
        "results are not the truth",
    ),
    "a parameter that is ignored": (SOFTPLUS, lambda x, beta, threshold: SOFTPLUS.torch(x), "results are not the truth"),
    "another dtype": (SILU, lambda x: SILU.torch(x).double(), "torch.float64 of "),
    "another shape": (SILU, lambda x: SILU.torch(x)[None], "expected torch.float32 of "),
}


def small(name: str) -> list[Case]:
    """Those of few elements, the infinities and NaN among them."""
    return [case for case in taken(name, "float32") if case.sample.input.numel() <= 100]


@pytest.mark.parametrize(("activation", "function", "said"), FAULTS.values(), ids=FAULTS)
def test_a_wrong_value_is_caught(activation: crosscheck.Activation, function: Any, said: str) -> None:
    problems = [problem for case in small(activation.name) for problem in wrong(activation, case, function)]
    assert any(said in problem for problem in problems), problems


def test_a_deviation_of_torch_that_is_not_declared_is_caught() -> None:
    bare = dataclasses.replace(SILU, deviations=())
    problems = [problem for case in small("silu") for problem in wrong(bare, case, bare.torch)]
    assert problems
    assert all("is off without a declared deviation" in problem for problem in problems)


class WrongGradient(torch.autograd.Function):
    """SiLU with a gradient that is a thousandth too large."""

    @staticmethod
    def forward(x: Any) -> Any:
        return SILU.torch(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 1.001 * gradients[0] * SILU.torch_gradient(torch, x)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return WrongGradient.backward(ctx, *tangents)


class WrongSecond(torch.autograd.Function):
    """SiLU with the right gradient, of which the derivative by x is lost."""

    @staticmethod
    def forward(x: Any) -> Any:
        return SILU.torch(x)

    setup_context = WrongGradient.setup_context

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (x,) = ctx.saved_tensors
        return gradients[0] * SILU.torch_gradient(torch, x).detach()

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        return WrongSecond.backward(ctx, *tangents)


@pytest.mark.parametrize("fault", [WrongGradient, WrongSecond])
def test_a_wrong_derivative_is_caught(fault: Any) -> None:
    case, *_ = taken("silu", "float64", gradients=True)
    assert undifferentiable(SILU, case, SILU.torch) == []
    assert undifferentiable(SILU, case, fault.apply)
