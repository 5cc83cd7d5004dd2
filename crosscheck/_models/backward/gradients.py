"""Gradients by every parameter of torch, compared with those of the arrays of JAX that hold the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr

from crosscheck._allocator import trim
from crosscheck._arithmetic.formats import FORMATS
from crosscheck._frameworks.programs import Array
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._models.backward.exchanges import CLOSE, evaluated, exchanged
from crosscheck._models.backward.gradient_judge import GradientJudge, larger
from crosscheck._models.backward.stops import stopped
from crosscheck._models.backward.summands import in_summands
from crosscheck._models.backward.torch_backward import Begin, TorchBackward
from crosscheck._models.cut.landmarks import axes_of
from crosscheck._models.judge.tolerances import allowed
from crosscheck._models.pair.weights import Accounted
from crosscheck._models.record import jax_recording
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.torch_recording import TorchRecord
from crosscheck._models.report.records import Gradient
from crosscheck._models.run.constant_folding import Fixed
from crosscheck._models.run.interpreter import ModelRun, Perturbation, on_the_cpu
from crosscheck._models.values.spilled import Spilled
from crosscheck._shadow.base import Noise, UntraceableError

DRAWS = 2
"""The most draws of noise that show how far rounding moves a gradient."""


class BackwardError(Exception):
    """The backward pass of a side raised; ``side`` is the side, and ``__cause__`` what it raised."""

    def __init__(self, side: str) -> None:
        super().__init__(side)
        self.side = side


class _JaxBackward:
    """JAX's backward pass of the outputs times cotangents, as a program that runs in float64."""

    def __init__(
        self,
        model: JaxModel,
        leaves: Sequence[Array],
        cotangents: Sequence[Array],
        floats: Sequence[int],
        dtype: str,
        loose: frozenset[str] = frozenset(),
    ) -> None:
        self.flat, self.positions = in_summands(_jax_program(model, leaves, cotangents, floats, dtype))
        self._weights, self._given, self._loose = model.weights, [*leaves, *cotangents], loose
        self._fixed = Fixed(self.flat, model.weights)  # weights are widened one by one, where they are used

    def run(self, noise: Noise | None = None, *, constants_only: bool = False) -> Iterator[tuple[int, Array]]:
        """The summands of the gradients, each with its number, as soon as it is there."""
        known = self._fixed.values(wide=True, noisy=noise is not None, loose=self._loose)
        perturbation = Perturbation(noise, constants_only, self._loose)
        running = ModelRun(self.flat, wide=True, perturbation=perturbation, known=known, keep=False)
        return running.one_by_one(self._weights, self._given)


def gradients(
    program: TorchProgram,
    model: JaxModel,
    jax_leaves: Sequence[Array],
    record: TorchRecord,
    floats: Sequence[int],
    loose: frozenset[str],
    accounted: Accounted,
    seed: int,
) -> list[Gradient]:
    """The gradients by every trained parameter, of the outputs times one normal cotangent each, all in float64.

    Raises:
        BackwardError: If the backward pass of a side raises.
    """
    rng = np.random.default_rng((seed, 7))
    cotangents: list[Array] = [np.asarray(rng.standard_normal(record.results[k].wide.shape)) for k in floats]
    dtype = program.inputs.fmt.name
    try:
        backward = _JaxBackward(model, jax_leaves, cotangents, floats, dtype, loose)
    except UntraceableError as error:
        raise BackwardError("jax") from error.__cause__
    of_torch = TorchBackward(program, cotangents, floats)
    judging = partial(GradientJudge, program.function, record, model, accounted)
    in_step = _InStep(partial(judging, of_torch.gradients, backward.positions), backward)
    _run(of_torch, in_step.begin)
    judged = in_step.judged()
    if judged is not None and not any(gradient.cause for gradient in judged):
        return judged
    # what follows needs all of torch's gradients; a module that has run may hold numbers that only its first run could use
    of_torch = TorchBackward(program.anew(), cotangents, floats)
    _run(of_torch)
    judging = partial(judging, of_torch.gradients)
    of_backward = partial(judging, backward.positions)
    with on_the_cpu(wide=True):
        judged = of_backward().judged(backward.run())
        unit = 2.0**-program.inputs.fmt.precision
        judged = _under_noise(backward, of_backward, judged, seed, unit, rounded=of_torch.rounded)
    if not any(gradient.cause for gradient in judged):
        return judged

    def agrees(other: JaxModel) -> bool:
        try:
            changed = _JaxBackward(other, jax_leaves, cotangents, floats, dtype)
        except UntraceableError:
            return False
        with on_the_cpu(wide=True):
            return not judging(changed.positions).differs(changed.run(), CLOSE)

    words = stopped(model, jax_leaves, agrees)
    if not words and (shared := backward.flat.shared) is not None:

        def wrong(closed: ClosedJaxpr) -> frozenset[str]:
            results = evaluated(closed, dtype, [*model.weights, *jax_leaves, *cotangents])
            changed = judging(range(len(results))).judged(enumerate(results))
            return frozenset(gradient.parameter for gradient in changed if gradient.cause and gradient.error > CLOSE)

        mistake = exchanged(shared, wrong)
        words = words if mistake is None else mistake.words
    return [replace(gradient, explanation=words) if words and gradient.cause else gradient for gradient in judged]


class _InStep:
    """Judges each gradient as soon as both sides have it, so that few are there at once."""

    def __init__(self, judging: Callable[[], GradientJudge], backward: _JaxBackward) -> None:
        self._judging, self._backward = judging, backward

    def begin(self) -> Callable[[str], None]:
        """Begin both backward passes; gives what takes the name of each gradient that torch has."""
        self._judge, self._gradients, self._is_whole = self._judging(), self._backward.run(), True
        self._judge_next = self._judge.in_step(self._gradients)
        return self._given

    def _given(self, name: str) -> None:
        try:
            with on_the_cpu(wide=True):
                self._is_whole &= self._judge_next(name)
        except Exception as error:
            raise BackwardError("jax") from error

    def judged(self) -> list[Gradient] | None:
        """All gradients; None if torch gave one in several parts, of which the first was judged alone."""
        with on_the_cpu(wide=True):
            judged = self._judge.judged(self._gradients)
        return judged if self._is_whole else None


def _run(of_torch: TorchBackward, begin: Begin | None = None) -> None:
    try:
        of_torch.run(begin)
    except BackwardError:
        raise
    except Exception as error:
        raise BackwardError("torch") from error
    trim()


def _under_noise(
    backward: _JaxBackward,
    judging: Callable[[], GradientJudge],
    judged: list[Gradient],
    seed: int,
    unit: float,
    *,
    rounded: bool,
) -> list[Gradient]:
    """The gradients, judged by how far rounding moves those that differ."""
    clear = Spilled()
    for draw in range(DRAWS):
        if not any(gradient.cause for gradient in judged):
            break  # more draws only allow more
        noise = Noise(seed * 1000 + draw, unit)
        # if some operations of torch were rounded to the dtype, the limit is that of rounded constants
        noisy_runs = (
            (backward.run(noise, constants_only=not rounded), float(allowed(1.0, 0.0, unit))),
            (backward.run(noise), float(allowed(0.0, 1.0, unit))),
        )
        for noisy_run, allowance in noisy_runs:
            judge = judging()
            # each result of a run is as large as a weight: no more than two runs go on together
            for (number, gradient), (_, noisy) in zip(clear.items() if clear else backward.run(), noisy_run, strict=True):
                judge.add(number, gradient, noisy, allowance)
                if number not in clear:
                    clear[number] = gradient
            judged = [larger(*pair) for pair in zip(judged, judge.gradients(), strict=True)]
    return judged


def _jax_program(
    model: JaxModel, leaves: Sequence[Array], cotangents: Sequence[Array], floats: Sequence[int], dtype: str
) -> jax_recording.JaxProgramFlat:
    by = [k for k, array in enumerate(model.weights) if jnp.issubdtype(array.dtype, jnp.floating)]

    def gradient(weights: list[Any], given: list[Any]) -> list[Any]:
        inputs, along = given[: len(leaves)], given[len(leaves) :]

        def scalar(chosen: list[Any]) -> Any:
            whole = list(weights)
            for k, weight in zip(by, chosen, strict=True):
                whole[k] = weight
            results = model.function(whole, list(inputs))
            # a cotangent has torch's axes, the result has JAX's
            orders = [axes_of(results[k].shape, cotangent.shape) for k, cotangent in zip(floats, along, strict=True)]
            seen = [
                cotangent if order is None else cotangent.transpose(order)
                for cotangent, order in zip(along, orders, strict=True)
            ]
            return sum(
                (results[k] * cotangent.reshape(results[k].shape)).sum() for k, cotangent in zip(floats, seen, strict=True)
            )

        derivatives = dict(zip(by, jax.grad(scalar)([weights[k] for k in by]), strict=True))
        return [derivatives.get(k, jnp.zeros(())) for k in range(len(weights))]

    narrow = [np.asarray(cotangent).astype(FORMATS[dtype].dtype) for cotangent in cotangents]
    return jax_recording.trace(gradient, model.weights, model.names, [*leaves, *narrow], dtype)
