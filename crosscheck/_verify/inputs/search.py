"""A search for the inputs with the largest errors: the worst inputs so far are changed, again and again.

The rows of a function of rows are changed by their shapes, the inputs of an elementwise function by their bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crosscheck._arithmetic.formats import Float64Array, FloatArray, IntArray, format_of, from_ordinal, to_ordinal
from crosscheck._records.records import VOCABULARY
from crosscheck._verify.inputs.shapes import STARTS, RowShape

Errors = Callable[[Sequence[RowShape]], Mapping[object, Float64Array]]
"""The largest error in each of some rows, for each judged result, as a share of its budget."""


@dataclass(frozen=True)
class Effort:
    """How many rows are tried, and the lengths at which the worst are judged; the search uses the first of these.

    ``rounds`` is how often inputs of an elementwise function are tried, each time as many as the sample has; 0: no search.
    """

    rows: int
    lengths: tuple[int, ...]
    rounds: int = 0


USUAL_EFFORT, THOROUGH_EFFORT = Effort(33, (1000,)), Effort(330, (1000, VOCABULARY), rounds=20)
PARENTS = 32
"""How many of the worst inputs are changed for each result."""


def worst(errors: Errors, effort: Effort, at_once: int, seed: int) -> list[RowShape]:
    """The ``at_once`` worst rows that were tried: first the worst for each of the results, then the next."""
    rng = np.random.default_rng(seed)
    tried: list[RowShape] = []
    by_result: dict[object, list[float]] = {}
    while len(tried) < effort.rows:
        batch = list(STARTS[len(tried) : len(tried) + at_once])
        parents = [tried[i] for i in worst_first(by_result)] if len(batch) < at_once else []
        batch += [parents[i % len(parents)].mutated(rng) for i in range(at_once - len(batch))]
        for result, of_rows in errors(batch).items():
            by_result.setdefault(result, []).extend(np.nan_to_num(of_rows, nan=np.inf).tolist())
        tried += batch
    return [tried[i] for i in worst_first(by_result)[:at_once]]


def worst_first(by_result: Mapping[object, Sequence[float] | Float64Array]) -> list[int]:
    """The number of every input, once: the worst for each result, beginning with results nearest to their budgets; then the
    second worst, and so on, so that every result has its inputs.
    """
    errors = [np.nan_to_num(np.asarray(of, np.float64), nan=np.inf) for of in by_result.values()]
    errors.sort(key=lambda of: -of.max())
    ranked = np.stack([np.argsort(-of, kind="stable") for of in errors], axis=1)
    return list(dict.fromkeys(ranked.ravel().tolist()))


def neighbours(x: FloatArray, errors: Mapping[object, Float64Array], seed: int) -> FloatArray:
    """As many inputs as were tried, near the worst of these for each result: from the next one to a binade away."""
    rng = np.random.default_rng(seed)
    parents = np.unique(np.concatenate([np.argsort(-np.nan_to_num(of, nan=np.inf))[:PARENTS] for of in errors.values()]))
    fmt = format_of(x)
    ordinals: IntArray = to_ordinal(x[rng.choice(parents, x.size)])
    distance = np.ldexp(1.0, rng.integers(0, fmt.precision - 1, x.size)) * rng.uniform(1, 2, x.size)
    ends = to_ordinal(np.array([-fmt.largest, fmt.largest], x.dtype))
    return from_ordinal(np.clip(ordinals + np.copysign(distance, rng.standard_normal(x.size)).astype(np.int64), *ends), fmt)
