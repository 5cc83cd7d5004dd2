"""The fault of a training whose devices exchange something else than PyTorch's step needs."""

from __future__ import annotations

from typing import Any

from jax.extend.core import ClosedJaxpr

from crosscheck._models.backward.exchanges import CLOSE, evaluated, exchanged
from crosscheck._training.steps.departures import StepResults
from crosscheck._training.steps.quantities import called, quantities
from crosscheck._training.training_report import TrainingFault

PARTS = {"update": "optimiser"}
"""The part of a training, by the stage at which it departs, where they differ."""


def other_exchange(results: StepResults) -> TrainingFault | None:
    """One fault in place of all, if one change in what devices exchange makes the first wrong step right."""
    if not results.departures:
        return None
    first = min(results.departures, key=lambda departure: departure.step)
    context, program = first.context, first.context.program
    if program.flat.shared is None:
        return None
    given = [*(context.state[name] for name in program.names), *context.jax_batch.leaves]

    def wrong(closed: ClosedJaxpr) -> frozenset[Any]:
        made = program.as_step(evaluated(closed, program.dtype, given), {})
        return frozenset(key for key, tensor in quantities(context, made).items() if not tensor.error <= CLOSE)

    mistake = exchanged(program.flat.shared, wrong)
    if mistake is None:
        return None
    tensor, part = called(results.partners, first.tensor), PARTS.get(first.stage, first.stage)
    return TrainingFault(part, first.step, first.steps, tensor, first.error, first.cause, None, mistake.words)
