"""Both sides of a pair in float64, at given and new inputs: a change of one side into the other is proven there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from crosscheck._arithmetic.formats import Float64Array, floats_widened
from crosscheck._compare.diagnose.budget import SearchBudget, cost_of
from crosscheck._compare.judge.comparisons import Judged, Request
from crosscheck._compare.judge.evidence import drawn_roundoff, without_nan
from crosscheck._compare.judge.results import directions
from crosscheck._compare.work import of_jax, of_torch
from crosscheck._explain.facts import Fact
from crosscheck._frameworks.jax_program import JaxProgram
from crosscheck._frameworks.programs import Array, Inputs, Outputs, layout
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._shadow.base import Lifted, Noise
from crosscheck._shadow.programs import lift_jax, lift_torch
from crosscheck._verdict.records import Comparison

TORCH, JAX = 0, 1
NAMES = ("PyTorch", "JAX")
FRESH = 2
DRAWS = 3
SPREADS = 64
"""Results may differ by this many times the largest change of either under float64's rounding, imitated as noise."""
ALIKE = 2.0**-40
"""They may also differ by this share of themselves, the error of the frameworks' functions in float64."""
NEAR = 1e-6
"""A difference smaller than this, relative to the size, is worth the proof."""
MOST = 2**12
"""The most elements of an elementwise function that are tried."""

Run = Callable[[Sequence[Array], Noise | None], Array]
"""A result from the arguments of the pair's programs, in float64."""


@dataclass(frozen=True)
class Trial:
    """A change of one side that makes it give what the other side gives.

    Attributes:
        fact: How the sides differ.
        run: The result of the changed side.
        target: The side whose result it then gives.
        view: The part or function of both results that is then equal.
    """

    fact: Fact
    run: Run
    target: int
    view: Callable[[Array], Array] = np.asarray

    @property
    def is_part(self) -> bool:
        """Whether it explains a part of the results alone, or not their order."""
        return self.view is not np.asarray


class Trials:
    """One result of a pair, from both sides: first at the given inputs, then at new ones."""

    def __init__(self, request: Request, judged: Judged, budget: SearchBudget) -> None:
        record = judged.record
        self.request, self.order = request, record.order
        inputs = request.inputs
        if judged.x is not None and len(inputs.floats) == 1 and inputs.leaves[inputs.floats[0]].size > MOST:
            (at,) = inputs.floats
            inputs = inputs.with_leaf(at, inputs.leaves[at].ravel()[:: -(-inputs.leaves[at].size // MOST)])
        if inputs is not request.inputs and not _accepted(request, inputs):
            inputs = request.inputs  # each element may have a weight of its own, as that of its channel
        self.inputs = replace(inputs, wrt=inputs.wrt if record.order else ())
        torch = TorchProgram(request.torch, self.inputs, request.device)
        jax = JaxProgram(request.jax, self.inputs, request.device, ("jit",))
        self.outputs: Outputs = torch.outputs()[0]
        along = directions(self.outputs, self.inputs, None, replace(request, inputs=self.inputs, order=self.order))
        self.lifted: tuple[Lifted, Lifted] = lift_torch(torch, self.order), lift_jax(jax, self.order, along)
        self.index = _index(self.outputs, self.inputs, record)
        self._along = [floats_widened(array) for array in along.arrays]
        self.arguments = [self.given, *self._fresh()]
        works = of_torch(torch, self.order, along), of_jax(jax, self.order, along)
        self.budget, self._costs = budget, [cost_of(side, work or works[0]) for side, work in enumerate(works)]
        self._results: dict[tuple[int, int], Array | None] = {}

    @cached_property
    def given(self) -> list[Array]:
        return [*map(floats_widened, self.inputs.leaves), *self._along]

    def _fresh(self) -> list[list[Array]]:
        """Other arguments in the range of the given ones: mixtures of shuffled ones, and the given ones made smaller."""
        fresh = []
        for trial in range(FRESH):
            rng = np.random.default_rng((self.request.seed, 5, trial))
            drawn = _smaller if trial else _mixed
            fresh.append([*(drawn(floats_widened(leaf), rng) for leaf in self.inputs.leaves), *self._along])
        return fresh

    def spend(self, side: int) -> None:
        """Count a run."""
        self.budget.spend(self._costs[side])

    @property
    def spent(self) -> bool:
        """Whether enough was tried. Runs are counted, not seconds, so that every machine finds the same."""
        return self.budget.left < 0

    @property
    def is_float(self) -> bool:
        """Whether the result is of floats."""
        return self.order > 0 or self.index in self.outputs.floats

    @property
    def draws(self) -> list[str]:
        """The sides that draw random numbers."""
        torch, jax = self.lifted
        self.result(TORCH)  # whether a program of torch draws is known after a run
        return [NAMES[TORCH]] * getattr(torch, "draws", False) + [NAMES[JAX]] * getattr(jax, "draws", False)

    def run(self, side: int, arguments: Sequence[Array], noise: Noise | None = None) -> Array:
        self.spend(side)
        return np.asarray(self.lifted[side].run(arguments, noise)[self.index], np.float64)

    def of(self, index: int) -> Trials:
        """The trials of another output."""
        other = copy(self)
        other.index, other._results = index, {}
        return other

    @property
    def as_it_is(self) -> Trial:
        """PyTorch's side without a change: it is proven where a proof is too coarse to tell the sides apart."""
        return Trial(Fact("same"), partial(self.run, TORCH), JAX)

    def without_nan(self) -> Trials:
        """The trials with an ordinary number of each input in place of its NaN."""
        other = copy(self)
        other.arguments = [[without_nan(argument) for argument in arguments] for arguments in self.arguments]
        other._results = {}
        return other

    def result(self, side: int, trial: int = 0) -> Array | None:
        """The result at the arguments of a trial; None if the function refuses these."""
        if (side, trial) not in self._results:
            try:
                self._results[side, trial] = self.run(side, self.arguments[trial])
            except Exception:
                if trial == 0:
                    raise
                self._results[side, trial] = None
        return self._results[side, trial]

    @property
    def given_results(self) -> tuple[Float64Array, Float64Array]:
        torch, jax = self.result(TORCH), self.result(JAX)
        assert torch is not None
        assert jax is not None
        return torch, jax

    def first(self, changes: Iterable[Trial]) -> Trial | None:
        """The first change that is proven; None if enough was tried before."""
        for change in changes:
            if self.spent:
                break
            if self.proves(change):
                return change
        return None

    def proves(self, change: Trial) -> bool:
        """Whether the changed side gives what the other side gives, at the given and at new inputs that both accept."""
        confirmed = 0
        for trial, arguments in enumerate(self.arguments):
            target = self.result(change.target, trial)
            if target is None:
                continue
            with np.errstate(all="ignore"):
                same = self._same(change, arguments, target)
            if same is False:
                return False
            confirmed += bool(same)
        return confirmed > 1

    def _same(self, change: Trial, arguments: Sequence[Array], target: Array) -> bool | None:
        """None if nothing finite is left to compare."""
        try:
            got = change.run(arguments, None)
        except Exception:  # the user's function may raise anything at the changed inputs
            return False
        got, target = change.view(got), change.view(target)
        if got.shape != target.shape or not near(got, target):
            return False
        allowed = ALIKE * np.abs(target)
        if not (np.abs(got - target) <= allowed)[np.isfinite(target)].all():
            noises = [Noise(1 + draw, drawn_roundoff(self.inputs.fmt)) for draw in range(DRAWS)]
            runs: tuple[tuple[Array, Run], ...] = (got, change.run), (target, partial(self.run, change.target))
            for clean, run in runs:
                moved = [np.abs(change.view(run(arguments, noise)) - clean) for noise in noises]
                allowed = allowed + SPREADS * 2.0**-53 / drawn_roundoff(self.inputs.fmt) * np.nan_to_num(
                    np.max(moved, axis=0)
                )
        finite = np.isfinite(target)
        if not (np.abs(got - target) <= allowed)[finite].all():
            return False
        return True if finite.any() else None


def near(got: Array, target: Array) -> bool:
    """Whether a proof that two results are equal is worth a try: they are near, and NaN or infinite at the same places."""
    if got.shape != target.shape:
        return False
    finite = np.isfinite(target)
    if not np.array_equal(np.isfinite(got), finite):
        return False
    if not np.array_equal(got[~finite], target[~finite], equal_nan=True):
        return False
    with np.errstate(all="ignore"):
        apart = np.abs(got - target)[finite]
        if (apart > NEAR * np.abs(target[finite]).max(initial=0.0)).any():  # no size is larger; a median takes long
            return False
        return bool((apart <= NEAR * sizes_of(target)[finite]).all())


def sizes_of(result: Float64Array) -> Float64Array:
    """The size of each element; a small one counts as large as most, since others may have left their rounding in it."""
    size = np.abs(np.where(np.isfinite(result), result, 0.0))
    return np.asarray(np.maximum(size, np.median(size[size > 0]) if size.any() else 0.0))


def _accepted(request: Request, inputs: Inputs) -> bool:
    """Whether both functions accept other inputs."""
    try:
        TorchProgram(request.torch, inputs, request.device).outputs()
        JaxProgram(request.jax, inputs, request.device, ("jit",)).outputs()
    except Exception:  # a function may raise anything
        return False
    return True


def _index(outputs: Outputs, inputs: Inputs, record: Comparison) -> int:
    places = layout(outputs, inputs, record.order)
    names = [(outputs.names[k], order, "" if by is None else inputs.names[by]) for order, k, by in places]
    return names.index((record.output, record.order, record.wrt))


def _mixed(leaf: Array, rng: np.random.Generator) -> Array:
    if leaf.size < 2:
        return _smaller(leaf, rng)
    first, second = (rng.permutation(leaf.ravel()).reshape(leaf.shape) for _ in range(2))
    if leaf.dtype != np.float64 or not np.isfinite(leaf).all():
        return np.asarray(first)
    share = rng.uniform(0, 1, leaf.shape)
    return np.asarray(share * first + (1 - share) * second)


def _smaller(leaf: Array, rng: np.random.Generator) -> Array:
    return np.asarray(leaf * rng.uniform(0.5, 1)) if leaf.dtype == np.float64 else leaf
