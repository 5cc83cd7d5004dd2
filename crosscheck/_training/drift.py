"""Both trainings running freely: how far they part, beside how far torch parts from itself when it starts one ULP away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, widen
from crosscheck._frameworks.programs import Array, Inputs
from crosscheck._training.partners import Partners
from crosscheck._training.steps import Found

TIMES_CONTROLS = 16.0
"""JAX rounds at each step in another way, a control only starts elsewhere: so many times as far is still rounding."""
APART = 1e-3
"""The runs have parted when they are so far apart, of the way that the training has gone."""
MOST_KEPT = 2**28
"""So many bytes of a trajectory are kept at most; of a longer one only some steps are compared."""


@dataclass(frozen=True)
class Drift:
    """How far two trainings that run by themselves are apart.

    All distances are the root mean square over all parameters, relative to how far PyTorch's have moved since the start.

    Attributes:
        steps: The steps at which they were compared, from 1.
        apart: How far JAX is from PyTorch after each of these.
        controls: The largest distance of PyTorch's controls from it.
        rounding: What the rounding of the steps so far adds up to, as of independent errors.
        losses: The losses of PyTorch and of JAX at each of these.
        runs: How many controls there were.
    """

    steps: tuple[int, ...]
    apart: tuple[float, ...]
    controls: tuple[float, ...]
    rounding: tuple[float, ...]
    losses: tuple[tuple[float, float], ...]
    runs: int

    @property
    def times(self) -> float:
        """How many times as far JAX is from PyTorch as the furthest control and the steps' rounding, at the worst step."""
        return max(map(_ratio, self.apart, self._explained), default=0.0)

    @property
    def _explained(self) -> list[float]:
        return [control + one for control, one in zip(self.controls, self.rounding, strict=True)]

    @property
    def faster(self) -> int | None:
        """The first step after which that is more than rounding explains; None where it never is."""
        both = zip(self.steps, self.apart, self._explained, strict=True)
        return next((step for step, one, control in both if _ratio(one, control) > TIMES_CONTROLS), None)

    @property
    def parted(self) -> int | None:
        """The first step after which the two are a thousandth of the way apart; None where they never are."""
        return next((step for step, one in zip(self.steps, self.apart, strict=True) if not one <= APART), None)


def _ratio(one: float, control: float) -> float:
    return 0.0 if one == 0.0 else one / control if control else np.inf


Ran = tuple[float, Mapping[str, Array]]
"""What a step of a free run leaves: its loss and, by name, the parameters or the state after it."""


@dataclass(frozen=True)
class Runs:
    """Both trainings, each running by itself.

    Attributes:
        steps: The steps that were kept, from 1.
        start: torch's parameters at the start.
        jax_start: JAX's state at the start: torch's numbers, where it holds them.
        torch: What each of these steps of torch leaves, with its parameters.
        jax: The same of JAX, with its state.
        partners: Which array of JAX holds which numbers of torch.
    """

    steps: tuple[int, ...]
    start: Mapping[str, Array]
    jax_start: Mapping[str, Array]
    torch: tuple[Ran, ...]
    jax: tuple[Ran, ...]
    partners: Partners


def free_runs(found: Found, start: object, batches: Sequence[Inputs], jax_batches: Sequence[Inputs]) -> Runs:
    """Run torch and JAX; torch is left after its last step."""
    torch = found.torch
    torch.restore(start)
    first = {name: array for name, array in torch.weights().items() if name in torch.parameters}
    size = sum(array.nbytes for array in first.values())
    every = max(1, -(-len(batches) * size // MOST_KEPT))
    steps = tuple(k + 1 for k in range(len(batches)) if k % every == 0 or k == len(batches) - 1)
    jax_start = dict(found.jax.start)
    if not found.partners.starts:
        for leaf, array in found.partners.of_weights(first).items():
            if not np.isnan(array).any():
                jax_start[leaf] = array.astype(jax_start[leaf].dtype).reshape(jax_start[leaf].shape)
    mine = tuple(_in_torch(found, batches, steps))
    return Runs(steps, first, jax_start, mine, tuple(_in_jax(found, jax_start, jax_batches, steps)), found.partners)


def drift(
    found: Found,
    start: object,
    batches: Sequence[Inputs],
    runs: Runs,
    controls: int,
    seed: int,
    progress: Callable[[str, int], None] | None = None,
) -> Drift:
    """How far both are apart, beside the controls; torch is left after the last step of a control."""
    torch, first = found.torch, runs.start
    ways = [_way(weights, first) for _, weights in runs.torch]
    largest = np.zeros(len(ways))
    for control in range(controls):
        torch.restore(start, _moved(first, torch.dtype, (seed, control)))
        kept = zip(_in_torch(found, batches, runs.steps), runs.torch, ways, strict=True)
        largest = np.fmax(largest, [_share(_way(weights, other), way) for (_, weights), (_, other), way in kept])
        if progress is not None:
            progress("controls", 1)
    added_up = np.sqrt(np.cumsum(np.square(found.rounding)))
    last = len(added_up)  # the comparison may have ended before the runs do
    distances = []
    for (_, state), (_, weights), way in zip(runs.jax, runs.torch, ways, strict=True):
        arranged = found.partners.of_weights(weights)
        trained = [leaf for leaf in arranged if set(found.partners.owners(leaf)) <= set(first)]
        one = _way({leaf: state[leaf] for leaf in trained}, {leaf: arranged[leaf] for leaf in trained})
        distances.append(_share(one, way))
    return Drift(
        runs.steps,
        tuple(distances),
        tuple(float(one) for one in largest),
        tuple(_share(float(added_up[min(step, last) - 1]), way) for step, way in zip(runs.steps, ways, strict=True)),
        tuple((one, other) for (one, _), (other, _) in zip(runs.torch, runs.jax, strict=True)),
        controls,
    )


def _in_torch(found: Found, batches: Sequence[Inputs], steps: Sequence[int]) -> Iterator[Ran]:
    kept = frozenset(steps)
    for k, batch in enumerate(batches):
        loss = found.torch.plain(batch)
        if k + 1 in kept:
            weights = found.torch.weights()
            yield loss, {name: weights[name] for name in found.torch.parameters}


def _in_jax(found: Found, start: Mapping[str, Array], batches: Sequence[Inputs], steps: Sequence[int]) -> Iterator[Ran]:
    kept = frozenset(steps)
    state = start
    for k, batch in enumerate(batches):
        made = found.jax.plain(state, batch)
        state = made.state
        if k + 1 in kept:
            yield made.loss, state


def _way(one: Mapping[str, Array], other: Mapping[str, Array]) -> float:
    """The root mean square difference over all numbers."""
    total = count = 0.0
    for name, array in one.items():
        a, b = array.astype(np.float64), np.asarray(other[name]).astype(np.float64).reshape(array.shape)
        with np.errstate(invalid="ignore"):
            total += float(np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, (a - b) ** 2).sum())
        count += array.size
    return float(np.sqrt(total / count)) if count else 0.0


def _share(one: float, way: float) -> float:
    """A distance, of the way gone; where a run is not finite, both are, or they are infinitely far apart."""
    if not np.isfinite(one):
        return float(np.inf)
    return one / way if way and np.isfinite(way) else 0.0


def _moved(weights: Mapping[str, Array], dtype: str, seed: tuple[int, int]) -> dict[str, Array]:
    """Every number one ULP further up or down, at random."""
    rng = np.random.default_rng(seed)
    fmt = FORMATS[dtype]
    moved = {}
    for name, array in weights.items():
        wide = widen(array)
        up = rng.integers(0, 2, array.shape) * 2 - 1
        _, exponents = np.frexp(wide)
        moved[name] = np.asarray(wide + up * np.ldexp(1.0, exponents - fmt.precision) * (wide != 0)).astype(array.dtype)
    return moved
