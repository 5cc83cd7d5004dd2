"""Free runs of both trainings: their distance, beside that of torch from itself when it starts one ULP away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, widen
from crosscheck._frameworks.programs import Array, Inputs
from crosscheck._training.records import Drift
from crosscheck._training.steps.departures import StepResults
from crosscheck._training.steps.partners import Partners

MOST_KEPT = 2**28
"""The most bytes of a trajectory that are kept; of a longer one, only some steps are compared."""


Ran = tuple[float, Mapping[str, Array]]
"""The results of a step of a free run: its loss and, by name, the parameters or the state after it."""


@dataclass(frozen=True)
class FreeRuns:
    """Free runs of both trainings.

    Attributes:
        steps: The steps that were kept, from 1.
        start: torch's parameters at the start.
        jax_start: JAX's state at the start: torch's numbers, if it has them.
        torch: The results of torch at each of these steps, with its parameters.
        jax: The results of JAX, with its state.
        partners: Which array of JAX holds which numbers of torch.
    """

    steps: tuple[int, ...]
    start: Mapping[str, Array]
    jax_start: Mapping[str, Array]
    torch: tuple[Ran, ...]
    jax: tuple[Ran, ...]
    partners: Partners


def free_runs(results: StepResults, start: object, batches: Sequence[Inputs], jax_batches: Sequence[Inputs]) -> FreeRuns:
    """Run torch and JAX. Afterwards, torch has the state after its last step."""
    torch = results.torch
    torch.restore(start)
    first = {name: array for name, array in torch.weights().items() if name in torch.parameters}
    size = sum(array.nbytes for array in first.values())
    every = max(1, -(-len(batches) * size // MOST_KEPT))
    steps = tuple(k + 1 for k in range(len(batches)) if k % every == 0 or k == len(batches) - 1)
    jax_start = dict(results.jax.start)
    if not results.partners.starts:
        for leaf, array in results.partners.of_weights(first).items():
            if not np.isnan(array).any():
                jax_start[leaf] = array.astype(jax_start[leaf].dtype).reshape(jax_start[leaf].shape)
    torch_results = tuple(_in_torch(results, batches, steps))
    return FreeRuns(
        steps, first, jax_start, torch_results, tuple(_in_jax(results, jax_start, jax_batches, steps)), results.partners
    )


def drift(
    results: StepResults,
    start: object,
    batches: Sequence[Inputs],
    runs: FreeRuns,
    controls: int,
    seed: int,
    progress: Callable[[str, int], None] | None = None,
) -> Drift:
    """The distance of both, beside the controls. Afterwards, torch has the state after the last step of a control."""
    torch, first = results.torch, runs.start
    ways = [_way(weights, first) for _, weights in runs.torch]
    largest = np.zeros(len(ways))
    for control in range(controls):
        torch.restore(start, _moved(first, torch.dtype, (seed, control)))
        kept = zip(_in_torch(results, batches, runs.steps), runs.torch, ways, strict=True)
        largest = np.fmax(largest, [_share(_way(weights, other), way) for (_, weights), (_, other), way in kept])
        if progress is not None:
            progress("controls", 1)
    added_up = np.sqrt(np.cumsum(np.square(results.rounding)))
    last = len(added_up)  # the comparison may have ended before the runs did
    distances = []
    for (_, state), (_, weights), way in zip(runs.jax, runs.torch, ways, strict=True):
        arranged = results.partners.of_weights(weights)
        trained = [leaf for leaf in arranged if set(results.partners.owners(leaf)) <= set(first)]
        distance = _way({leaf: state[leaf] for leaf in trained}, {leaf: arranged[leaf] for leaf in trained})
        distances.append(_share(distance, way))
    return Drift(
        runs.steps,
        tuple(distances),
        tuple(float(share) for share in largest),
        tuple(_share(float(added_up[min(step, last) - 1]), way) for step, way in zip(runs.steps, ways, strict=True)),
        tuple((torch_loss, jax_loss) for (torch_loss, _), (jax_loss, _) in zip(runs.torch, runs.jax, strict=True)),
        controls,
    )


def _in_torch(results: StepResults, batches: Sequence[Inputs], steps: Sequence[int]) -> Iterator[Ran]:
    kept = frozenset(steps)
    for k, batch in enumerate(batches):
        loss = results.torch.plain(batch)
        if k + 1 in kept:
            weights = results.torch.weights()
            yield loss, {name: weights[name] for name in results.torch.parameters}


def _in_jax(
    results: StepResults, start: Mapping[str, Array], batches: Sequence[Inputs], steps: Sequence[int]
) -> Iterator[Ran]:
    kept = frozenset(steps)
    state = start
    for k, batch in enumerate(batches):
        made = results.jax.plain(state, batch)
        state = made.state
        if k + 1 in kept:
            yield made.loss, state


def _way(left: Mapping[str, Array], right: Mapping[str, Array]) -> float:
    """The root mean square difference over all numbers."""
    total = count = 0.0
    for name, array in left.items():
        a, b = array.astype(np.float64), np.asarray(right[name]).astype(np.float64).reshape(array.shape)
        with np.errstate(invalid="ignore"):
            total += float(np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, (a - b) ** 2).sum())
        count += array.size
    return float(np.sqrt(total / count)) if count else 0.0


def _share(distance: float, way: float) -> float:
    """A distance relative to the way from the start: infinite if it is not finite, 0 if the way is 0 or not finite."""
    if not np.isfinite(distance):
        return float(np.inf)
    return distance / way if way and np.isfinite(way) else 0.0


def _moved(weights: Mapping[str, Array], dtype: str, seed: tuple[int, int]) -> dict[str, Array]:
    """The arrays with every number moved one ULP up or down, at random."""
    rng = np.random.default_rng(seed)
    fmt = FORMATS[dtype]
    moved = {}
    for name, array in weights.items():
        wide = widen(array)
        up = rng.integers(0, 2, array.shape) * 2 - 1
        _, exponents = np.frexp(wide)
        moved[name] = np.asarray(wide + up * np.ldexp(1.0, exponents - fmt.precision) * (wide != 0)).astype(array.dtype)
    return moved
