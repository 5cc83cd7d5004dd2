"""Rows whose results are nearly 0, since the terms of these cancel: the own functions keep the digits, and a search finds
those that do not.
"""

import functools
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from contract import ORDERS, budget
from facts import subjects
from floats import FORMATS, Float64Array
from in_both import derivative
from judging import CODE, JudgingSetting, judge
from truths import STARTS, RowShape, Sample, Truth, row_truth

import crosscheck

pytestmark = pytest.mark.full

LENGTH = 50_000


def ahead(distance: float) -> Float64Array:
    """One entry of a long row is ahead of the others by log n, more or less."""
    row = np.zeros(LENGTH)
    row[7] = np.log(LENGTH) + distance
    return row


def crossing(name: str, row: Float64Array, target: float) -> Float64Array:
    """The row, moved until its result is the target."""
    for _ in range(3):
        row = row - (crosscheck.activations[name].definition(np, row[None]).item() - target)
    return row


def beside_the_mean(seed: int, dtype: type) -> Float64Array:
    """An entry is the mean of the others, rounded: what is left is far below their last digits."""
    row = np.random.default_rng(seed).standard_normal(200).astype(dtype)
    return np.append(row, np.longdouble(row).mean().astype(dtype)).astype(np.float64)


NORMAL = np.random.default_rng(3).standard_normal(1000)
ROWS: dict[str, dict[str, Float64Array]] = {
    "logsumexp": {
        "two equal entries": np.full(2, -np.log(2)),
        "a thousand": np.full(1000, -np.log(1000)),
        "logits": crossing("logsumexp", NORMAL * 3, 0),
        "logits near 0": crossing("logsumexp", NORMAL * 3, 1e-6),
        "one entry that dominates": crossing("logsumexp", np.where(np.arange(1000) == 3, 0.0, -15), 0),
        "masked": crossing("logsumexp", np.where(np.arange(1000) % 3 > 0, NORMAL, -np.inf), 0.01),
    },
    "logmeanexp": {
        "ahead by log n": ahead(0),
        "a little more": ahead(0.043),
        "less": ahead(-1.5),
        "two entries": np.array([0.25, -0.33]),
        "logits": crossing("logmeanexp", NORMAL * 3, 0),
        "logits near 0": crossing("logmeanexp", NORMAL * 3, 1e-6),
        "a narrow row": crossing("logmeanexp", NORMAL * 1e-3, 0),
    },
    "standardize": {
        "an entry beside the mean": np.append(NORMAL + 300, np.mean(NORMAL + 300)),
        "a narrow row": np.append(NORMAL * 1e-3, np.mean(NORMAL * 1e-3)),
        "the nearest float32 to a mean": beside_the_mean(9, np.float32),
        "the nearest float64 to a mean": beside_the_mean(352, np.float64),
    },
}


@functools.cache
def judged_rows(name: str, dtype: str, row: str) -> tuple[Sample, dict[int, Truth], dict[int, Float64Array]]:
    """The row with its direction, and the truths and scales of each order; the value's unit is its own, or an ULP of its
    terms' ULP where it is smaller than that.
    """
    activation, fmt = crosscheck.activations[name], FORMATS[dtype]
    x = ROWS[name][row][None].astype(fmt.dtype)
    v = np.random.default_rng(1).uniform(-2, 3, x.shape).astype(fmt.dtype)
    sample = Sample.of_rows(x, v, activation)
    scales = sample.scales(activation, ORDERS, activation.parameters)
    if 0 in scales:
        scales[0] = scales[0] * 2.0 ** (1 - fmt.precision)
    return sample, sample.truths(activation, ORDERS, activation.parameters), scales


def errors(name: str, dtype: str, row: str, side: str, *, jit: bool) -> dict[int, float]:
    """The largest error of each order as a share of its budget."""
    sample, truths, scales = judged_rows(name, dtype, row)
    function = partial(reshaped, getattr(crosscheck.activations[name], side), sample.cotangent.shape)
    shares = {}
    for order in ORDERS:
        got = derivative(side, function, sample.x, order, sample.cotangent, sample.v, jit=jit)
        flushes = side == "jax"  # XLA on the CPU
        setting = JudgingSetting(budget(dtype, order), flushes, flushes, truths[order], scales.get(order), rows=True)
        judged = judge(sample.known(order), got.ravel(), truths[order], setting)
        wrong = judged.codes < CODE["flush"]
        shares[order] = float((judged.ulp_of_unit * wrong).max()) / budget(dtype, order)
    return shares


def reshaped(function: Any, shape: tuple[int, ...], x: Any) -> Any:
    """The results of rows that are reduced to one, as rows of one entry."""
    return function(x).reshape(shape)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("side", ["torch", "jax", "jax under jit"])
@pytest.mark.parametrize(("name", "row"), [(name, row) for name, rows in ROWS.items() for row in rows])
def test_a_result_that_cancels_keeps_its_digits(name: str, row: str, side: str, dtype: str) -> None:
    framework, _, jit = side.partition(" under ")
    shares = errors(name, dtype, row, framework, jit=bool(jit))
    assert max(shares.values()) <= 1, shares


def test_ahead_by_log_n_is_right_to_an_ulp_of_the_result() -> None:
    """Not only of the terms, which are 30 times the result."""
    for dtype in ("float64", "float32"):
        rows = np.stack([ahead(distance) for distance in (-1.5, 0, 0.043)]).astype(dtype)
        truth = row_truth(crosscheck.activations.logmeanexp, rows, rows, [0])[0]
        got = crosscheck.activations.logmeanexp.torch(torch.from_numpy(rows)).numpy()
        assert truth.error(got).max() < 0.51


def subtracted(x: torch.Tensor, axis: int) -> torch.Tensor:
    """logmeanexp as it once was: the largest entry, and the logarithm of the mean."""
    right = crosscheck.activations.logmeanexp.torch(x, axis=axis)
    top = x.amax(axis, keepdim=True)
    y = (top + ((x - top).exp().mean(axis, keepdim=True)).log()).squeeze(axis)
    near = x.isfinite().all(axis) & (right.abs() < (right - top.squeeze(axis)).abs())  # where alone it differs
    return torch.where(near, y, right)


def test_verify_finds_a_value_that_loses_its_digits_where_it_cancels() -> None:
    options: dict[str, Any] = {"dtypes": ["float64"], "orders": [0], "modes": ["eager"]}
    report = crosscheck.verify("logmeanexp", replace={"torch": subtracted}, implementations=["torch"], **options)
    failed = {comparison.wrt: comparison for comparison in report.comparisons if not comparison.passed}
    searched = failed.get("x, rows of 1000, found by a search")
    assert searched is not None, str(report)
    assert {comparison.side for comparison in failed.values()} == {"torch"}
    shapes = [shape for kind, shape in subjects(searched.notes) if kind == "worst row"]
    assert any(shape.moves for shape in shapes), shapes


MOVED = [
    (name, shape)
    for name, moves in {"logsumexp": "the row", "logmeanexp": "the row", "standardize": "one entry"}.items()
    for shape in STARTS
    if shape.moves == moves
]


@pytest.mark.parametrize(("name", "shape"), MOVED, ids=str)
def test_a_row_is_moved_until_a_result_is_what_is_said(name: str, shape: RowShape) -> None:
    activation = crosscheck.activations[name]
    sample = Sample.of_shapes([shape], 1000, activation, FORMATS["float64"])
    results = activation.definition(np, sample.x).ravel()
    assert abs(results - shape.target).min() < 1e-9


def test_a_row_of_a_function_that_never_crosses_0_is_left_as_it_is() -> None:
    shape = RowShape("logits", 2, moves="the row")
    sample = Sample.of_shapes([shape], 100, crosscheck.activations.softmax, FORMATS["float64"])
    np.testing.assert_array_equal(sample.x[0], RowShape("logits", 2).draw(100, -np.inf))


def test_torch_compile_keeps_the_digits_too() -> None:
    """It would not come to an end over the formula, which is one operation to it."""
    for name in ("logsumexp", "logmeanexp"):
        function = getattr(crosscheck.activations, name).torch
        x = torch.from_numpy(crossing(name, NORMAL[:8], 0))[None]
        torch.testing.assert_close(torch.compile(function, fullgraph=True)(x), function(x), rtol=1e-14, atol=0)
