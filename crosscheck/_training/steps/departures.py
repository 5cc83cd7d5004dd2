"""What a step-by-step comparison of two trainings gives: the faults, each from its first step on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from crosscheck._frameworks.programs import Array
from crosscheck._training.steps.jax_steps import JaxStep, JaxSteps
from crosscheck._training.steps.partners import Partners
from crosscheck._training.steps.quantities import WEIGHTS, Context, JudgedTensor, Quantity, quantities
from crosscheck._training.steps.torch_steps import Slot, TorchSteps


@dataclass(frozen=True)
class Moment:
    """A step at which something goes wrong.

    Attributes:
        context: The step.
        wrong: Every tensor that is wrong.
        made: JAX's step there in float64: with torch's gradients if its own are wrong.
    """

    context: Context
    wrong: Mapping[Quantity, JudgedTensor]
    made: JaxStep

    @cached_property
    def judged(self) -> Mapping[Quantity, JudgedTensor]:
        """Every tensor of the step."""
        return quantities(self.context, self.made)

    @property
    def moves(self) -> dict[str, tuple[Array, Array]]:
        """How far torch and JAX move each parameter, by its name in JAX."""
        before = self.context.partners.of_weights(self.context.before)
        weights = {name: tensor for (kind, name), tensor in self.judged.items() if kind == WEIGHTS}
        return {name: (tensor.torch - before[name], tensor.jax - before[name]) for name, tensor in weights.items()}


@dataclass
class Departure:
    """A fault, and its first step.

    Attributes:
        stage: ``loss``, ``gradients``, ``update``, ``average`` or ``statistics``.
        tensor: The name of the tensor.
        step: The first step, from 1.
        error: The largest error at that step, in float64, or in the dtype if ``side`` is given.
        cause: ``definition``, ``inaccurate`` or ``special``.
        side: The side that is inaccurate.
        moments: The first of the steps with the fault.
        steps: The number of steps with the fault.
    """

    stage: str
    tensor: Quantity
    step: int
    error: float
    cause: str
    side: str | None
    moments: tuple[Moment, ...]
    steps: int = 1

    @property
    def context(self) -> Context:
        """The first step."""
        return self.moments[0].context

    @property
    def wrong(self) -> Mapping[Quantity, JudgedTensor]:
        """Every tensor that is wrong at the first step."""
        return self.moments[0].wrong


@dataclass
class StepResults:
    """The results of the step-by-step comparison."""

    torch: TorchSteps
    jax: JaxSteps
    partners: Partners
    departures: list[Departure] = field(default_factory=list)
    errors: list[dict[str, float]] = field(default_factory=list)
    """For each step and kind of tensor, the largest error."""
    rounding: list[float] = field(default_factory=list)
    """For each step, the root mean square effect of rounding on the new parameters."""
    rates: list[Mapping[str, float]] = field(default_factory=list)
    first_special: int | None = None
    blank: list[int] = field(default_factory=list)
    """The steps at which both sides have no finite loss, or no finite number in most tensors."""
    gradients_seen: bool = True
    lost: tuple[str, ...] = ()
    """Arrays of JAX that are trained and hold no numbers of torch."""
    slots_of_torch: frozenset[Slot] = frozenset()
    trained: frozenset[str] = frozenset()
    """The parameters that torch trains."""
    only_in_jax: tuple[str, ...] = ()
    """Arrays of JAX's state that the first step changes and that hold nothing that torch has."""

    @property
    def without_partner(self) -> set[str]:
        """The parts of torch's optimiser state, without its count of steps, and the averages that JAX lacks."""
        return {key for _, key in self.slots_of_torch} - {key for _, key in self.partners.slots.values()} - {"step"}
