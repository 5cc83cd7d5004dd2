"""Run the training of a perceptron by the engine of ``compare_training``, and each framework by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from crosscheck._compare.inputs import gather
from crosscheck._frameworks.programs import Array, Inputs
from crosscheck._records.errors import UsageError
from crosscheck._training.records import History, Prepare, Progress, Side, Steps, TrainingSetup
from crosscheck._training.steps.drift import FreeRuns
from crosscheck._training.steps.jax_steps import JaxSteps
from crosscheck._training.steps.torch_steps import TorchSteps
from crosscheck._training.training import judge, objects_of
from crosscheck._training.training_report import TrainingReport


def compare(
    torch: Side, jax: Side, controls: int, progress: Progress | None = None
) -> tuple[TrainingReport, dict[str, History]]:
    """The engine's results on two trainings, and the history of each framework."""
    torch_setup, jax_setup = torch[0], jax[0]
    (torch_step, torch_state), (jax_step, jax_state) = _made(*torch), _made(*jax)

    def advance(what: str, count: int) -> None:
        if progress is not None:
            progress("both" if what == "steps" else "torch", count if what == "steps" else torch_setup.epochs)

    objects, dtype = objects_of(torch_state)
    sides = TorchSteps(torch_step, objects, dtype), JaxSteps(jax_step, jax_state, dtype)
    report, runs = judge(*sides, (_batches(torch_setup), _batches(jax_setup)), controls, 0, advance)
    assert runs is not None
    return report, _histories(torch_setup, runs)


def _batches(setup: TrainingSetup) -> list[Inputs]:
    """All data, once for each epoch."""
    return [gather([setup.x, setup.y], setup.dtype, None, 0, 0)] * setup.epochs


def _made(setup: TrainingSetup, prepare: Prepare) -> Steps:
    made = prepare(setup)
    if not isinstance(made, tuple) or len(made) != 2:
        raise UsageError(f"replace: got {type(made).__name__} from its function, expected a pair: a step and its state")
    return made


def _histories(setup: TrainingSetup, runs: FreeRuns) -> dict[str, History]:
    """Losses and weights by framework, with weights in PyTorch's layout."""
    roles = {}
    for role, array in setup.weights.items():
        names = [name for name, parameter in runs.start.items() if parameter.shape == array.shape]
        if len(names) != 1:
            shapes = ", ".join(f"{name} {parameter.shape}" for name, parameter in runs.start.items())
            raise UsageError(
                f"replace: got a model with {shapes}, expected one parameter of shape {array.shape}: the {role}"
            )
        roles[role] = names[0]
    weights: dict[str, Sequence[Mapping[str, Array]]] = {
        "torch": [runs.start, *(parameters for _, parameters in runs.torch)],
        "jax": [runs.partners.in_torch(state) for state in (runs.jax_start, *(state for _, state in runs.jax))],
    }
    losses = {"torch": runs.torch, "jax": runs.jax}
    return {
        framework: {"loss": np.array([loss for loss, _ in losses[framework]], setup.dtype)}
        | {role: np.stack([arrays[name] for arrays in held]).astype(setup.dtype) for role, name in roles.items()}
        for framework, held in weights.items()
    }
