"""A second run of an implementation: its value with a gradient, its gradient by another cotangent, or the same again.

None of this may change a result. If it does, the worse result is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, FloatArray, format_of, widen
from crosscheck._records.worded import Worded
from crosscheck._verdict.causes import FIRST_PASSING, Judgement
from crosscheck._verify.inputs.sample import Sample
from crosscheck._verify.run.implementations import Runner


class Results(Protocol):
    def __call__(self, sample: Sample, got: FloatArray | None) -> FloatArray | None: ...


MODE = "eager"
FACTORS = (1, -2, 4, -1, 2, -4)
"""The factors of the cotangent, in turn: powers of two with signs, so that they change gradients exactly."""
ORDINARY, MORE = 4.0, 4
"""Up to this magnitude, an input is ordinary, and its factor is multiplied with the second number."""
MARGIN = 64
"""Inputs within this factor of the largest number are omitted: a product with the cotangent may overflow there.

Gradients that overflow are omitted, too."""


@dataclass(frozen=True)
class SecondRun:
    """A second run: ``run(sample, got)`` gives the result again, or ``got`` itself where it gives nothing.

    ``why`` describes the run.
    """

    run: Results
    why: Worded


def second_run(runner: Runner, order: int, orders: Sequence[int]) -> SecondRun | None:
    """The second way to get the result of an order, if there is one; ``orders`` are the requested ones."""
    if order == 0 and 1 in orders and runner.pull is not None:
        pull = runner.pull
        why = Worded("the value differs if a gradient is computed with it", "with a gradient")
        return SecondRun(lambda sample, got: pull(sample, _factors(sample))[0], why)
    if order == 0:
        why = Worded("the value differs at a second call", "at a second call")
        return SecondRun(lambda sample, got: runner.run(sample, 0, MODE), why)
    if order == 1 and runner.pull is not None:
        why = Worded("the gradient differs if its cotangent is multiplied by 2, 4 or -1", "with another cotangent")
        return SecondRun(partial(_gradient, runner), why)
    return None


def _factors(sample: Sample) -> FloatArray:
    return _more(sample, np.resize(np.array(FACTORS), len(sample.x)))


def _more(sample: Sample, factors: Float64Array) -> FloatArray:
    """The factors, larger for ordinary inputs or rows."""
    with np.errstate(invalid="ignore"):
        ordinary = (np.abs(widen(sample.x)) <= ORDINARY).reshape(len(sample.x), -1).all(axis=1)
    scaled = np.where(ordinary, MORE * factors, factors).astype(sample.x.dtype)
    return scaled.reshape(-1, *[1] * (sample.x.ndim - 1))


def _gradient(runner: Runner, sample: Sample, got: FloatArray | None) -> FloatArray | None:
    """The gradient by multiples of the cotangent, divided by the factors: in turn, or without ``got``, one that differs."""
    if got is not None:
        return _multiple(runner, sample, _factors(sample), got)
    if (plain := runner.run(sample, 1, MODE)) is None:
        return None
    result = plain
    for factor in FACTORS:
        other = _multiple(runner, sample, _more(sample, np.full(len(sample.x), factor)), plain)
        result = result if other is None else np.where(differ(plain, other), other, result)
    return result


def _multiple(runner: Runner, sample: Sample, factors: FloatArray, got: FloatArray) -> FloatArray | None:
    assert runner.pull is not None
    _, gradient = runner.pull(sample, factors)
    if gradient is None:
        return None
    with np.errstate(invalid="ignore"):
        calm = np.asarray(np.abs(widen(sample.x)) <= format_of(sample.x).largest / MARGIN)
    if sample.v is not None:
        calm = np.asarray(calm.all(axis=1, keepdims=True))
    result = gradient.reshape(sample.x.shape) / factors
    says = np.asarray(calm & ~np.isinf(widen(result))).ravel()
    return np.where(says, result.ravel(), got)


def differ(got: FloatArray, other: FloatArray) -> BoolArray:
    """Where two results differ by more than the sign of zero."""
    a, b = widen(got), widen(other)
    return np.asarray((a != b) & ~(np.isnan(a) & np.isnan(b)))


def worse(
    first: tuple[Judgement, FloatArray], second: tuple[Judgement, FloatArray]
) -> tuple[Judgement, FloatArray, BoolArray]:
    """For each point the judgement and the result that are worse, and where these are the second ones."""
    (a, got), (b, other) = first, second
    at = np.asarray((b.codes < a.codes) & (b.codes < FIRST_PASSING))
    judgement = Judgement(
        np.where(at, b.codes, a.codes), np.where(at, b.ulp, a.ulp), np.where(at, b.ulp_of_unit, a.ulp_of_unit)
    )
    return judgement, np.where(at, other, got), at
