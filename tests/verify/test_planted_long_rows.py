"""Faults that only long rows show, as they once stood in the functions along an axis: the usual ``verify`` finds each."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import crosscheck

pytestmark = pytest.mark.full

Sum = Callable[[torch.Tensor, int], torch.Tensor]


def exact(terms: torch.Tensor, axis: int) -> torch.Tensor:
    """The sum, in float64."""
    return terms.double().sum(axis, keepdim=True)


def first_order(terms: torch.Tensor, axis: int) -> torch.Tensor:
    """A partition into high and low parts in float32, with 1 / s corrected to first order in the sum of the low parts."""
    terms = terms.float()
    top = terms.abs().amax(axis, keepdim=True)
    unit = torch.where(top > 0, top, 1) * 2.0 ** ((terms.shape[axis] - 1).bit_length() + 1)
    high = (terms + unit) - unit
    s, lost = high.sum(axis, keepdim=True), (terms - high).sum(axis, keepdim=True)
    inverse = (1 - lost / s) / s
    return 1 / inverse.double()


def lost_tail(terms: torch.Tensor, axis: int) -> torch.Tensor:
    """Without the terms that are below the rounding of the largest: each is nothing, and many are not."""
    top = terms.abs().amax(axis, keepdim=True)
    return exact(torch.where(terms.abs() < top * 2.0**-11, 0, terms), axis)


def float32_accumulator(terms: torch.Tensor, axis: int) -> torch.Tensor:
    """One term after the other, each partial sum rounded to float32."""
    sums = np.add.accumulate(terms.float().numpy(), axis=axis, dtype=np.float32)
    return torch.from_numpy(sums).narrow(axis, terms.shape[axis] - 1, 1).double()


SUMS = {"first-order correction": first_order, "lost tail": lost_tail, "float32 accumulator": float32_accumulator}


def powers(x: torch.Tensor, axis: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """e^(x - max), the largest entry, and the powers again without one of the largest."""
    top = x.double().amax(axis, keepdim=True)
    e = torch.exp(x.double() - top)
    return e, top, e.scatter(axis, x.argmax(axis, keepdim=True), 0)


def softmax(x: torch.Tensor, axis: int, add_up: Sum) -> torch.Tensor:
    e, _, _ = powers(x, axis)
    return e / add_up(e, axis)


def log_softmax(x: torch.Tensor, axis: int, add_up: Sum) -> torch.Tensor:
    _, top, others = powers(x, axis)
    return x.double() - top - torch.log1p(add_up(others, axis))


def logsumexp(x: torch.Tensor, axis: int, add_up: Sum) -> torch.Tensor:
    _, top, others = powers(x, axis)
    return (top + torch.log1p(add_up(others, axis))).squeeze(axis)


def logmeanexp(x: torch.Tensor, axis: int, add_up: Sum) -> torch.Tensor:
    e, top, _ = powers(x, axis)
    return (top + torch.log1p((add_up(e, axis) - x.shape[axis]) / x.shape[axis])).squeeze(axis)


def standardize(x: torch.Tensor, axis: int, add_up: Sum, epsilon: float) -> torch.Tensor:
    n = x.shape[axis]
    c = x.double() - add_up(x.double(), axis) / n
    return c / torch.sqrt(exact(c * c, axis) / n + epsilon)


def glu(x: torch.Tensor, axis: int, add_up: Sum) -> torch.Tensor:
    """It has no sum along the row: the same faults are in the gate's 1 + e^-b, the accumulator being that of a power."""
    a, b = x.double().chunk(2, axis)
    power = torch.exp(-b)
    if add_up is first_order:
        near = torch.round(b * 8) / 8
        power = torch.exp(-near) * (1 + (near - b))
    elif add_up is lost_tail:
        power = torch.where(power < 2.0**-11, 0, power)
    elif add_up is float32_accumulator:
        factor, power = torch.exp(-b / 64).float(), torch.ones_like(b).float()
        for _ in range(64):
            power = power * factor
        power = power.double()
    return a / (1 + power)


PROGRAMS: dict[str, Callable[..., torch.Tensor]] = {
    "softmax": softmax,
    "softmin": lambda x, axis, add_up: softmax(-x, axis, add_up),
    "log_softmax": log_softmax,
    "logsumexp": logsumexp,
    "logmeanexp": logmeanexp,
    "standardize": standardize,
    "glu": glu,
}


def planted(name: str, add_up: Sum) -> crosscheck.Report:
    """The value of a function with another sum, where all entries are finite or masked."""
    own = getattr(crosscheck.activations, name).torch

    def fault(x: torch.Tensor, axis: int, **parameters: Any) -> torch.Tensor:
        right = own(x, axis=axis, **parameters)
        row = x.double()
        simple = (row.isfinite() | (row == (torch.inf if name == "softmin" else -torch.inf))).all() and row.isfinite().any()
        if not simple or x.dtype != torch.float32 or x.shape[axis] < 100:
            return right
        y = PROGRAMS[name](x, axis, add_up, **parameters).to(x.dtype)
        return torch.where(y.isfinite(), y, right)

    return crosscheck.verify(
        name, replace={"torch": fault}, implementations=["torch"], dtypes=["float32"], orders=[0], modes=["eager"]
    )


@pytest.mark.parametrize("fault", SUMS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_fault_in_the_sum_of_a_long_row_is_found(name: str, fault: str) -> None:
    report = planted(name, SUMS[fault])
    failing = [comparison for comparison in report.comparisons if not comparison.passed]
    assert failing, str(report)
    assert {comparison.side for comparison in failing} == {"torch"}
    assert {comparison.cause for comparison in failing} <= {"inaccurate", "definition", "special"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_found_where_the_sum_is_right(name: str) -> None:
    report = planted(name, exact)
    assert report.passed, str(report)
