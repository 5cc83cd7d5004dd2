"""The implementations of an activation, each as a function of x alone that a framework runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from crosscheck._arithmetic.formats import Float64Array, FloatArray
from crosscheck._frameworks import backend
from crosscheck._frameworks.base import THREADS, Cotangents, Flush
from crosscheck._records.implementations import MATCHED, NATIVE, Implementation
from crosscheck._records.interface import native_function
from crosscheck._records.records import Activation
from crosscheck._verify.inputs.sample import Sample


def implementations_of(activation: Activation, parameters: Mapping[str, float]) -> tuple[Implementation, ...]:
    """The implementations that exist for an activation at these values of its parameters."""
    implementations = [Implementation("torch"), Implementation("jax")]
    for side in activation.natives:
        plain, matched = (activation.native_arguments(side, parameters, matched=matched) for matched in (False, True))
        if plain is not None:
            implementations.append(Implementation(side, NATIVE))
        if matched != plain:
            implementations.append(Implementation(side, MATCHED))
    return (*implementations, Implementation("analytic"))


class Run(Protocol):
    def __call__(self, sample: Sample, order: int, mode: str, *, view: str | None = None) -> FloatArray | None: ...


Pull = Callable[[Sample, FloatArray], tuple[FloatArray, FloatArray | None]]


@dataclass(frozen=True)
class Runner:
    """Runs an implementation: ``run(sample, order, mode)`` gives its results, flat, or None if it finds no derivative.

    With a ``view``, one of ``VIEWS``, the implementation gets the same inputs as that view of another array. ``pull(sample,
    factors)`` gives the value that comes with a gradient, and the gradient for the cotangent times ``factors``; formulas do
    not have it. ``own``: what it runs stands for crosscheck's own.
    """

    run: Run
    flush: Callable[[str, str], Flush]
    pull: Pull | None = None
    own: bool = False


@dataclass(frozen=True)
class View:
    """``base`` makes an array that contains the inputs, ``call`` a function of it; ``part`` selects the inputs' results."""

    base: Callable[[FloatArray], FloatArray]
    part: Callable[[Any], Any]
    call: Callable[[Callable[[Any], Any], Any], Any]


GAPS = "with gaps"
VIEWS = {
    GAPS: View(lambda x: np.repeat(x, 2, axis=0), lambda a: a[::2], lambda f, a: f(a[::2])),
    "that begins later": View(lambda x: np.concatenate([x[:1], x]), lambda a: a[1:], lambda f, a: f(a[1:])),
    "of one more axis": View(lambda x: np.stack([x, x]), lambda a: a[0], lambda f, a: f(a)[0]),
    "of swapped axes": View(lambda x: np.stack([x, x], 1), lambda a: a[:, 0], lambda f, a: f(a.swapaxes(0, 1))[0]),
}
"""The views, for arrays of both frameworks."""


def runner(
    activation: Activation,
    implementation: Implementation,
    parameters: Mapping[str, float],
    device: str,
    replacement: Callable[..., Any] | None,
) -> Runner:
    """Make the runner of an implementation with these parameters. ``replacement`` is called instead, with the parameters.

    Raises what the import of the framework or of its function raises.
    """
    if implementation.side == "analytic":
        return Runner(partial(_analytic, activation, parameters, replacement), lambda dtype, mode: Flush(False, False))
    framework = backend(implementation.side)
    framework.check_device(device)
    function = function_of(activation, implementation, parameters, replacement)

    if activation.result == "one":
        function = _with_axis(function, int(parameters["axis"]))

    of_views = {name: partial(view.call, function) for name, view in VIEWS.items()}
    along_first = activation.rows and parameters["axis"] == 0

    def derivatives(*arguments: Any, **keywords: Any) -> dict[int, FloatArray | None]:
        with framework.threads(THREADS):
            return framework.derivatives(*arguments, **keywords)

    def run(sample: Sample, order: int, mode: str, *, view: str | None = None) -> FloatArray | None:
        arrays: list[FloatArray | None] = [sample.x, sample.cotangent, sample.v]
        turned = along_first and mode != "vmap"  # vmap passes each row alone
        if turned:
            arrays = [None if array is None else array.T for array in arrays]
        x, v, w = arrays
        assert x is not None
        if view is None:
            result = derivatives(function, x, (order,), mode, device, Cotangents(v, w))[order]
        else:
            base, part = VIEWS[view].base, VIEWS[view].part
            shape = x.shape if v is None else v.shape
            along = Cotangents(v, None if w is None else base(w))
            result = derivatives(of_views[view], base(x), (order,), mode, device, along, shape=shape)[order]
            result = part(result) if order and result is not None else result
        return None if result is None else (result.T if turned else result).ravel()

    def pull(sample: Sample, factors: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        cotangent = factors if sample.cotangent is None else sample.cotangent * factors
        x, v = (sample.x.T, cotangent.T) if along_first else (sample.x, cotangent)
        results = derivatives(function, x, (0, 1), "eager", device, Cotangents(v), shape=v.shape)
        value, gradient = results[0], results[1]
        assert value is not None
        if along_first:
            value, gradient = value.T, None if gradient is None else gradient.T
        return value.ravel(), None if gradient is None else gradient.ravel()

    return Runner(run, lambda dtype, mode: framework.flush(dtype, mode, device), pull, implementation.own)


def function_of(
    activation: Activation,
    implementation: Implementation,
    parameters: Mapping[str, float],
    replacement: Callable[..., Any] | None = None,
) -> Callable[[Any], Any]:
    """An implementation or its replacement as a function of x alone; raises what its import raises."""
    if replacement is not None:
        return partial(replacement, **parameters)
    if implementation.own:
        return partial(getattr(activation, implementation.side), **parameters)
    arguments = activation.native_arguments(implementation.side, parameters, matched=implementation.kind == MATCHED)
    assert arguments is not None, f"{implementation.name} is no implementation at {parameters}"
    return native_function(activation.natives[implementation.side], arguments)


def _with_axis(function: Callable[[Any], Any], axis: int) -> Callable[[Any], Any]:
    """A function that drops the axis of the rows, changed to keep it with length 1; other results are unchanged."""

    def kept(x: Any) -> Any:
        result = function(x)
        shape = [*x.shape]
        del shape[axis]
        if tuple(getattr(result, "shape", ())) != tuple(shape):
            return result
        shape.insert(axis % x.ndim, 1)
        return result.reshape(shape)

    return kept


def _analytic(
    activation: Activation,
    parameters: Mapping[str, float],
    replacement: Callable[..., Any] | None,
    sample: Sample,
    order: int,
    mode: str,
    *,
    view: str | None = None,
) -> FloatArray:
    formula = replacement or (activation.derivative if order == 1 else activation.second_derivative)
    m: Any = np
    directions: list[FloatArray] = []
    if sample.v is not None and sample.cotangent is not None:
        m, directions, parameters = _Rows(), [sample.cotangent, sample.v][:order], {**parameters, "axis": -1}
    with np.errstate(all="ignore"):
        result = np.asarray(formula(m, sample.x, *directions, **parameters), dtype=np.float64)
    return np.broadcast_to(result, sample.x.shape).ravel()


class _Rows:
    """numpy with sums along a row that are rounded once, so that the order of the sums does not affect the formula."""

    def sum(self, a: Float64Array, axis: int, keepdims: bool = False) -> Float64Array:
        total = np.apply_along_axis(_sum, axis, a)
        return np.expand_dims(total, axis) if keepdims else total

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def _sum(row: Float64Array) -> float:
    return math.fsum(row) if np.isfinite(row).all() else float(row.sum())


def covers(activation: Activation, implementation: Implementation, dtype: str, order: int, mode: str) -> bool:
    """Whether an implementation can be judged in a dtype, order and mode.

    The analytic formulas are derivatives, judged in float64. ``torch.compile`` does not differentiate twice. Forward mode
    gives only derivatives; for rows, the known ones are J^T v, so it needs a symmetric Jacobian J.
    """
    if implementation.side == "analytic":
        return dtype == "float64" and order > 0
    if mode == "forward":
        return order > 0 and activation.symmetric
    return mode != "compile" or order < 2
