"""Do two trainings tell the same story? Where they part, how that grows, and whether rounding explains it.

Rounding is told from a fault in two ways. A control, the same training from weights moved by one ulp, shows how far rounding
alone drives trainings apart. And each training is followed step by step: a number that its own history does not explain is
a fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from crosscheck._arithmetic.formats import Float64Array
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._records.names import PASSING
from crosscheck._training.faults import recognise
from crosscheck._training.formula import LOG_FLOOR, entropy_slope, sigmoid, slope
from crosscheck._training.records import TENSORS, History, Setup, epoch_of
from crosscheck._training.reference import Departure, departure, expected

TIMES_CONTROL = 16.0
"""Frameworks round differently at each epoch, a control at first by its start alone:
benchmarks/perceptron.py measures it.
"""


OVERFLOW = "overflow"
"""The fault of a training whose loss stopped being finite."""


@dataclass(frozen=True)
class Difference:
    """The first number in which two trainings are not bit-equal."""

    epoch: int
    tensor: str
    index: tuple[int, ...]
    torch: float
    jax: float


@dataclass(frozen=True)
class Largest:
    """The largest difference in one tensor over all epochs, its epoch, and what explains how much.

    ``control`` is the control's largest difference, ``step`` what both sides may err by within one epoch, and ``far`` what
    the declared difference of the losses far out may add.
    """

    difference: float
    epoch: int
    control: float
    step: float
    far: float

    @property
    def rounding(self) -> bool:
        """Whether rounding explains the difference. It does not explain a NaN."""
        return self.difference <= TIMES_CONTROL * self.control + self.step

    @property
    def declared(self) -> bool:
        """Whether it does together with these."""
        return self.difference <= TIMES_CONTROL * (self.control + self.far) + self.step


@dataclass(frozen=True)
class Finding:
    """What is wrong with one framework's training: the fault's name, where it shows first, and what was done instead."""

    framework: str
    fault: str
    epoch: int
    tensor: str
    message: str


@dataclass(frozen=True)
class Agreement:
    """The verdict on two trainings.

    Attributes:
        cause: The worst of crosscheck's causes: ``exact`` (bit-equal), ``rounding``, ``inaccurate`` for a difference that
            neither a step nor the control explains, ``definition`` for a training that does not follow from its setup, or
            ``special`` for a loss that stopped being finite.
        declared: Whether the declared differences of the losses far out are part of what explains the difference: see
            ``crosscheck._training.losses``.
        first: The first difference.
        largest: The largest difference, by tensor.
        growth: By epoch the largest difference of the weights, and the control's.
        findings: The faults, by framework.
    """

    cause: str
    declared: bool
    first: Difference | None
    largest: Mapping[str, Largest]
    growth: Mapping[int, tuple[float, float]]
    findings: tuple[Finding, ...]

    @property
    def agree(self) -> bool:
        return self.cause in PASSING


def moved(setup: Setup, towards: float) -> Setup:
    """The control: every weight moved by one ulp towards ``towards``."""
    weights = {name: np.nextafter(array, array.dtype.type(towards)) for name, array in setup.weights.items()}
    return replace(setup, weights=weights)


def judge(setup: Setup, histories: Mapping[str, History], controls: Iterable[tuple[History, History]]) -> Agreement:
    """The agreement of the trainings of ``torch`` and ``jax``; each control is a training and the same one moved."""
    torch, jax = (histories[name] for name in FRAMEWORKS)
    apart = {name: _apart(torch[name], jax[name]) for name in TENSORS}
    controls = list(controls)
    rounding = {name: np.max([_apart(a[name], b[name]) for a, b in controls], axis=0) for name in TENSORS}
    steps = [{name: bound for name, (_, bound) in expected(setup, history).items()} for history in (torch, jax)]
    far = max(far_out(setup, history) for history in (torch, jax))
    largest = {
        name: _largest(
            name,
            apart[name],
            float(rounding[name].max()),
            float(sum(np.max(step[name], where=np.isfinite(step[name]), initial=0.0) for step in steps)),
            far,
        )
        for name in TENSORS
    }
    findings = tuple(finding for name in FRAMEWORKS for finding in _findings(setup, name, histories[name]))
    first = _first_difference(torch, jax)
    rounding_alone = all(one.rounding for one in largest.values())
    declared = not findings and not rounding_alone and all(one.declared for one in largest.values())
    cause = _cause(first, findings, explained=rounding_alone or declared)
    weights, moved_weights = (np.maximum(of["weight"], of["bias"]) for of in (apart, rounding))
    growth = {epoch: (float(weights[epoch]), float(moved_weights[epoch])) for epoch in _decades(setup.epochs)}
    return Agreement(cause, declared, first, largest, growth, findings)


def _cause(first: Difference | None, findings: tuple[Finding, ...], *, explained: bool) -> str:
    if findings:
        return "special" if any(one.fault == OVERFLOW for one in findings) else "definition"
    if first is None:
        return "exact"
    return "rounding" if explained else "inaccurate"


def far_out(setup: Setup, history: History) -> float:
    """How far the losses' declared differences far out may move a training.

    On logits torch computes ``sigmoid(z) - 1`` where the label is 1, and has of the exact ``-sigmoid(-z)`` only what the
    rounded sigmoid left; JAX's relative error is up to z roundoffs, which counts beyond 8. On probabilities ``1 - p`` is
    down to its last digits where the label is 0 and p near 1, and with it the gradient, which divides by it; that counts
    where half of the digits are gone. What the epochs lose adds up in the weights, and through the inputs in all else.
    """
    unit = 2.0**-setup.format.precision
    outputs, y = history["outputs"][:-1].astype(np.float64), setup.y.astype(np.float64)
    with np.errstate(all="ignore"):
        if setup.logits:
            exact = sigmoid(-outputs)
            rounded = 1 - (1 - exact).astype(setup.x.dtype).astype(np.float64)
            lost = np.abs(exact - rounded) * y
            size = np.where(y == 1, exact, 1 - exact)
            lost = np.where(np.abs(outputs) > 8, lost + np.abs(outputs) * unit * size, lost)
        else:
            left = 1 - outputs
            pull = entropy_slope(outputs, y) * slope(np.log(outputs) - np.log(np.maximum(left, unit)))
            lost = pull * np.minimum(1.0, 2 * unit / left) - LOG_FLOOR * (left < 4 * unit)
            lost = np.where(left < np.sqrt(unit), lost, 0.0) * (1 - y)
    inputs = np.column_stack([setup.x.astype(np.float64), np.ones(len(y))])
    by_epoch = np.einsum("epk,pd->ekd", np.nan_to_num(lost), inputs) / y.size
    reach = np.abs(inputs).sum(axis=1).max()
    by_epoch = np.abs(by_epoch).max(axis=(1, 2))
    return float(reach * (by_epoch.max() + setup.learning_rate * by_epoch.sum()))


def _apart(a: np.ndarray, b: np.ndarray) -> Float64Array:
    """The largest difference at each epoch; equal infinities and NaN on both sides do not differ."""
    a, b = (array.reshape(len(array), -1).astype(np.float64) for array in (a, b))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b)).max(axis=1))


def _largest(tensor: str, apart: Float64Array, control: float, step: float, far: float) -> Largest:
    at = int(np.argmax(apart))  # a NaN counts as the largest
    return Largest(float(apart[at]), epoch_of(tensor, at), control, step, far)


def _first_difference(torch: History, jax: History) -> Difference | None:
    found = []
    for rank, name in enumerate(TENSORS):
        a, b = torch[name], jax[name]
        unequal = np.argwhere(a.view(f"u{a.itemsize}") != b.view(f"u{b.itemsize}"))
        if len(unequal):
            at = tuple(int(i) for i in unequal[0])
            found.append(
                (epoch_of(name, at[0]), rank, Difference(epoch_of(name, at[0]), name, at[1:], float(a[at]), float(b[at])))
            )
    return min(found, key=lambda one: one[:2])[2] if found else None


def _findings(setup: Setup, framework: str, history: History) -> Iterable[Finding]:
    off = departure(setup, history)
    if off is not None:
        fault, instead = recognise(setup, history) or ("unknown", _unexplained(off))
        yield Finding(framework, fault, off.epoch, off.tensor, instead)
    lost = history.first_not_finite
    if lost is not None:
        message = (
            f"the loss stopped being finite and is {history['loss'][lost - 1]}; a smaller learning rate keeps it finite"
        )
        yield Finding(framework, OVERFLOW, lost, "loss", message)


def _unexplained(off: Departure) -> str:
    where = f"{off.tensor}{list(off.index) if off.index else ''}"
    return (
        f"{where} is {off.got!r}, where {off.expected!r} ± {off.bound:.1g} follows from what the training recorded before it"
    )


def _decades(epochs: int) -> list[int]:
    powers = [10**k for k in range(len(str(epochs)))]
    return [0, *powers, *([epochs] if epochs != powers[-1] else [])]
