"""Standardize beyond the sampled rows: huge entries, infinities, entries at the mean; torch's layer_norm along any axis."""

import dataclasses
from math import inf, nan
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from floats import FORMATS, FloatArray, widen
from in_both import derivative, each_framework
from truths import row_truth

import crosscheck

pytestmark = pytest.mark.full

STANDARDIZE = crosscheck.activations["standardize"]
wide_formats = pytest.mark.parametrize("dtype", ["float32", "float64"])


def run(framework: str, x: FloatArray, order: int) -> Any:
    function = getattr(STANDARDIZE, framework)
    v, w = (np.random.default_rng(order).standard_normal((2, *x.shape))).astype(x.dtype)
    return derivative(framework, function, x, order, v, w)


def entries(dtype: str) -> FloatArray:
    """Rows of three entries, of every size that the format holds."""
    fmt = FORMATS[dtype]
    exponents = np.linspace(fmt.e_min / 2, fmt.e_max, 40)
    row = np.array([1, -0.75, 0.9375])
    return (np.exp2(exponents)[:, None] * row).astype(fmt.dtype)


@each_framework
@wide_formats
def test_rows_of_every_size(framework: str, dtype: str) -> None:
    """The squares of huge entries overflow, those of tiny ones vanish."""
    x = entries(dtype)
    assert np.isfinite(x).all()
    truth = row_truth(STANDARDIZE, x, x, (0,))[0]
    assert truth.judged.all()
    assert truth.error(run(framework, x, 0).ravel()).max() <= 4
    assert np.isfinite(widen(run(framework, x, 1))).all()


@each_framework
@wide_formats
@pytest.mark.parametrize("n", [2, 3, 7, 49, 100])
@pytest.mark.parametrize("level", [0.1, 950.1, 1e30])
def test_an_entry_at_the_mean_is_0(framework: str, dtype: str, n: int, level: float) -> None:
    x = np.full((1, n), level, dtype)
    assert not widen(run(framework, x, 0)).any()
    if n % 2 and level == 950.1:  # where adding the steps is exact
        apart = x + np.arange(-(n // 2), n // 2 + 1, dtype=dtype) / 8
        assert run(framework, apart.astype(dtype), 0)[0, n // 2] == 0


ROWS = {
    "plus infinity": ([0.0, inf, 5.0], [-(0.5**0.5), 2**0.5, -(0.5**0.5)]),
    "minus infinity": ([-inf, 700.0], [-1.0, 1.0]),
    "two opposite ones alone": ([-inf, inf], [-1.0, 1.0]),
    "one entry": ([inf], [0.0]),
    "two opposite ones beside another": ([-inf, inf, 0.0], [nan] * 3),
    "two alike": ([inf, inf, 0.0, 0.0], [nan] * 4),
    "infinity beside NaN": ([inf, nan, 0.0], [nan] * 3),
}


@each_framework
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("row", ROWS)
def test_infinite_entries_have_the_limit_or_none(framework: str, dtype: str, row: str) -> None:
    given, limit = ROWS[row]
    x = np.array([given]).astype(FORMATS[dtype].dtype)
    expected = np.array([limit]).astype(x.dtype)
    truth = row_truth(STANDARDIZE, x, np.ones_like(x), (0,))[0]
    np.testing.assert_array_equal(widen(truth.rounded), widen(expected).ravel())
    np.testing.assert_allclose(widen(run(framework, x, 0)), widen(expected), rtol=1e-6 if x.dtype.itemsize > 2 else 0)
    for order in (1, 2):
        np.testing.assert_array_equal(widen(run(framework, x, order)), 0 * widen(expected))


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_what_torch_ships_is_its_layer_norm_along_any_axis(axis: int) -> None:
    x = torch.from_numpy(np.random.default_rng(1).normal(3, 2, (4, 5, 6)))
    moved = F.layer_norm(x.transpose(axis, -1), (x.shape[axis],), eps=1e-3).transpose(axis, -1)
    native = dataclasses.replace(STANDARDIZE, parameters={"axis": axis, "epsilon": 1e-3}).torch.native
    torch.testing.assert_close(native(x), moved)
    torch.testing.assert_close(STANDARDIZE.torch(x, axis=axis, epsilon=1e-3), moved)
