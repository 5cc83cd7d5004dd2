"""Run torch's model and trace JAX's; errors that a user can correct become one message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from crosscheck._frameworks.programs import Inputs, Outputs
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._models.record import jax_recording
from crosscheck._models.record.jax_models import JaxModel, jax_model
from crosscheck._models.record.jax_recording import JaxProgramFlat
from crosscheck._models.record.torch_recording import TorchRecord, record
from crosscheck._models.run import memory
from crosscheck._records.errors import UsageError, said
from crosscheck._shadow.base import UntraceableError
from crosscheck._shadow.jax_equations import DRAWS
from crosscheck._shadow.torch.pieces import Counting, in_pieces

DRAWN_AGAIN = 8
"""A model that draws random numbers is run this many more times, to find numbers that differ."""


def recorded(torch_model: Any, inputs: Inputs) -> tuple[Outputs, TorchRecord]:
    """What torch returns, and the record of its operations."""
    run = returned(torch_model, inputs)
    return run.outputs, record(TorchProgram(torch_model, inputs, "cpu", run.shared), run.outputs.names)


@dataclass(frozen=True)
class Returned:
    """A run of torch's model.

    Attributes:
        outputs: What it returned.
        numbers: How many numbers its operations compute.
        shared: The parameters to which it does not write: copies of the model may share them.
    """

    outputs: Outputs
    numbers: int
    shared: frozenset[str]


def returned(torch_model: Any, inputs: Inputs) -> Returned:
    """Run torch's model once.

    A run in training mode changes statistics, so each run gets a copy of the model.

    Raises:
        UsageError: If it raises, or what it returns depends on random numbers.
    """
    names = frozenset(name for name, _ in torch_model.named_parameters(remove_duplicate=False))
    program = TorchProgram(torch_model, inputs, "cpu", names)
    try:
        with in_pieces():
            with Counting(program.function.named_parameters(remove_duplicate=False)) as counting:
                outputs, values, _ = program.outputs()
            shared = names - counting.written
            # A model may draw numbers that it does not use, or seed its own generator.
            programs = (TorchProgram(torch_model, inputs, "cpu", shared) for _ in range(DRAWN_AGAIN * program.draws))
            again = [program.outputs()[1] for program in programs]
    except Exception as error:
        raise UsageError(f"torch_model: it raised {said(error)}; expected it to run on inputs") from error
    if any(value.tobytes() != other.tobytes() for run in again for value, other in zip(values, run, strict=True)):
        raise UsageError("torch_model: it draws random numbers; call eval() on it, or set its dropout to 0, in JAX too")
    return Returned(outputs, counting.numbers, shared)


@contextmanager
def traceable(what: str, must: str) -> Iterator[None]:
    """An exception of JAX while it traces a user's function becomes one message with what the function must be."""
    try:
        yield
    except UntraceableError as error:
        raised = error.__cause__ or error
        if isinstance(raised, UsageError):
            raise raised from None
        raise UsageError(f"{what}: jax.make_jaxpr raises {said(raised)}; {must}") from raised


def fitting(
    torch_model: Any, jax_given: Any, params: Any, inputs: Inputs, jax_inputs: Inputs, order: int
) -> tuple[JaxModel, JaxProgramFlat]:
    """JAX's model and its steps, whose weights fit into memory; no model has been copied yet.

    Raises:
        UsageError: If they do not fit, or JAX's model cannot be traced; what torch refuses too is said of torch.
    """
    try:
        model, flat = traced(jax_given, params, jax_inputs)
    except UsageError:
        returned(torch_model, inputs)
        raise
    memory.check(flat, order)
    return model, flat


def traced(jax_given: Any, params: Any, inputs: Inputs) -> tuple[JaxModel, JaxProgramFlat]:
    """The model of JAX as a function of its weights, and its steps.

    Raises:
        UsageError: If it holds no weights, cannot be traced, or draws random numbers.
    """
    model = jax_model(jax_given, params, inputs)
    must = (
        "it must take these inputs and parameters, in JAX's layout (torch_to_jax), and branches on values must be "
        "jax.lax.cond or jax.numpy.where"
    )
    with traceable("jax_model", must):
        flat = jax_recording.trace(model.function, model.weights, model.names, inputs.leaves, inputs.fmt.name)
    # flax's recurrent layers take a key for their first state, which is 0: what does not change a result is not in the steps
    draws = any(step.operation.name in DRAWS for step in flat.steps)
    if draws and (drawn := [name for name in model.changed if name.endswith(".count")]):
        raise UsageError(f"jax_model: it draws random numbers, from {drawn[0]}; call eval() on it, or set its dropout to 0")
    return model, flat
