"""Find out, by running both models, from which number of torch's weights each number of a JAX model's weights comes.

torch has run with random weights. JAX runs operation by operation. If JAX needs a weight that is not known yet, the data
that it is applied to shows which weight of torch it is: torch applies that weight to the same numbers. If several fit, as
when three projections of the same data may be the query, names decide first. What follows proves a decision: if a later
operand is one of torch's, all decisions that it depends on were right. If not, the other candidates are tried; if none
leads to such an operand, JAX continues with torch's operand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice, permutations
from math import isclose
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.copy.candidate import Made, cheapest
from crosscheck._models.copy.candidates import Candidates
from crosscheck._models.copy.known_weights import KnownWeights
from crosscheck._models.copy.state import EMPTY, NONE_FITS, DeadEndError, Decision, Marks, State, TorchSources
from crosscheck._models.copy.value_matching import (
    MOST_ORDERS,
    NEAR,
    PRODUCTS,
    Data,
    Product,
    Rows,
    align,
    alike,
    convolved,
    in_order_of,
    near,
    products,
    rows,
    size_of,
    telling,
)
from crosscheck._models.cut.landmarks import axes_of, reordered
from crosscheck._models.cut.running_statistics import is_updated, updates
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.jax_recording import JaxProgramFlat, Step
from crosscheck._models.record.jax_uses import weight_places
from crosscheck._models.record.torch_recording import TorchRecord
from crosscheck._models.values.distances import blank, distance
from crosscheck._models.values.uses import DATA

MOST_TRIALS, FEWEST_TRIALS = 120, 6
"""The most combinations of other candidates that are tried at one place; half as many after each place where none helped."""
TIE = 0.05
"""Candidates whose scores differ by less count as equally likely."""


class NumberTracer(KnownWeights):
    """The search, which runs JAX's program step by step."""

    def __init__(self, torch: TorchRecord, model: JaxModel, flat: JaxProgramFlat, inputs: Sequence[Array]) -> None:
        super().__init__(torch, model, flat, inputs)
        self.products, self.rows = products(torch), rows(torch)
        self.updates = updates(flat, len(torch.names))
        self._in_vain = 0
        self.candidates = Candidates(self)

    def find(self) -> State:
        """Run to the end."""
        with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
            state = self.start()
            while state.at < len(self.flat.steps):
                state = self.advance(state, {}, repairing=False)
            return self.finish(state)

    def start(self) -> State:
        nothing = {
            name: np.broadcast_to(self.torch_places.dtype.type(EMPTY), value.shape) for name, value in self.given.items()
        }
        return State(0, {}, {name: TorchSources(empty, empty) for name, empty in nothing.items()})

    # one step

    def advance(self, state: State, script: Mapping[tuple[int, int], int], *, repairing: bool) -> State:
        """Run the next step. A repair raises ``DeadEndError`` if the step leads nowhere."""
        step = self.flat.steps[state.at]
        if step.operation.kind != DATA:
            state.at += 1
            return state
        if weight_places(self.flat, step):
            state = self.evidence(state, step, script, repairing=repairing)
            self.decide(state, step, script)
        given = [self.value(state, operand) for operand in step.inputs]
        for number, value in zip(step.outputs, self.run.results(step, given), strict=True):
            state.values[number] = value
        self.release(step)
        if not repairing:  # else each of many trials would write a file
            self.spill(state, step)
        if step.operation.name == "conv_general_dilated":
            self.correct(state, step)
        state.at += 1
        return state

    def correct(self, state: State, step: Step) -> None:
        """Continue with torch's result of a convolution, if its data fits only one weight, and JAX convolves in another way.

        For example, JAX has another padding, or a weight of another shape. No other weight would correct that, and it must
        not hide what follows.
        """
        matrix = self.operand(state, step)
        if matrix is None:
            return
        decision = next((decision for decision in state.open if decision.step == step.operation.index), None)
        if decision is None:
            made = self.misfit(state, step, matrix)
        else:
            made = decision.candidate.made if decision.candidate.sure else None
        view, value = self.uses[step.operation.index][0].result, np.asarray(state.values[step.outputs[0]])
        result = convolved(view, value, matrix, made or ())
        if result is not None:
            state.values[step.outputs[0]] = jnp.asarray(result)
            state.forced |= {step.outputs[0]}

    def misfit(self, state: State, step: Step, matrix: Array) -> tuple[Made, ...] | None:
        """The likeliest of torch's weights that convolve this data, if JAX's array has the shape of none of them."""
        places = self.seen(step.operation.index)[0]
        if places is None or (self.flat_sources(state, places) != NONE_FITS).any() or not np.any(matrix):
            return None
        names = {product.name for product, _ in self.products_with(matrix)}
        free = [product for product in self.unused(state, places) if product.name in names]
        if not free:
            return None
        product = max(free, key=lambda product: self.candidates.score(state, product, places))
        state.used[product.name] = Marks(self.torch_places.shapes[product.name], True)
        every = np.arange(places.shape[1])
        made = ((product, every, every),)
        state.made[step.operation.index] = list(made)
        return made

    def unused(self, state: State, places: Array | None) -> list[Product]:
        """torch's convolutions without a partner that have as many outputs as a weight of JAX."""
        if places is None:
            return []
        free = [
            product
            for product in self.products
            if product.name in self.torch_places.shapes and product.name not in state.used
        ]
        return [product for product in free if product.kind == "convolution" and product.matrix.shape[1] == places.shape[1]]

    # evidence

    def products_with(self, matrix: Array) -> list[tuple[Product, Rows]]:
        """The weights of torch that are also applied to this data; none if it is not finite, as that shows nothing."""
        if not np.isfinite(matrix).all():
            return []
        data = Data(matrix)
        aligned = [(product, align(data, product.data)) for product in self.products]
        return [(product, rows) for product, rows in aligned if rows is not None]

    def evidence(self, state: State, step: Step, script: Mapping[tuple[int, int], int], *, repairing: bool) -> State:
        """Check whether torch has the operand; if not, make other candidates, or take torch's operand."""
        matrix = self.operand(state, step)
        if matrix is None:
            return state
        position = self.uses[step.operation.index][1]
        if self.products_with(matrix):
            if np.any(matrix):
                state = self.prove(state, step.inputs[position], state.at, alone=not repairing)
            return state
        if self.looks_up(state, step):
            return state
        operand = self.nearly(state, step)
        if operand is not None:
            number = step.inputs[position]
            if not repairing and (exact := self.exactly(state, number, step.operation.index)):
                return exact
            state = self.prove_alone(state, number, state.at, alone=not repairing)
            self.synchronise(state, number)
            state.values[number] = jnp.asarray(operand)
            state.forced |= {number}
            return state
        if repairing:
            raise DeadEndError
        repaired = self.repair(state, step.inputs[position], step.operation.index)
        if repaired is not None:  # what it depends on is proven now, although torch may have only nearly this value
            return self.evidence(repaired, step, script, repairing=False)
        return self.force(self.salvaged(state, step.inputs[position]), step)

    def looks_up(self, state: State, step: Step) -> bool:
        """Whether a product gives rows of a weight, as an embedding does: each row of its data is 1 once, and 0 otherwise.

        torch then has a table with so many rows, and no product with this data.
        """
        matrix = self.operand(state, step) if self.uses[step.operation.index][0].kind == "product" else None
        heights = {self.torch_places.shapes[row.name][0] for row in self.rows if row.role == "table"}
        if matrix is None or matrix.shape[1] not in heights or not np.isin(matrix, (0, 1)).all():
            return False
        return bool((matrix.sum(1) == 1).all()) and not self.products_with(matrix)

    def nearly(self, state: State, step: Step) -> Array | None:
        """torch's operand, if JAX's nearly equals it: an earlier function differs a little, as with another epsilon."""
        use, position = self.uses[step.operation.index]
        assert use.operand is not None
        return near(use.operand, np.asarray(self.value(state, step.inputs[position]), np.float64), self.products)

    def exactly(self, state: State, number: Any, until: int) -> State | None:
        """Try other layouts of the weights that a nearly right value depends on: even attention shows little of a query."""
        before = self.ancestors(state, number)
        others = [
            (decision, k)
            for decision in state.open
            if decision.step in before
            for k, candidate in enumerate(decision.candidates)
            if k != decision.taken and candidate.names == decision.candidate.names
        ]
        for decision, k in others[: self.budget]:
            trial = self.replay(decision, {decision.key: k}, until)
            matrix = self.operand(trial, self.flat.steps[until]) if trial is not None else None
            if trial is not None and matrix is not None and self.products_with(matrix):
                return self.prove(trial, number, until, alone=False)
        self._in_vain += bool(others)
        return None

    def salvaged(self, state: State, number: Any) -> State:
        """Values of torch on the way to a value that torch lacks prove the decisions that they depend on."""
        for index in sorted(self.ancestors(state, number), reverse=True):
            step = self.flat.steps[index]
            before = self.ancestors(state, step.outputs[0])
            if any(decision.step in before for decision in state.open) and self.is_right(state, step.outputs[0], index + 1):
                state = self.prove_alone(state, step.outputs[0], index + 1)
        return state

    def prove_alone(self, state: State, number: Any, until: int, *, alone: bool = True) -> State:
        """Prove what a value depends on, although what follows differs."""
        before = self.ancestors(state, number)
        for decision in state.open:
            if decision.step in before:
                state.alone |= {
                    name for own in decision.candidate.assignments for name, *_ in self.jax_places.split(own.jax)
                }
        return self.prove(state, number, until, alone=alone)

    def prove(self, state: State, number: Any, until: int, *, alone: bool = True) -> State:
        """Prove all decisions that a value depends on, unless another, equally likely decision leads to it too."""
        before = self.ancestors(state, number)
        closing = [decision for decision in state.open if decision.step in before]
        for decision in closing:
            if alone:
                self.doubt(state, decision, closing, number, until)
        for decision in closing:
            self.close(state, decision)
        return state

    def close(self, state: State, decision: Decision) -> None:
        """Mark a decision as right."""
        state.open.remove(decision)
        for assignment in decision.candidate.assignments:
            for name, _, places in self.jax_places.split(assignment.jax):
                marks = state.proven.get(name) or Marks(self.jax_places.shapes[name], False)
                state.proven[name] = marks.with_marked(places)

    def doubt(self, state: State, decision: Decision, closing: Sequence[Decision], number: Any, until: int) -> None:
        """Note the arrays for which another, equally likely candidate leads to the same values."""
        for k, candidate in enumerate(decision.candidates):
            if k == decision.taken or abs(candidate.score - decision.candidate.score) > TIE:
                continue
            script = {other.key: other.taken for other in closing if other is not decision and other.taken}
            trial = self.replay(decision, script | {decision.key: k}, until)
            if trial is None or not self.is_right(trial, number, until):
                continue
            for name, sources in state.sources.items():
                other = trial.sources[name]
                if other is not sources and other.known and not np.array_equal(sources.first, other.first):
                    state.doubtful |= {name}

    def replay(self, decision: Decision, script: Mapping[tuple[int, int], int], until: int) -> State | None:
        """Run again from a decision on, with other candidates; None if an operand on the way is none of torch's."""
        trial = decision.before.copy()
        try:
            while trial.at < until:
                trial = self.advance(trial, script, repairing=True)
        except DeadEndError:
            return None
        return trial

    def repair(self, state: State, number: Any, until: int) -> State | None:
        """Try other candidates for what a value depends on, until torch has it, as an operand or at the end as an output."""
        before = self.ancestors(state, number)
        doubtful = [decision for decision in state.open if decision.step in before and len(decision.candidates) > 1]
        scores = [[candidate.score for candidate in decision.candidates] for decision in doubtful]
        losses = [[own[0] - score for score in own] for own in scores]
        for script in islice(cheapest(losses), 1, self.budget + 1):
            chosen = dict(zip((decision.key for decision in doubtful), script, strict=True))
            trial = self.replay(doubtful[next(k for k, taken in enumerate(script) if taken)], chosen, until)
            if trial is not None and self.is_right(trial, number, until):
                return self.prove(trial, number, until, alone=False)
        self._in_vain += 1
        return None

    @property
    def budget(self) -> int:
        """How many other candidates are tried at one place."""
        return max(MOST_TRIALS >> self._in_vain, FEWEST_TRIALS)

    def is_right(self, state: State, number: Any, until: int) -> bool:
        """Whether torch has a value: the operand of a step, a value computed before a step, an output or a new statistic."""
        value = np.asarray(self.value(state, number), np.float64)
        if until == len(self.flat.steps):
            returned = [*(result.wide for result in self.torch.results), *self.torch.buffers.values()]
            results = [array for array in returned if array.size == value.size and not blank(array)]
            results = [reordered(array, value.shape, axes_of(value.shape, array.shape)) for array in results]
            chosen = {name for decision in state.open for name in decision.candidate.names}
            right = any(alike(value, array) or distance(value, array) < NEAR for array in results)
            return right or is_updated(value, self.torch, chosen)
        step = self.flat.steps[until]
        matrix = self.operand(state, step)
        if matrix is not None and step.inputs[self.uses[until][1]] == number:
            return bool(self.products_with(matrix)) or self.nearly(state, step) is not None
        size = size_of(value)
        return telling(value) and any(
            isclose(length, size, rel_tol=1e-3) and alike(value, array) for array, length in self.of_size(value.size)
        )

    def force(self, state: State, step: Step) -> State:
        """Take torch's operand of the weight that this most likely is, by names, shapes, and similarity of the operands."""
        (use, position), places = self.uses[step.operation.index], self.seen(step.operation.index)
        value = np.asarray(self.value(state, step.inputs[position]), np.float64)
        assert use.operand is not None
        best: tuple[float, tuple[Array, Data, tuple[int, ...]] | None] = (-np.inf, None)
        likely = self.candidates.likely(state, step, places[0])
        for product in likely or (self.unused(state, places[0]) if use.kind == "convolution" else []):
            for order in islice(permutations(range(len(use.operand.rows))), MOST_ORDERS):
                matrix = use.operand.matrix(value, order)
                for operand in product.operands:
                    if operand.rows.shape == matrix.shape:
                        near = 2 * max(0.0, 1.0 - distance(matrix, operand.rows))
                        score = near + self.candidates.score(state, product, places[0])
                        if score > best[0]:
                            best = score, (matrix, operand, order)
        if best[1] is not None:
            matrix, operand, order = best[1]
            state.values[step.inputs[position]] = jnp.asarray(use.operand.array(in_order_of(matrix, operand.rows), order))
            state.forced |= {step.inputs[position]}
        return state

    def finish(self, state: State) -> State:
        """Check the outputs and the new statistics, into which the old ones enter: they are evidence too."""
        for number in [number for number in self.flat.results if isinstance(number, int)]:
            if not state.open or self.flat.kinds[number] != DATA:
                continue
            if self.is_right(state, number, len(self.flat.steps)):
                state = self.prove(state, number, len(self.flat.steps))
            else:
                state = self.repair(state, number, len(self.flat.steps)) or self.salvaged(state, number)
        for decision in [decision for decision in state.open if decision.candidate.sure]:
            self.close(state, decision)
            state.alone |= {name for own in decision.candidate.assignments for name, *_ in self.jax_places.split(own.jax)}
        return state

    # decisions

    def decide(self, state: State, step: Step, script: Mapping[tuple[int, int], int]) -> None:
        """Choose the weights of a step that are not known."""
        for slot, place in enumerate(weight_places(self.flat, step)):
            number = step.inputs[place]
            while True:
                unknown = self.unknown(state, step, slot, number)
                if unknown is None:
                    break
                key = (step.operation.index, int(unknown.reshape(-1)[0]))
                candidates = self.candidates.of(state, step, slot, unknown)
                if not candidates:
                    for name, _, places in self.jax_places.split(unknown.reshape(-1)):
                        self.assign(state, name, places, np.full(len(places), NONE_FITS), None)
                    continue
                taken = min(script.get(key, 0), len(candidates) - 1)
                if script.get(key, 0) >= len(candidates):
                    raise DeadEndError
                state.open.append(Decision(step.operation.index, key, tuple(candidates), taken, state.copy()))
                self.apply(state, candidates[taken])
        use = self.uses.get(step.operation.index)
        if use is not None and use[0].kind in PRODUCTS and step.operation.index not in state.made:
            self.candidates.remember(state, step, self.seen(step.operation.index)[0])

    def unknown(self, state: State, step: Step, slot: int, number: int) -> Array | None:
        """The unknown places of JAX's numbers that a weight holds: all of a matrix, or those of one array."""
        if not any(state.sources[name].unknown for name in self.flat.origins[number] & self.given.keys()):
            return None
        entry = self.uses.get(step.operation.index)
        seen = self.seen(step.operation.index) if entry is not None and entry[0].kind != "other" else ()
        places = seen[slot] if slot < len(seen) else None
        if places is not None and self.distinct(step.operation.index, slot, places):
            known = self.flat_sources(state, places)
            return self.candidates.of_vectors.table(state, places) if (known == EMPTY).any() else None
        for name in sorted(self.flat.origins[number]):
            if name in self.given and state.sources[name].unknown and self.matters(state, name, number):
                return self.jax_places.of(name)
        return None
