"""The tensors of one step that both trainings have, and their differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crosscheck._frameworks.programs import Array, Inputs
from crosscheck._models.values.distances import blank
from crosscheck._training.steps.jax_steps import LOSS, JaxStep, TracedStep
from crosscheck._training.steps.partners import Partners, said
from crosscheck._training.steps.torch_steps import TorchStep

SMALL = 1e-6
"""A tensor counts as at least this large, relative to the largest of its kind: some gradients consist only of rounding."""
GRADIENTS, SLOTS, AVERAGES, WEIGHTS, STATISTICS, GIVEN, RATE = (
    "gradients",
    "optimiser state",
    "averages",
    "parameters",
    "statistics",
    "clipped gradients",
    "learning rate",
)
Quantity = tuple[str, str]
"""A kind of tensor, and its name in JAX."""


@dataclass(frozen=True)
class JudgedTensor:
    """One tensor, compared after one step.

    Attributes:
        torch: torch's, as JAX holds it, in float64.
        jax: JAX's, in float64.
        size: The size to which errors are relative.
        narrow: Both tensors in the dtype; None if these were not recorded.
    """

    torch: Array
    jax: Array
    size: float
    narrow: tuple[Array, Array] | None = None

    @property
    def error(self) -> float:
        """The difference of the two in float64."""
        return relative_difference(self.torch, self.jax, self.size)

    @property
    def blank(self) -> bool:
        """Whether both sides have the same, and no finite number: nothing was compared."""
        return blank(self.torch) and self.error == 0.0

    @property
    def errors(self) -> tuple[float, float]:
        """For each side, the difference between the dtype and float64."""
        if self.narrow is None:
            return 0.0, 0.0
        return relative_difference(self.narrow[0], self.torch, self.size), relative_difference(
            self.narrow[1], self.jax, self.size
        )

    @property
    def usual_errors(self) -> tuple[float, float]:
        """The same for half of the numbers: an optimiser may turn the sign of an error of rounding into a whole step."""
        if self.narrow is None or not self.torch.size:
            return 0.0, 0.0
        sides = zip(self.narrow, (self.torch, self.jax), strict=True)
        apart = [float(np.median(np.abs(np.asarray(narrow, np.float64) - wide))) for narrow, wide in sides]
        return (apart[0] / self.size, apart[1] / self.size) if self.size and np.isfinite(apart).all() else self.errors


@dataclass(frozen=True)
class Context:
    """The data of one step; ``summed`` is the sum of torch's gradients of all earlier steps."""

    partners: Partners
    number: int
    torch: TorchStep
    jax: JaxStep
    narrow: JaxStep
    before: Mapping[str, Array]
    state: Mapping[str, Array]
    batch: Inputs
    jax_batch: Inputs
    program: TracedStep
    torch_state: Any
    summed: Mapping[str, Array]


def relative_difference(left: Array, right: Array, size: float) -> float:
    """The largest difference, relative to a size; NaN and NaN, or equal infinities, count as equal."""
    a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    largest = float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0))
    return 0.0 if largest == 0.0 else largest / size if size else np.inf


def quantities(context: Context, jax_step: JaxStep) -> dict[Quantity, JudgedTensor]:
    """Every tensor that both sides have. ``jax_step`` is JAX's step in float64, with its own gradients or with torch's."""
    partners, torch_step, narrow = context.partners, context.torch, context.narrow
    loss = [np.asarray(value) for value in (torch_step.loss[1], jax_step.loss, torch_step.loss[0], narrow.loss)]
    result = {(LOSS, LOSS): JudgedTensor(loss[0], loss[1], size_of(loss[0]), (loss[2], loss[3]))}
    gradients = partners.of_gradients(torch_step.gradients.wide)
    seen = _gradients(partners, jax_step)
    for name, array in seen.items():
        result[GRADIENTS, name] = JudgedTensor(gradients[name], array, size_of(gradients[name]))
    given = partners.of_gradients(torch_step.given.wide)
    for name, array in _named(partners, jax_step.values, "clipped").items():
        result[GIVEN, name] = JudgedTensor(given[name], array, size_of(given[name]))
    if "learning_rate" in jax_step.values and torch_step.rates:
        rate = max(torch_step.rates.values())
        result[RATE, "learning_rate"] = JudgedTensor(np.asarray(rate), jax_step.values["learning_rate"], abs(rate))
    wide, dtype = partners.of_weights(torch_step.weights.wide), partners.of_weights(torch_step.weights.narrow)
    before = partners.of_weights(context.before)
    slots, slots_narrow = partners.of_slots(torch_step.slots.wide), partners.of_slots(torch_step.slots.narrow)

    def moved(name: str, array: Array, start: Array) -> float:
        way = max(size_of(array - start), size_of(jax_step.state[name] - start))
        return max(way, 2.0**-40 * size_of(array))  # the error of float64 in an update of 0

    for name, array in wide.items():
        kind = STATISTICS if partners.is_of_buffers(name) else WEIGHTS
        size = moved(name, array, before[name])
        result[kind, name] = JudgedTensor(array, jax_step.state[name], size, (dtype[name], narrow.state[name]))
    for name, array in slots.items():
        kind = AVERAGES if partners.is_average(name) else SLOTS
        size = size_of(array) if kind == SLOTS else moved(name, array, np.asarray(context.state[name], np.float64))
        result[kind, name] = JudgedTensor(array, jax_step.state[name], size, (slots_narrow[name], narrow.state[name]))
    groups = {(kind, partners.slots.get(name, ("", ""))[1]) for kind, name in result}
    for group in groups - {(LOSS, "")}:
        names = [quantity for quantity in result if (quantity[0], partners.slots.get(quantity[1], ("", ""))[1]) == group]
        least = SMALL * max(result[quantity].size for quantity in names)
        result |= {quantity: replace(result[quantity], size=max(result[quantity].size, least)) for quantity in names}
    return result


def _gradients(partners: Partners, jax_step: JaxStep) -> dict[str, Array]:
    """JAX's gradients by parameter; zeros for parameters to which its backward pass gives nothing."""
    seen = {name: array for name, array in jax_step.gradients.items() if name in partners.places}
    none = {name: np.zeros(partners.places[name].shape) for name in jax_step.without if name in partners.places}
    return none | seen if seen else {}


def size_of(array: Array) -> float:
    """The largest finite number of an array, without its sign: relative to NaN, each difference would be NaN."""
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))


def _named(partners: Partners, values: Mapping[str, Array], what: str) -> dict[str, Array]:
    """By parameter, the values of a tree with the parameters' structure that the user's step returns."""
    paths = {name.removeprefix(what): array for name, array in values.items() if name.startswith(what)}
    return {
        leaf: array
        for leaf in partners.places
        for path, array in paths.items()
        if path and leaf.endswith(path) and array.shape == partners.places[leaf].shape
    }


def called(partners: Partners, quantity: Quantity) -> str:
    """The name of a tensor in a report."""
    kind, name = quantity
    if kind in (LOSS, RATE):
        return kind
    what = {GRADIENTS: "the gradient by ", GIVEN: "the clipped gradient by "}.get(kind, "")
    return what + said(name, partners.owners(name))
