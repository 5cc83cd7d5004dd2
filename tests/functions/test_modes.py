"""Own implementations in every mode; a fault that shows in one mode alone is found there, and what cannot be run is said."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from contract import MODES
from in_both import torch_compiles

import crosscheck

pytestmark = pytest.mark.full

SIGMOID = crosscheck.activations["sigmoid"]


@pytest.mark.parametrize("name", crosscheck.activations)
def test_own_implementations_hold_under_vmap_and_in_forward_mode(name: str) -> None:
    report = crosscheck.verify(name, modes=["vmap", "forward"], implementations=["torch", "jax"], quick=True)
    assert report.passed
    forward = {(c.implementation, c.order) for c in report.comparisons if c.mode == "forward" and c.against == "exact"}
    known = crosscheck.activations[name].symmetric
    assert forward == ({(side, order) for side in ("torch", "jax") for order in (1, 2)} if known else set())
    assert {(c.implementation, c.order) for c in report.comparisons if c.mode == "vmap" and c.against == "exact"} == {
        (side, order) for side in ("torch", "jax") for order in (0, 1, 2)
    }
    assert {(c.implementation, c.mode) for c in report.comparisons if c.against == "jax"} == {
        ("torch", mode) for mode in ("vmap", *(["forward"] if known else []))
    }


class WrongForward(torch.autograd.Function):
    """The sigmoid, right in reverse mode and half of it in forward mode."""

    @staticmethod
    def forward(x: Any) -> Any:
        return torch.sigmoid(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any], output: Any) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (s,) = ctx.saved_tensors
        return gradients[0] * s * (1 - s)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        (s,) = ctx.saved_tensors
        return tangents[0] * s * (1 - s) / 2


def wrong_in_one_call(x: Any) -> Any:
    """Right for arrays, wrong for the scalars that vmap hands over."""
    return SIGMOID.jax(x) * (1 if x.ndim else 2)


@pytest.mark.parametrize(
    ("side", "fault", "mode", "order", "usual"),
    [
        ("torch", WrongForward.apply, "forward", 1, "eager"),
        ("jax", wrong_in_one_call, "vmap", 0, "jit"),
        ("torch", lambda x: SIGMOID.torch(x) * (1 if x.ndim else 2), "vmap", 0, "eager"),
    ],
    ids=["forward", "jax vmap", "torch vmap"],
)
def test_a_fault_in_one_mode_is_found_there_alone(
    side: str, fault: Callable[..., Any], mode: str, order: int, usual: str
) -> None:
    options: dict[str, Any] = {"dtypes": ["float64"], "orders": [order], "implementations": [side], "replace": {side: fault}}
    (wrong,) = crosscheck.verify("sigmoid", modes=[mode], **options).comparisons
    assert (wrong.passed, wrong.cause, wrong.side, wrong.mode) == (False, "definition", side, mode)
    (right,) = crosscheck.verify("sigmoid", modes=[usual], **options).comparisons
    assert right.cause != "definition"


@pytest.mark.slow
@pytest.mark.parametrize("name", crosscheck.activations)
def test_everything_holds_in_every_mode_and_layout(name: str) -> None:
    report = crosscheck.verify(name, modes=MODES, layout=True)
    assert report.passed, str(report)
    assert {c.mode for c in report.comparisons} >= {"eager", "jit", "vmap"}
    assert any(c.against == "alone" for c in report.comparisons)


@pytest.mark.parametrize("name", ["sigmoid", "elu", "softmax"])
def test_torch_compile_is_run_as_a_graph_or_said_to_be_missing(name: str) -> None:
    """Of elu it makes exp(x) - 1, and of softmax's int32 exponents C++ that is none, if it is given these."""
    report = crosscheck.verify(name, modes=["compile", "jit"], implementations=["torch", "jax"], quick=True)
    compiled = {(c.implementation, c.against, c.order) for c in report.comparisons if c.mode == "compile"}
    if not torch_compiles():
        assert list(report.skipped) == ["compile"]
        assert not compiled
    else:
        assert report.passed, [c.message for c in report.comparisons]
        assert compiled == {("torch", against, order) for against in ("exact", "jax") for order in (0, 1)}


def test_what_another_thread_compiles_changes_no_derivative() -> None:
    """An own implementation has other rules under torch.compile, which it may not take from a thread beside it."""
    if not torch_compiles():
        pytest.skip("no C++ compiler")
    softplus = crosscheck.activations.softplus.torch
    x = torch.linspace(-3, 3, 8, dtype=torch.float64)

    def second() -> Any:
        leaf = x.clone().requires_grad_()
        (first,) = torch.autograd.grad(softplus(leaf).sum(), leaf, create_graph=True)
        return torch.autograd.grad(first.sum(), leaf)[0]

    expected, seen = second(), []
    with ThreadPoolExecutor(1) as other:
        compiled = other.submit(lambda: torch.compile(lambda x: softplus(x) + 1, fullgraph=True)(x))
        while not compiled.done():
            seen.append(torch.equal(second(), expected))
    compiled.result()
    assert seen
    assert all(seen)


def test_a_function_that_torch_cannot_compile_whole_is_an_error() -> None:
    if not torch_compiles():
        pytest.skip("no C++ compiler")

    def broken(x: Any) -> Any:
        torch._dynamo.graph_break()
        return torch.sigmoid(x)

    report = crosscheck.verify(
        "sigmoid", modes=["compile"], dtypes=["float32"], orders=[0], implementations=["torch"], replace={"torch": broken}
    )
    (comparison,) = report.comparisons
    assert (comparison.passed, comparison.cause) == (False, "error")


def test_without_a_compiler_the_mode_is_skipped_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    report = crosscheck.verify("relu", modes=["eager", "compile"], dtypes=["float32"], orders=[0], implementations=["torch"])
    assert {c.mode for c in report.comparisons} == {"eager"}
    (line,) = report.skipped.values()
    assert re.search("torch.compile needs a C.. compiler, and there is no no-such-compiler here; install one", line)
    assert line in " ".join(str(report).split())
    alone = crosscheck.verify("relu", modes=["compile"], dtypes=["float32"], orders=[0], implementations=["torch"])
    assert not alone.passed
    assert not alone.compared
