"""The losses at extreme inputs: each framework against the proven value of the formula, and the known differences.

Every point is judged in ULP of the exact value, as activations are. Each difference that is declared here must occur,
and each that occurs must be declared.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import flint
import numpy as np
from packaging.specifiers import SpecifierSet

from crosscheck._arithmetic.formats import FORMATS, FloatArray, Format
from crosscheck._arithmetic.ulp import unit_of
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._truth.balls import precision

BITS = 512
BUDGET = (4.0, 5.0)
"""The budget in ULP for the value and the gradient, as for the catalogue."""

LOGITS = (0.0, 0.5, 1.0, 2.0, 5.0, 9.0, 17.0, 30.0, 50.0, 87.0, 88.0, 95.0, 100.0, 104.0, 700.0, 720.0, 745.0, 1e3, 1e4)
PROBABILITIES = (0.0, 1e-300, 1e-100, 1e-45, 1e-38, 1e-30, 1e-13, 1e-11, 1e-3, 0.25, 0.375, 0.4140625, 0.5, 0.75, 0.999, 1.0)

IMPLEMENTATIONS = {
    "logits": ("torch.nn.BCEWithLogitsLoss", "optax.sigmoid_binary_cross_entropy"),
    "probabilities": ("torch.nn.BCELoss", "crosscheck's in JAX", "the formula in JAX"),
}


@dataclass(frozen=True)
class LossPoint:
    """One implementation at one input: the result, the exact value and the error in ULP (infinite if it is not finite)."""

    loss: str
    implementation: str
    dtype: str
    order: int
    input: float
    label: float
    got: float
    exact: float
    ulp: float
    declared: str | None = None

    @property
    def passed(self) -> bool:
        return self.ulp <= BUDGET[self.order] or self.declared is not None


ANY_VERSION = ">=0"


@dataclass(frozen=True)
class LossDifference:
    """A known difference: implementation, value (0) or gradient (1), place, reason, and versions of JAX."""

    id: str
    loss: str
    implementations: tuple[str, ...]
    orders: tuple[int, ...]
    covers: Callable[[LossPoint, Format], bool]
    reason: str
    jax: str = ANY_VERSION

    @property
    def seen_here(self) -> bool:
        """Whether it was observed in this version of JAX, and so must occur."""
        return self.jax == ANY_VERSION or SpecifierSet(self.jax).contains(version("jax"), prereleases=True)


def _subnormal(point: LossPoint, fmt: Format) -> bool:
    return abs(point.exact) < 2 * fmt.smallest_normal or 0 < point.input < 2 * fmt.smallest_normal


DIFFERENCES = (
    LossDifference(
        "torch-log-clamped",
        "probabilities",
        ("torch.nn.BCELoss", "crosscheck's in JAX"),
        (0,),
        lambda point, fmt: abs(point.exact) > 100,
        "Each logarithm is at least -100, so that a loss is at most 100 and never infinite. crosscheck's JAX loss does the "
        "same.",
    ),
    LossDifference(
        "torch-gradient-floor",
        "probabilities",
        ("torch.nn.BCELoss", "crosscheck's in JAX"),
        (1,),
        lambda point, fmt: point.input * (1 - point.input) < 1e-12,
        "The gradient is (p - y) / max(p (1 - p), 1e-12): it stops growing at 1e12, and where the label is right it "
        "vanishes instead of nearing 1. crosscheck's JAX loss does the same.",
    ),
    LossDifference(
        "jax-zero-times-infinity",
        "probabilities",
        ("the formula in JAX",),
        (0, 1),
        lambda point, fmt: point.input == point.label or _subnormal(point, fmt),
        "Written without a clamp, 0 log 0 is NaN where the probability is exactly right, and where XLA takes it for 0.",
    ),
    LossDifference(
        "jax-log1p-float64",
        "probabilities",
        ("the formula in JAX",),
        (0,),
        lambda point, fmt: fmt.name == "float64" and 0.3 < point.input < 0.42,
        "XLA's float64 log1p on the CPU errs by up to 120 ULP for arguments from -0.42 to -0.3; crosscheck's JAX loss takes "
        "log there.",
        jax="<0.12",
    ),
    LossDifference(
        "torch-value-lost-tail",
        "logits",
        ("torch.nn.BCEWithLogitsLoss",),
        (0,),
        lambda point, fmt: point.label == 0 and point.input < -1,
        "(1 - y) z - log sigmoid(z) cancels where the label is 0 and z far below 0: the exact e^z is lost, and becomes 0.",
    ),
    LossDifference(
        "torch-gradient-lost-tail",
        "logits",
        ("torch.nn.BCEWithLogitsLoss",),
        (1,),
        lambda point, fmt: point.label == 1 and point.input > 1,
        "The gradient is sigmoid(z) - y, which cancels where the label is 1 and z far above 0: the exact -e^-z becomes 0.",
    ),
    LossDifference(
        "jax-subnormal-probability",
        "probabilities",
        ("crosscheck's in JAX",),
        (0,),
        lambda point, fmt: 0 < point.input < 2 * fmt.smallest_normal,
        "XLA takes a subnormal probability for 0.",
    ),
    LossDifference(
        "logits-subnormal",
        "logits",
        IMPLEMENTATIONS["logits"],
        (0, 1),
        _subnormal,
        "XLA flushes subnormal results to zero, and torch's exponential overflows before its inverse is a subnormal.",
    ),
    LossDifference(
        "optax-gradient-difference",
        "logits",
        ("optax.sigmoid_binary_cross_entropy",),
        (1,),
        lambda point, fmt: abs(point.input) > 5 and point.ulp <= 2 * abs(point.input),
        "JAX differentiates log sigmoid as exp(z - log(1 + e^z)): the rounding of the difference, half an ULP of z, becomes "
        "a relative error, of up to |z| ULP.",
    ),
)


def judge_losses(frameworks: Collection[str]) -> list[LossPoint]:
    """Every implementation of these frameworks at every logit and probability and both labels: value and gradient, in
    float32 and float64.
    """
    points = []
    for loss, grid in (("logits", (*LOGITS, *(-z for z in LOGITS[1:]))), ("probabilities", PROBABILITIES)):
        for dtype in ("float32", "float64"):
            fmt = FORMATS[dtype]
            x, y = (array.ravel().astype(fmt.dtype) for array in np.meshgrid(grid, (0.0, 1.0)))
            for implementation, results in _run(loss, x, y, frameworks).items():
                for order, result in enumerate(results):
                    points += list(_judged(loss, implementation, order, x, y, result, fmt))
    return points


def loses_digits(loss: str, framework: str, x: FloatArray, y: FloatArray) -> bool:
    """Whether a declared difference of this framework's training loss occurs at one of these outputs."""
    implementation = IMPLEMENTATIONS[loss][FRAMEWORKS.index(framework)]
    results = _run(loss, x.ravel(), y.ravel(), (framework,))[implementation]
    fmt = FORMATS[str(x.dtype)]
    judged = (_judged(loss, implementation, order, x.ravel(), y.ravel(), one, fmt) for order, one in enumerate(results))
    return any(point.declared is not None for points in judged for point in points)


def stale(points: list[LossPoint]) -> list[str]:
    """The declared differences that were observed in this version of JAX, and did not occur in this run."""
    seen, run = {point.declared for point in points}, {point.implementation for point in points}
    return [one.id for one in DIFFERENCES if run & {*one.implementations} and one.seen_here and one.id not in seen]


def _judged(
    loss: str, implementation: str, order: int, x: FloatArray, y: FloatArray, result: FloatArray, fmt: Format
) -> Iterator[LossPoint]:
    for at, label, got in zip(x.tolist(), y.tolist(), result.tolist(), strict=True):
        exact, ulp = _error(got, loss, order, at, label, fmt)
        point = LossPoint(loss, implementation, fmt.name, order, at, label, got, exact, ulp)
        known = [
            d.id
            for d in DIFFERENCES
            if (d.loss, True, True) == (loss, implementation in d.implementations, order in d.orders)
        ]
        covering = [d.id for d in DIFFERENCES if d.id in known and d.covers(point, fmt)]
        yield LossPoint(**{**vars(point), "declared": covering[0]}) if covering and not point.passed else point


def _error(got: float, loss: str, order: int, at: float, label: float, fmt: Format) -> tuple[float, float]:
    """The exact value, and the error of a result in ULP of it."""
    with precision(BITS):
        exact = EXACT[loss][order](flint.arb(at), label)
        if not exact.is_finite():
            limit = _limit(order, label)
            return limit, 0.0 if got == limit else np.inf
        value = float(exact)
        if not np.isfinite(got):
            return value, np.inf
        return value, float(abs(flint.arb(got) - exact) / flint.arb(float(unit_of(fmt, np.array(value)))))


def _limit(order: int, label: float) -> float:
    """The limit at a probability of 0 or 1 with the other label."""
    return np.inf if order == 0 or label == 0 else -np.inf


def _logits_value(z: Any, y: float) -> Any:
    return (z.exp() if y == 0 else (-z).exp()).log1p()


def _logits_gradient(z: Any, y: float) -> Any:
    return 1 / (1 + (-z).exp()) if y == 0 else -1 / (1 + z.exp())


def _value(p: Any, y: float) -> Any:
    return -(-p).log1p() if y == 0 else -p.log()


def _gradient(p: Any, y: float) -> Any:
    return 1 / (1 - p) if y == 0 else -1 / p


EXACT = {"logits": (_logits_value, _logits_gradient), "probabilities": (_value, _gradient)}
"""The textbook formula for a label of 0 and of 1, and its derivative, in ball arithmetic."""


Results = dict[str, tuple[FloatArray, FloatArray]]


def _run(loss: str, x: FloatArray, y: FloatArray, frameworks: Collection[str]) -> Results:
    """Value and gradient of every implementation at every point, in the dtype of x."""
    run = {"torch": _in_torch, "jax": _in_jax}
    return {name: both for framework in run if framework in frameworks for name, both in run[framework](loss, x, y).items()}


def _in_torch(loss: str, x: FloatArray, y: FloatArray) -> Results:
    import torch

    from crosscheck._frameworks.torch_backend import to_array, to_tensor

    leaf = to_tensor(x, "cpu").requires_grad_()
    value = {"logits": torch.nn.BCEWithLogitsLoss, "probabilities": torch.nn.BCELoss}[loss](reduction="none")(
        leaf, to_tensor(y, "cpu")
    )
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    return {IMPLEMENTATIONS[loss][0]: (to_array(value), to_array(gradient))}


def _in_jax(loss: str, x: FloatArray, y: FloatArray) -> Results:
    import jax

    from crosscheck._frameworks.jax_backend import scope
    from crosscheck._training import jax_losses

    functions = {
        "logits": (jax_losses.binary_cross_entropy_with_logits,),
        "probabilities": (jax_losses.binary_cross_entropy, jax_losses.plain),
    }[loss]
    results = {}
    with scope(str(x.dtype), "cpu"):
        for implementation, function in zip(IMPLEMENTATIONS[loss][1:], functions, strict=True):

            def both(x: Any, y: Any, function: Any = function) -> Any:
                return function(x, y), jax.grad(lambda x: function(x, y).sum())(x)

            value, gradient = jax.jit(both)(x, y)
            results[implementation] = np.asarray(value), np.asarray(gradient)
    return results
