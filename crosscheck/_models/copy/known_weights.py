"""Both models of a search, and the values of JAX's weights as far as they are known."""

from __future__ import annotations

from collections.abc import Sequence
from math import isclose
from typing import Any

import jax.numpy as jnp
import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.copy.candidate import Candidate
from crosscheck._models.copy.state import EMPTY, Marks, State, TorchSources
from crosscheck._models.copy.value_matching import NEAR, PRODUCTS, size_of
from crosscheck._models.cut.landmarks import axes_of, reordered
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.jax_recording import JaxProgramFlat, Step
from crosscheck._models.record.torch_recording import TorchRecord
from crosscheck._models.run.interpreter import ModelRun
from crosscheck._models.run.places import JaxPlaces, Places, TorchPlaces, float_arrays, is_moved
from crosscheck._models.values.distances import distance
from crosscheck._models.values.spilled import Store
from crosscheck._models.values.uses import CONSTANT, DATA, MOVES, WEIGHT, Use
from crosscheck._shadow.jax.large_weights import LARGE

ROUNDING = {"convert_element_type"}
"""The operations that move numbers and may round them."""


class KnownWeights:
    """A model of torch that has run, and a model of JAX whose weights are searched: a state says which are known."""

    def __init__(self, torch: TorchRecord, model: JaxModel, flat: JaxProgramFlat, inputs: Sequence[Array]) -> None:
        self.torch, self.model, self.flat = torch, model, flat
        self.torch_places = TorchPlaces(torch.weights)
        self.given = float_arrays(model)
        self.jax_places = Places({name: value.shape for name, value in self.given.items()})
        self._places_of_uses = JaxPlaces(model, flat, self.jax_places)
        self.seen = self._places_of_uses.seen
        self.uses: dict[int, tuple[Use, int]] = {
            step.operation.index: (use, position) for step, use, position in self._places_of_uses.uses()
        }
        self._leaves = {number: name for name, number in zip(model.names, flat.weights, strict=True) if name in self.given}
        self.run = ModelRun(flat, wide=True, known=dict.fromkeys(self._leaves))  # no constant depends on them
        self.run(model.weights, inputs, only=CONSTANT)
        self._fixed = {number: value for number, value in self.run.values.each() if number not in self._leaves}
        self._weights: dict[int, Any] = {}
        self._last_uses = flat.last_uses(flat.steps)
        self._weights_of: object = None
        self._distinct: dict[tuple[int, int], bool] = {}
        self._last_use = {number: step for step, numbers in self._last_uses.items() for number in numbers}
        self._spilled = Store()
        self._of_size: dict[int, list[tuple[Array, float]]] = {}

    def value(self, state: State, operand: Any) -> Any:
        """The value of an operand: data, a constant, or a weight as far as it is known."""
        if not isinstance(operand, int):
            return self.run.read(operand)
        if self.flat.kinds[operand] == WEIGHT:
            return self.weight(state, operand)
        return state.values[operand] if operand in state.values else self._fixed[operand]

    def weight(self, state: State, number: int) -> Any:
        """A weight, or a value that is computed from weights, as far as it is known."""
        if self._weights_of is not state.sources:
            self._weights, self._weights_of = {}, state.sources
        if number not in self._weights:
            if number in self._leaves:
                self._weights[number] = jnp.asarray(self.leaf(state, self._leaves[number]), np.float64)
            elif self.flat.origins[number] <= self.given.keys() and is_moved(self.flat, number, MOVES - ROUNDING):
                # a slice of many layers, for example
                self._weights[number] = jnp.asarray(self._numbers(state, self._places_of_uses.of(number)))
            else:
                step = self.flat.steps[self.flat.maker[number]]
                given = [self.value(state, operand) for operand in step.inputs]
                self._weights.update(zip(step.outputs, self.run.results(step, given), strict=True))
                self.release(step)
        return self._weights[number]

    def release(self, step: Step) -> None:
        """Drop what is known of weights that no later step needs; where one is needed after all, it is made again."""
        for number in self._last_uses.get(step.operation.index, ()):
            self._weights.pop(number, None)
            self._places_of_uses.release(number)

    def spill(self, state: State, step: Step) -> None:
        """Keep large values, which no later step needs, in a file: the search still looks back at them."""
        for number in self._last_uses.get(step.operation.index, ()):
            value = state.values.get(number)
            if value is not None and value.size > LARGE and isinstance(value.dtype, np.dtype):  # no key of random numbers
                state.values[number] = self._spilled.put(np.asarray(value)).view()

    def leaf(self, state: State, name: str) -> Array:
        """An array of JAX with torch's numbers where they are known."""
        sources = state.sources[name]
        first = sources.first
        sums = self.torch_places.sums(first, sources.second)
        return sums if sources.complete else np.where(first >= 0, sums, self.given[name])

    def _numbers(self, state: State, places: Array) -> Array:
        """The numbers of JAX's arrays at these places, torch's where they are known."""
        numbers = np.zeros(places.shape)
        for name, mask, own in self.jax_places.split(places):
            sources = state.sources[name]
            first, second = (array.reshape(-1)[own] for array in (sources.first, sources.second))
            given = 0.0 if (first >= 0).all() else self.given[name].reshape(-1)[own]
            numbers[mask] = np.where(first >= 0, self.torch_places.sums(first, second), given)
        return numbers

    def operand(self, state: State, step: Step) -> Array | None:
        """The data that a weight is multiplied with, as rows times features."""
        if step.operation.index not in self.uses:
            return None
        use, position = self.uses[step.operation.index]
        if use.kind not in PRODUCTS or use.operand is None:
            return None
        return use.operand.matrix(np.asarray(self.value(state, step.inputs[position]), np.float64))

    def distinct(self, step: int, slot: int, places: Array) -> bool:
        """Whether a weight holds each of its numbers once."""
        if (step, slot) not in self._distinct:
            first = places.min()
            seen = np.zeros(places.max() - first + 1, bool)
            seen[places - first] = True
            self._distinct[step, slot] = np.count_nonzero(seen) == places.size
        return self._distinct[step, slot]

    def matters(self, state: State, name: str, number: int) -> bool:
        """Whether a weight's value depends on an array's numbers; a factor of an initial state of zeros does not matter.

        Other arrays that are not known hold some numbers of torch for this, as two factors may both be zeros at first.
        """
        values: list[Array] = []
        for shift in (0, 1):
            trial = state.copy()
            for other in self.flat.origins[number] & self.given.keys():
                if state.sources[other].unknown:
                    places = self.jax_places.of(other).reshape(-1) - self.jax_places.start(other)
                    numbers = np.arange(len(places)) + shift * (other == name)
                    self.assign(trial, other, places, numbers % self.torch_places.total, None)
            values.append(np.asarray(self.weight(trial, number)))
        return not np.array_equal(values[0], values[1])

    def flat_sources(self, state: State, places: Array) -> Array:
        """The places in torch's arrays of numbers of JAX's arrays."""
        sources = np.full(places.shape, EMPTY, self.torch_places.dtype)
        for name, mask, own in self.jax_places.split(places):
            sources[mask] = state.sources[name].first.reshape(-1)[own]
        return sources

    def apply(self, state: State, candidate: Candidate) -> None:
        """Make a candidate."""
        for assignment in candidate.assignments:
            for name, mask, own in self.jax_places.split(assignment.jax):
                second = None if assignment.second is None else assignment.second[mask]
                self.assign(state, name, own, assignment.torch[mask], second)
            for places in (assignment.torch, assignment.second):
                for name, _, own in self.torch_places.split(places) if places is not None else ():
                    marks = state.used.get(name) or Marks(self.torch_places.shapes[name], False)
                    state.used[name] = marks.with_marked(own)
        if candidate.made is not None:
            state.made[state.at] = list(candidate.made)

    def assign(self, state: State, name: str, places: Array, torch: Array, second: Array | None) -> None:
        """Record the places in torch of some numbers of an array, and those of second numbers to add."""
        first, other = state.sources[name].first.copy(), state.sources[name].second
        first.reshape(-1)[places] = torch
        if second is not None or other.flags.writeable:  # else it is nothing, for all numbers
            other = other.copy()
            other.reshape(-1)[places] = EMPTY if second is None else second
        state.sources = {**state.sources, name: TorchSources(first, other)}

    def ancestors(self, state: State, number: Any) -> set[int]:
        """The steps on data that a value depends on, back to values taken from torch."""
        makers: set[int] = set()
        left = [number]
        while left:
            operand = left.pop()
            maker = self.flat.maker.get(operand) if isinstance(operand, int) and operand not in state.forced else None
            if maker is None or maker in makers or self.flat.steps[maker].operation.kind != DATA:
                continue
            makers.add(maker)
            left += self.flat.steps[maker].inputs
        return makers

    def of_size(self, size: int) -> list[tuple[Array, float]]:
        """The values of torch with so many numbers, each with its root mean square."""
        if size not in self._of_size:
            arrays = [values.wide for values in self.torch.values.values() if values.wide.size == size]
            self._of_size[size] = [(array, size_of(array)) for array in arrays]
        return self._of_size[size]

    def synchronise(self, state: State, number: Any) -> None:
        """Continue with torch's values where JAX nearly has them, and needs them later: differences grow with depth.

        Otherwise, what JAX computes with constants of float32 is another quantity after some layers.
        """
        for index in self.ancestors(state, number):
            for output in self.flat.steps[index].outputs:
                if self._last_use.get(output, 0) <= state.at:
                    continue
                value = np.asarray(state.values[output], np.float64)
                for array, length in self.of_size(value.size):
                    if isclose(length, size_of(value), rel_tol=NEAR):
                        torch_value = reordered(array, value.shape, axes_of(value.shape, array.shape))
                        if distance(value, torch_value) < NEAR:
                            state.values[output] = jnp.asarray(torch_value)
                            state.forced |= {output}
                            break
