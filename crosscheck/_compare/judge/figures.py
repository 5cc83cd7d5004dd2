"""How far two results differ, in numbers: tolerances, percentiles, and whether the usual checks would fail."""

from __future__ import annotations

from math import nan

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, Format, is_float, widen
from crosscheck._arithmetic.ulp import unit_of
from crosscheck._compare.judge.verdict import ElementVerdict
from crosscheck._frameworks.programs import Array

TORCH_DEFAULTS = {
    "float64": (1e-7, 1e-7),
    "float32": (1.3e-6, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float16": (1e-3, 1e-5),
}
"""rtol and atol of ``torch.testing.assert_close``, from its documentation."""
NUMPY_DEFAULTS = (1e-7, 0.0)
"""rtol and atol of ``numpy.testing.assert_allclose``, from its documentation."""

TINY = 1e-300
"""Keeps a relative error from dividing by zero."""


def figures(
    results: tuple[Array, Array], verdict: ElementVerdict, compared: BoolArray, fmt: Format, sampled: BoolArray | None = None
) -> dict[str, float | bool]:
    """Measures of the differences, over the elements that were compared and are finite on both sides.

    ``abs_p50, abs_p99, abs_max``: the absolute difference. ``rel_...``: relative to JAX's result. ``ulp_...``: in ULP of the
    in ULP of the larger result, percentiles over the ``sampled``. ``torch_ulp, jax_ulp``: each side's largest error against
    the truth, in ULP of it, or of its terms if these are larger and elements have terms in common; NaN if no truth is known.
    ``rtol``, ``atol``: the smallest with which ``allclose`` passes if the other is 0. ``assert_close_notices``,
    ``assert_allclose_notices``: whether torch's and numpy's checks fail with their default arguments.
    """
    x, y = (widen(result) for result in results)
    floats = is_float(results[0])
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        apart = np.abs(x - y)
        finite = compared & np.isfinite(apart)
        relative = apart / np.maximum(np.abs(y), TINY)
        relative = np.where(apart == 0, 0.0, np.where(y == 0, np.inf, relative))
        unit = unit_of(fmt, np.nan_to_num(np.maximum(np.abs(x), np.abs(y)))) if floats else np.ones(x.shape)
        measured: dict[str, float | bool] = {}
        for name, values in (("abs", apart), ("rel", relative), ("ulp", apart / unit)):
            drawn = finite if sampled is None else finite & sampled
            measured |= _percentiles(name, values[drawn], values[finite])
        truth_unit = (
            unit_of(fmt, np.maximum(np.nan_to_num(np.abs(verdict.truth)), verdict.terms)) if floats else np.ones(x.shape)
        )
        normal = finite & np.isfinite(verdict.truth) & (np.abs(verdict.truth) >= fmt.smallest_normal)
        for side, error in (("torch", verdict.torch_error), ("jax", verdict.jax_error)):
            measured[f"{side}_ulp"] = float((error / truth_unit)[normal].max()) if normal.any() else nan
        measured["rtol"], measured["atol"] = measured["rel_max"], measured["abs_max"]
        kind = TORCH_DEFAULTS[fmt.name] if floats else (0.0, 0.0)
        measured["assert_close_notices"] = bool((~_close(x, y, apart, *kind)).any())
        measured["assert_allclose_notices"] = bool(
            (~_close(x, y, apart, *NUMPY_DEFAULTS) & ~(np.isnan(x) & np.isnan(y))).any()
        )
    return measured


def _close(x: Float64Array, y: Float64Array, apart: Float64Array, rtol: float, atol: float) -> BoolArray:
    return np.asarray((x == y) | (np.isfinite(y) & (apart <= atol + rtol * np.abs(y))))


def _percentiles(name: str, sampled: Float64Array, values: Float64Array) -> dict[str, float]:
    p50, p99 = np.percentile(sampled, (50, 99), method="lower") if sampled.size else (0.0, 0.0)
    return {f"{name}_p50": float(p50), f"{name}_p99": float(p99), f"{name}_max": float(values.max(initial=0.0))}
