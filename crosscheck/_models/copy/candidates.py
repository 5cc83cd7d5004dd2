"""The weights of torch that a weight of JAX may be, and the order of its numbers, likeliest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, permutations
from typing import TYPE_CHECKING

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.copy.candidate import Assignment, Candidate, CandidateSearch, of_columns
from crosscheck._models.copy.value_matching import FOUND, NEAR, PRODUCTS, Product, Rows, alike
from crosscheck._models.copy.vector_candidates import SURE, VectorCandidates
from crosscheck._models.record.jax_recording import Step
from crosscheck._models.values.distances import distance
from crosscheck._models.values.names import likeness, tokens
from crosscheck._models.values.output_orders import divisors, features
from crosscheck._models.values.uses import Use

if TYPE_CHECKING:
    from crosscheck._models.copy.number_tracing import NumberTracer
    from crosscheck._models.copy.state import State

MOST = 48
"""The most candidates that are kept for a matrix."""
MOST_ORDERS = 24
"""The most orders that are tried of several weights in one."""
UNUSUAL = 4.0
"""The score is less by this for a convolution's weight that is flipped where that is unusual."""


class Candidates(CandidateSearch):
    """The candidates of one search: those for a matrix that multiplies data, and the choice between these and the others."""

    def __init__(self, tracer: NumberTracer) -> None:
        super().__init__(tracer)
        self.of_vectors = VectorCandidates(tracer)

    def of(self, state: State, step: Step, slot: int, unknown: Array) -> list[Candidate]:
        """The candidates for the unknown weights of a step: all of a matrix, or one array."""
        entry = self.of_run.uses.get(step.operation.index)
        if entry is not None and slot == 0 and self.of_run.seen(step.operation.index)[0] is unknown:
            use = entry[0]
            if use.kind == "gather" or self.of_run.looks_up(state, step):
                tables = self.of_vectors.tables(state, step, unknown)
                if tables:
                    return tables
            if use.kind in PRODUCTS:
                return self._products(state, step, use, unknown)
        if entry is not None and slot == 0 and entry[0].kind in PRODUCTS:
            return self._computing(state, step, entry[0], unknown)
        return self.of_vectors.candidates(state, step, entry[0] if entry is not None else None, unknown)

    def _computing(self, state: State, step: Step, use: Use, places: Array) -> list[Candidate]:
        """The candidates for an array from which JAX computes the matrix of a product.

        torch computes the matrix of a product with this data from it too, and the result shows which array it is.
        """
        matrix = self.of_run.operand(state, step)
        matches = [] if matrix is None else [product for product, _ in self.of_run.products_with(matrix)]
        among = {name for product in matches for name in product.name.split("+")}
        candidates = self.of_vectors.candidates(state, step, use, places, among)
        if len(candidates) < 2 or not matches or not np.any(matrix):
            return candidates
        right = [own for own in candidates if self._gives(self.result(state, step, own), use, matches)]
        return [replace(right[0], sure=True)] if len(right) == 1 else right or candidates

    def _gives(self, value: Array, use: Use, matches: Sequence[Product]) -> bool:
        """Whether a result of JAX nearly equals one of these products of torch."""
        results = [result for product in matches for result in product.results if result.size == value.size]
        orders = list(islice(permutations(range(len(use.result.rows))), MOST_ORDERS)) if results else []
        seen = [use.result.matrix(value, order) for order in orders]
        return any(own.shape == result.shape and distance(own, result) < NEAR for result in results for own in seen)

    def _used_columns(self, state: State, seen: Array) -> Array:
        """For each output of a weight of torch, the share of its numbers that have a partner."""
        torch_places = self.of_run.torch_places
        [(name, *_)] = torch_places.split(seen[:1, :1])
        if name not in state.used:
            return np.zeros(seen.shape[1])
        return np.asarray(state.used[name].at(seen - torch_places.start(name)).mean(0))

    # matrices

    def _products(self, state: State, step: Step, use: Use, places: Array) -> list[Candidate]:
        matrix = self.of_run.operand(state, step)
        assert matrix is not None
        matches = self.of_run.products_with(matrix)
        known = bool(matches) and bool(np.any(matrix))
        if not matches:  # torch has no such data: names and shapes decide
            matches = [(product, Rows(None, None)) for product in self.likely(state, step, places)]
        parts: list[tuple[Product, Array]] = []
        for product, rows in matches:
            parts += [(product, seen) for seen in self._arranged(product, rows, use, places.shape[0])]
        name = self.names(places)
        grouped: list[list[Candidate]] = []
        for k, (product, seen) in enumerate(parts):
            # of two arrangements of one weight the second is unlikely
            again = k > 0 and parts[k - 1][0] is product
            grouped.append([])
            used = self._used_columns(state, seen)
            for columns, bonus in features(seen.shape[1], places.shape[1], name):
                score = likeness(product.name, name) + bonus - 4 * float(used[columns].mean()) - 1e-4 * product.order
                score -= UNUSUAL * again
                made = ((product, columns, np.arange(len(columns))),)
                make = partial(of_columns, places, seen, columns)
                grouped[-1].append(Candidate(make, (product.name,), made, score))
        grouped = [own for own in [*grouped, self._joined(state, parts, places)] if own]
        if use.kind == "convolution" and len(grouped) > 1:  # the result does not show the order of its outputs
            agree = [self._agrees(state, step, use, own[0]) for own in grouped]
            grouped = [own for own, agreement in zip(grouped, agree, strict=True) if agreement == max(agree)]
        candidates = sorted((candidate for own in grouped for candidate in own), key=lambda candidate: -candidate.score)
        if known and candidates and all(candidates[0].score - candidate.score > SURE for candidate in candidates[1:2]):
            candidates[0] = replace(candidates[0], sure=True)
        return candidates[:MOST]

    def _arranged(self, product: Product, rows: Rows, use: Use, inputs: int) -> Iterator[Array]:
        """torch's matrix with the inputs in JAX's order; for a convolution also flipped in space."""
        if "+" in product.name:
            return
        seen = self.of_run.torch_places.seen(product.name, product.matrix)
        if seen is None or seen.shape[0] != inputs:
            return
        if rows.inputs is not None:
            if len(seen) % len(rows.inputs):
                return
            seen = seen.reshape(len(rows.inputs), -1, seen.shape[1])[rows.inputs].reshape(seen.shape)
        channels = product.operands[0].rows.shape[1]
        if use.kind != "convolution" or len(seen) % channels or len(seen) == channels:
            yield seen
            return
        flipped = seen.reshape(channels, -1, seen.shape[1])[:, ::-1].reshape(seen.shape)
        # If no result shows it, as the port is wrong here: only torch's transposed convolutions, inputs first, are flipped.
        transposed = seen.shape[1] > 1 and seen[0, 1] - seen[0, 0] < len(seen)
        yield from (flipped, seen) if transposed else (seen, flipped)

    def _agrees(self, state: State, step: Step, use: Use, candidate: Candidate) -> int:
        """Whether torch has the result of this candidate: 2 if in its place, 1 if somewhere, 0 if not."""
        value = self.result(state, step, candidate)
        agreement = 0
        for product, torch_columns, jax_columns in candidate.made or ():
            for whole in product.results:
                if alike(use.result.matrix(value)[:, jax_columns], whole[:, torch_columns]):
                    orders = permutations(range(len(use.result.rows)))
                    placed = any(
                        distance(use.result.matrix(value, order)[:, jax_columns], whole[:, torch_columns]) < FOUND
                        for order in orders
                    )
                    agreement = max(agreement, 1 + placed)
        return agreement

    def _joined(self, state: State, parts: Sequence[tuple[Product, Array]], places: Array) -> list[Candidate]:
        """The candidates in which one weight of JAX consists of several of torch's."""
        total = places.shape[1]
        free = [(product, seen) for product, seen in parts if seen.shape[1] < total and self.used(state, seen) < 1]
        if sum(seen.shape[1] for _, seen in free) != total:  # the data has other uses too
            alike_ones = [
                [part for part in free if part[1].shape[1] == width] for width in {seen.shape[1] for _, seen in free}
            ]
            free = next((own for own in alike_ones if sum(seen.shape[1] for _, seen in own) == total), [])
        if len(free) < 2:
            return []
        known = ("query", "key", "value")
        free.sort(key=lambda part: ([known.index(w) for w in tokens(part[0].name) if w in known], part[0].order))
        candidates = []
        for k, order in enumerate(islice(permutations(free), MOST_ORDERS)):
            widths = {seen.shape[1] for _, seen in order}
            arrangements = [np.arange(total)]
            if len(widths) == 1:
                width = widths.pop()
                arrangements += [
                    np.arange(total).reshape(-1, len(order), size).transpose(1, 0, 2).reshape(-1) for size in divisors(width)
                ]
            for number, columns in enumerate(arrangements):
                assignments, made, start = [], [], 0
                for product, seen in order:
                    own = columns[start : start + seen.shape[1]]
                    start += seen.shape[1]
                    assignments.append(Assignment(places[:, own].reshape(-1), seen.reshape(-1)))
                    made.append((product, np.arange(seen.shape[1]), own))
                names = tuple(product.name for product, _ in order)
                candidates.append(Candidate(tuple(assignments), names, tuple(made), -0.01 * k - 0.1 * number))
        return candidates

    def likely(self, state: State, step: Step, places: Array | None) -> list[Product]:
        """The weights of torch that one of JAX's may be by its shape; only the right one, if that is known."""
        made = state.made.get(step.operation.index)
        if made is None and places is not None:
            self.remember(state, step, places)
            made = state.made.get(step.operation.index)
        if made:
            return [part[0] for part in made]
        products = []
        for product in self.of_run.products:
            if places is not None and "+" not in product.name and product.matrix.shape[0] == places.shape[0]:
                fits = product.matrix.shape[1] >= places.shape[1]
                if fits and self.of_run.torch_places.seen(product.name, product.matrix) is not None:
                    products.append(product)
        return products

    def score(self, state: State, product: Product, places: Array | None) -> float:
        """The score of one of these, by its name, its shape and its place."""
        seen = self.of_run.torch_places.seen(product.name, product.matrix)
        if places is None or seen is None:
            return 0.0
        split = 0.5 * (seen.shape != places.shape)
        return likeness(product.name, self.names(places)) - split - 4 * self.used(state, seen) - 1e-3 * product.order

    def remember(self, state: State, step: Step, places: Array | None) -> None:
        """Record the parts of a product whose weight was known already."""
        if places is None:
            return
        sources = self.of_run.flat_sources(state, places)
        (name, *_), *others = [*self.of_run.torch_places.split(sources), ("",)]
        for product in self.of_run.products:
            if product.name != name or len(others) > 1 or (sources < 0).any():
                continue
            seen = self.of_run.torch_places.seen(product.name, product.matrix)
            if seen is None:
                continue
            columns = np.full(self.of_run.torch_places.shapes[name], -1, seen.dtype).reshape(-1)
            start = self.of_run.torch_places.start(name)
            columns[seen - start] = np.arange(seen.shape[1], dtype=seen.dtype)
            if (columns[sources - start] < 0).any():
                continue
            at = columns[sources[0] - start]
            state.made[step.operation.index] = [(product, at, np.arange(len(at)))]
            return
