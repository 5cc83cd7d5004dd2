"""From a failing comparison, search a worse input nearby, then the simplest input that still fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from crosscheck._arithmetic.formats import Format, widen
from crosscheck._arithmetic.ulp import round_once
from crosscheck._compare.diagnose.budget import COMPILING, SearchBudget, SpentError, cost_of
from crosscheck._compare.judge.comparisons import Judged, Request
from crosscheck._compare.judge.evidence import same_bits
from crosscheck._compare.judge.results import directions
from crosscheck._compare.judge.run import run
from crosscheck._compare.work import at_any_number, measures, of_jax, of_torch
from crosscheck._frameworks.jax_program import JaxProgram
from crosscheck._frameworks.programs import Array, Directions, Inputs, Result, layout
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._records.errors import UsageError
from crosscheck._verdict.records import Point

EVALUATIONS = 2000
"""The number of evaluations of both functions, after which the best result so far is taken, if the budget lasts so long."""
ROUNDS = 4
NEAR = 32
"""How many neighbours on each side of the worst input are tried, besides those at a power of two of ULP."""
KEPT_GAP = 256
"""A simpler input is a candidate if the distance of the results is at least this fraction of the distance before."""
ROUNDING_GAP = 128
"""The distance must also be at least this many roundoffs, unless it was smaller before."""
SOME = 256
"""Arrays of up to this many elements are simplified slice by slice."""
FEW = 32
"""Arrays of up to this many elements are also simplified element by element."""


@dataclass(frozen=True)
class FaultKind:
    """The fault that simpler inputs must still show: this cause, with this side at fault, in this result."""

    request: Request
    judged: Judged
    cause: str
    side: str | None

    def at(self, inputs: Inputs) -> Judged | None:
        """The comparison at other inputs, if it shows the fault; otherwise None."""
        record = self.judged.record
        request = replace(self.request, inputs=inputs, order=record.order, modes=(record.mode,))
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # infinities are tried too
                failing = run(request).failing
        except UsageError:  # ``exact`` was given, and at these inputs the functions are not elementwise
            return None
        for judged in failing:
            other = judged.record
            same = (other.output, other.wrt, other.order) == (record.output, record.wrt, record.order)
            if same and judged.show(self.cause, self.side).any():
                return judged
        return None

    def takes_numbers(self) -> bool:
        """Whether both functions take some hundred numbers at once in place of the given ones."""
        (at,) = self.request.inputs.floats
        both = measures(self.request.torch, self.request.jax, self.request.device)
        return all(at_any_number(measure, self.request.inputs, at, SOME) for measure in both)

    def point(self, judged: Judged) -> Point:
        return judged.record.uncovered[self.cause].worst


@dataclass
class Simplest:
    """The worst input nearby, for an elementwise function; the simplest inputs, and the comparison at them.

    ``unfinished`` says that the ``evaluations`` or the budget ended before everything was tried.
    """

    worst: Point | None
    inputs: Inputs
    judged: Judged
    unfinished: bool
    evaluations: int = 0


def simplest(fault: FaultKind, budget: SearchBudget) -> Simplest:
    """Search near the worst input for a worse one, then simplify."""
    inputs = fault.request.inputs
    if fault.judged.x is not None and len(inputs.floats) == 1 and fault.takes_numbers():
        worst = _search(fault)
        inputs, judged = _simplest_number(fault, worst) or (inputs, fault.judged)
        return Simplest(worst, inputs, judged, unfinished=False)
    gap = _Gap(fault, budget)
    inputs, judged = _shrunk(fault, gap) or (inputs, fault.judged)
    return Simplest(None, inputs, judged, gap.stopped, gap.evaluations)


# Elementwise functions: many inputs are tried in one call.


def _search(fault: FaultKind) -> Point:
    """The worst input that is found near the given one, in steps of ULP and by powers of two."""
    inputs = fault.request.inputs
    (at,) = inputs.floats
    worst = fault.point(fault.judged)
    for _ in range(ROUNDS):
        if not np.isfinite(worst.input) or not np.isfinite(worst.ulp):
            break
        judged = fault.at(inputs.with_leaf(at, _around(worst.input, inputs.fmt)))
        if judged is None or not fault.point(judged).ulp > worst.ulp:
            break
        worst = fault.point(judged)
    return worst


def _around(x: float, fmt: Format) -> Array:
    steps = np.unique([*range(NEAR + 1), *(2**k for k in range(fmt.precision + 2))])
    number = round_once(np.array([x]), fmt).view(f"i{fmt.bits // 8}")
    near = np.concatenate([number + steps, number - steps]).astype(number.dtype).view(fmt.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = round_once(np.array([x * 2.0**k for k in range(-8, 9)]), fmt)
    near = np.unique(np.concatenate([near, scaled, -scaled]))
    return _filled(near[np.isfinite(widen(near))])


def _simplest_number(fault: FaultKind, worst: Point) -> tuple[Inputs, Judged] | None:
    inputs = fault.request.inputs
    (at,) = inputs.floats
    shape = (1,) * max(1, inputs.leaves[at].ndim)
    numbers = _round_numbers(worst.input, inputs.fmt)
    judged = fault.at(inputs.with_leaf(at, numbers))
    shown = np.flatnonzero(judged.show(fault.cause, fault.side)) if judged else ()
    for i in (*shown[:4], None):
        number = round_once(np.array([worst.input]), inputs.fmt) if i is None else numbers[i : i + 1]
        alone = inputs.with_leaf(at, number.reshape(shape))
        judged = fault.at(alone)
        if judged is not None:
            return alone, judged
    return None


def _round_numbers(x: float, fmt: Format) -> Array:
    """Numbers, simplest first: integers, short decimals, powers of ten and two; then ``x`` with more and more digits."""
    short = {float(n) for n in range(-128, 129)} | {n / 10 for n in range(-100, 101)}
    short |= {sign * base**k for sign in (-1.0, 1.0) for base in (2.0, 10.0) for k in range(-20, 21)}
    short |= {float("inf"), float("-inf"), float("nan")}
    if np.isfinite(x):
        short |= {float(f"{x:.{digits}g}") for digits in range(1, 18)} | {2.0 ** np.floor(np.log2(abs(x)))} if x else set()
    ranked = sorted(short, key=_plainness)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = round_once(np.array(ranked), fmt)
    _, first = np.unique(numbers.view(f"u{fmt.bits // 8}"), return_index=True)
    return _filled(np.asarray(numbers[np.sort(first)]))


def _filled(numbers: Array) -> Array:
    """The numbers, with the last one repeated, up to a multiple of 64.

    JAX keeps a compiled program of each operation for each length as long as the process runs. Few different lengths keep
    that memory small.
    """
    return np.pad(numbers, (0, -numbers.size % 64), mode="edge")


def _plainness(x: float) -> tuple[bool, int, float, bool]:
    """The sort key: finite before infinite, few digits before many, near 1 before far, positive before negative."""
    if not np.isfinite(x):
        return True, 0, 0.0, x < 0
    digits, _, exponent = f"{abs(x):.16e}".partition("e")
    return False, len(digits.rstrip("0").rstrip(".")) + abs(int(exponent)), abs(x), x < 0


# Any other function: first sizes, then values, by the distance of the results; what is found is judged.


def _shrunk(fault: FaultKind, gap: _Gap) -> tuple[Inputs, Judged] | None:
    start = fault.request.inputs
    far = gap(start)
    if far is None:
        return None
    near = max(min(far, 1.0) / KEPT_GAP, min(far, ROUNDING_GAP * 2.0**-start.fmt.precision))

    def keeps(candidate: Inputs) -> bool:
        distance = gap(candidate)
        return distance is not None and distance >= near and np.isfinite(distance) == np.isfinite(far)

    smaller = _smallest(fault, keeps)
    rounder = smaller
    for at in start.floats:
        rounder = _first_kept(rounder, _rounded_arrays(rounder, at), keeps)
        leaf = rounder.leaves[at]
        for part in _slices(leaf.shape) if leaf.size <= SOME else ():
            rounder = _first_kept(rounder, _rounded(rounder, at, part, ()), keeps)
        for part in np.ndindex(leaf.shape) if leaf.size <= FEW else ():
            rounder = _first_kept(rounder, _rounded(rounder, at, part, (0, 1, 2)), keeps)
    for inputs in (rounder, smaller):
        judged = fault.at(inputs) if inputs is not start else None
        if judged is not None:
            return inputs, judged
    return None


class _Gap:
    """The distance of both sides' results, relative to the largest element; cheap, and compiled once for each shape."""

    def __init__(self, fault: FaultKind, budget: SearchBudget) -> None:
        record = fault.judged.record
        self.request, self.order = replace(fault.request, order=record.order), record.order
        self.place = record.output, record.order, record.wrt
        self.torch = TorchProgram(self.request.torch, self.request.inputs, self.request.device)
        self.programs: dict[Any, tuple[Callable[..., list[Any]], Directions, int, float]] = {}
        self.budget, self.evaluations, self.stopped = budget, 0, False

    def __call__(self, inputs: Inputs) -> float | None:
        """None if a function refuses the inputs, and after enough evaluations."""
        if self.evaluations == EVALUATIONS or self.budget.left < 0:
            self.stopped = True
            return None
        self.evaluations += 1
        shapes = tuple(leaf.shape for leaf in inputs.leaves)
        jax_side = JaxProgram(self.request.jax, inputs, self.request.device, ("jit",))
        self.torch.inputs = inputs
        try:
            if shapes not in self.programs:
                outputs, _, _ = self.torch.outputs()
                along = directions(outputs, inputs, None, replace(self.request, inputs=inputs))
                places = layout(outputs, inputs, self.order)
                names = [(outputs.names[k], order, "" if by is None else inputs.names[by]) for order, k, by in places]
                cost = self._compiling(jax_side, along)
                self.programs[shapes] = jax.jit(jax_side.flat(self.order)), along, names.index(self.place), cost
            program, along, at, cost = self.programs[shapes]
            self.budget.spend(cost)
            a = self.torch.results(self.order, along, "eager")[at]
            with jax_side.scope():
                b = np.asarray(program(*inputs.leaves, *along.arrays)[at])
        except SpentError:
            self.stopped = True
            return None
        except Exception:  # the user's function may raise anything at other sizes
            return None
        return _apart(a, b)

    def _compiling(self, jax_side: JaxProgram, along: Directions) -> float:
        """Pay for compiling, and return the cost of an evaluation."""
        torch_work, jax_work = of_torch(self.torch, self.order, along), of_jax(jax_side, self.order, along)
        works = torch_work, jax_work or torch_work
        self.budget.pay(COMPILING * works[1].operations)
        return sum(cost_of(side, work) for side, work in enumerate(works))


def _apart(a: Result, b: Array) -> float | None:
    a = np.zeros_like(b) if a is None else a
    if a.shape != b.shape or not a.size:
        return None
    x, y = widen(a), widen(b)
    finite = np.isfinite(x) & np.isfinite(y)
    if not (finite | same_bits(x, y)).all():
        return float("inf")
    size = np.abs(np.where(finite, np.maximum(np.abs(x), np.abs(y)), 0)).max()
    return float(np.abs(np.where(finite, x - y, 0)).max() / size) if size else 0.0


Keeps = Callable[[Inputs], bool]


def _first_kept(start: Inputs, candidates: Iterator[Inputs], keeps: Keeps) -> Inputs:
    return next((candidate for candidate in candidates if keeps(candidate)), start)


Parts = Mapping[int, tuple[int, int]]
"""For each group of axes of one size, the begin and the end of the part that is left."""


def _smallest(fault: FaultKind, keeps: Keeps) -> Inputs:
    """The inputs with all axes cut as far as the results still differ."""
    start = fault.request.inputs
    failing = fault.judged.failing
    element = fault.point(fault.judged).element or ()
    if not failing.ndim or fault.judged.record.diagnosed is not None:  # it has the index in a larger array
        element = next(map(tuple, np.argwhere(failing).tolist()), ())
    worst = dict(zip(failing.shape, element, strict=True))
    tried: set[tuple[tuple[int, int], ...]] = set()

    def kept(parts: Parts) -> bool:
        new = tuple(parts.values()) not in tried
        tried.add(tuple(parts.values()))
        return new and keeps(cut(start, parts))

    parts: Parts = {size: (0, size) for leaf in start.leaves for size in leaf.shape if size > 1}
    while (fewer := next(filter(kept, _smaller(parts, worst)), None)) is not None:
        parts = fewer
    return cut(start, parts)


def _smaller(parts: Parts, worst: Mapping[int, int]) -> Iterator[Parts]:
    """Cut axes of one size together: first all of them to very few elements, then those of one size after another.

    A part begins at the start of the whole or at the worst element's index, or ends at the end of the whole.
    """

    def begins(size: int, count: int) -> tuple[int, ...]:
        first, stop = parts[size]
        last = stop - count
        return first, min(max(worst.get(size, first), first), last), last

    for few in (1, 2, 3):
        if any(stop - start > few for start, stop in parts.values()):
            for place in range(3):
                counts = {size: min(stop - start, few) for size, (start, stop) in parts.items()}
                starts = {size: begins(size, count)[place] for size, count in counts.items()}
                yield {size: (start, start + counts[size]) for size, start in starts.items()}
    for size, (start, stop) in parts.items():
        whole = stop - start
        for count in (1, 2, 3, whole // 2, whole - whole // 4):
            for begin in begins(size, count) if 0 < count < whole else ():
                yield {**parts, size: (begin, begin + count)}


def cut(inputs: Inputs, parts: Parts) -> Inputs:
    """The same part of all inputs."""
    leaves = []
    for leaf in inputs.leaves:
        part = leaf[tuple(slice(*parts.get(size, (0, size))) for size in leaf.shape)].copy()
        if leaf.dtype.kind in "iu" and leaf.size:
            # an index into an axis that was cut must lie inside it
            for size, (start, stop) in parts.items():
                if leaf.min() >= 0 and (start or stop <= part.max()) and part.max() < size:
                    part = ((part.astype(np.int64) - start) % (stop - start)).astype(leaf.dtype)
        leaves.append(part)
    return replace(inputs, leaves=tuple(leaves))


Part = tuple[int | slice, ...]
"""An index of an array."""


def _slices(shape: tuple[int, ...]) -> Iterator[Part]:
    """All rows, columns and so on of an array."""
    for axis, size in enumerate(shape if len(shape) > 1 else ()):
        for i in range(size):
            yield (*(slice(None),) * axis, i)


def _rounded_arrays(inputs: Inputs, at: int) -> Iterator[Inputs]:
    leaf, fmt = inputs.leaves[at], inputs.fmt
    counted = np.arange(1.0, leaf.size + 1).reshape(leaf.shape)
    rounded = (np.round(widen(leaf), digits) for digits in (0, 1, 2, 3))
    for other in (np.zeros(leaf.shape), np.ones(leaf.shape), counted, *rounded):
        yield inputs.with_leaf(at, round_once(other, fmt))


def _rounded(inputs: Inputs, at: int, part: Part, digits: Sequence[int]) -> Iterator[Inputs]:
    """A part of an array as zeros, as ones, or with fewer digits."""
    values = widen(inputs.leaves[at])[part]
    plain = np.isin(values, (0, 1)).all()
    zeros, *more = np.zeros_like(values), np.ones_like(values), *(np.round(values, d) for d in digits)
    for other in (zeros, *(() if plain else more)):
        if np.array_equal(other, values):  # it cannot get simpler
            return
        leaf = inputs.leaves[at].copy()
        leaf[part] = round_once(np.asarray(other), inputs.fmt)
        yield inputs.with_leaf(at, leaf)
