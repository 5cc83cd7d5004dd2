"""From a failing comparison to its worst input nearby, and to the simplest input that still shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from crosscheck._arithmetic.formats import Format, widen
from crosscheck._arithmetic.ulp import round_once
from crosscheck._compare.comparisons import Judged, Request
from crosscheck._compare.evidence import same_bits, to_float64
from crosscheck._compare.results import directions
from crosscheck._compare.run import run
from crosscheck._frameworks.jax_program import JaxProgram
from crosscheck._frameworks.programs import Array, Inputs, Result, layout
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._records.errors import UsageError
from crosscheck._verdict.records import Point

SECONDS = 2.0
"""After this long the best that was found so far is taken."""
ROUNDS = 4
NEAR = 32
"""How many neighbours on each side of the worst input are tried, besides those a power of two of ULP away."""
KEPT_GAP = 256
"""A simpler input is a candidate while the two results are at least this fraction as far apart as before."""
ROUNDING_GAP = 128
"""But at least this many roundoffs, unless they were not before."""
FEW = 32
"""Elements of up to so many are simplified one by one."""


@dataclass(frozen=True)
class Fault:
    """What must still be shown: this cause, with this side at fault, in this result."""

    request: Request
    judged: Judged
    cause: str
    side: str | None

    def at(self, inputs: Inputs) -> Judged | None:
        """The comparison at other inputs, where it shows the fault; None where it does not."""
        record = self.judged.record
        request = replace(self.request, inputs=inputs, order=record.order, modes=(record.mode,))
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # infinities are tried too
                failing = run(request).failing
        except UsageError:  # a definition was given, and at these inputs the functions are not elementwise
            return None
        for one in failing:
            same = (one.record.output, one.record.wrt, one.record.order) == (record.output, record.wrt, record.order)
            if same and one.show(self.cause, self.side).any():
                return one
        return None

    def point(self, judged: Judged) -> Point:
        return judged.record.uncovered[self.cause].worst


@dataclass
class Simplest:
    """The worst input nearby, for an elementwise function; the simplest inputs, and the comparison at them.

    ``unfinished`` says that time ran out before all was tried.
    """

    worst: Point | None
    inputs: Inputs
    judged: Judged
    unfinished: bool


@dataclass
class Clock:
    """When to stop."""

    seconds: float = field(default_factory=lambda: SECONDS)
    start: float = field(default_factory=time.monotonic)
    out: bool = False

    def runs(self) -> bool:
        self.out |= time.monotonic() - self.start > self.seconds
        return not self.out


def simplest(fault: Fault) -> Simplest:
    """Search near the worst input for a worse one, then shrink."""
    clock = Clock()
    inputs = fault.request.inputs
    if fault.judged.x is not None and len(inputs.floats) == 1:
        worst = _search(fault, clock)
        found = _simplest_number(fault, worst, clock)
    else:
        worst, found = None, _shrunk(fault, clock)
    inputs, judged = found or (inputs, fault.judged)
    return Simplest(worst, inputs, judged, clock.out)


# Elementwise functions: many inputs are tried in one call.


def _search(fault: Fault, clock: Clock) -> Point:
    """The worst input that is found from the worst one on, in steps of ULP and by powers of two."""
    inputs = fault.request.inputs
    (at,) = inputs.floats
    worst = fault.point(fault.judged)
    for _ in range(ROUNDS):
        if not np.isfinite(worst.input) or not np.isfinite(worst.ulp) or not clock.runs():
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


def _simplest_number(fault: Fault, worst: Point, clock: Clock) -> tuple[Inputs, Judged] | None:
    inputs = fault.request.inputs
    (at,) = inputs.floats
    shape = (1,) * max(1, inputs.leaves[at].ndim)
    numbers = _round_numbers(worst.input, inputs.fmt)
    judged = fault.at(inputs.with_leaf(at, numbers))
    shown = np.flatnonzero(judged.show(fault.cause, fault.side)) if judged else ()
    for i in (*shown[:4], None):
        number = round_once(np.array([worst.input]), inputs.fmt) if i is None else numbers[i : i + 1]
        alone = inputs.with_leaf(at, number.reshape(shape))
        judged = fault.at(alone) if i is None or clock.runs() else None  # the worst input alone is tried whatever the time
        if judged is not None:
            return alone, judged
    return None


def _round_numbers(x: float, fmt: Format) -> Array:
    """Numbers from the simplest on: integers, short decimals, powers of ten and two; then ``x`` in ever more digits."""
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
    """The last one repeated, up to a multiple of 64.

    JAX keeps what it compiled of each operation for each length, for as long as the process lives: with few lengths that is
    little, however many functions are compared.
    """
    return np.pad(numbers, (0, -numbers.size % 64), mode="edge")


def _plainness(x: float) -> tuple[bool, int, float, bool]:
    """Finite before infinite, few digits before many, near 1 before far, positive before negative."""
    if not np.isfinite(x):
        return True, 0, 0.0, x < 0
    digits, _, exponent = f"{abs(x):.16e}".partition("e")
    return False, len(digits.rstrip("0").rstrip(".")) + abs(int(exponent)), abs(x), x < 0


# Any other function: sizes first, then values, by how far the results are apart; what is found is judged.


def _shrunk(fault: Fault, clock: Clock) -> tuple[Inputs, Judged] | None:
    gap = _Gap(fault)
    start = fault.request.inputs
    far = gap(start)
    if far is None:
        return None
    near = max(min(far, 1.0) / KEPT_GAP, min(far, ROUNDING_GAP * 2.0**-start.fmt.precision))

    def keeps(candidate: Inputs) -> bool:
        found = gap(candidate) if clock.runs() else None
        return found is not None and found >= near and np.isfinite(found) == np.isfinite(far)

    smaller = start
    sizes = {size: size for leaf in start.leaves for size in leaf.shape if size > 1}
    while (fewer := next((new for new in _smaller(sizes) if keeps(_cut(start, new))), None)) is not None:
        sizes = fewer
        smaller = _cut(start, sizes)
    rounder = smaller
    for at in start.floats:
        rounder = _first_kept(rounder, _rounded_arrays(rounder, at), keeps)
        if rounder.leaves[at].size <= FEW:
            for i in range(rounder.leaves[at].size):
                rounder = _first_kept(rounder, _rounded_elements(rounder, at, i), keeps)
    for found in (rounder, smaller):
        judged = fault.at(found) if found is not start else None
        if judged is not None:
            return found, judged
    return None


class _Gap:
    """How far both sides' results are apart, relative to the largest element; cheap, and compiled once per shapes."""

    def __init__(self, fault: Fault) -> None:
        record = fault.judged.record
        self.request, self.order = replace(fault.request, order=record.order), record.order
        self.place = record.output, record.order, record.wrt
        self.programs: dict[Any, Callable[..., list[Any]]] = {}

    def __call__(self, inputs: Inputs) -> float | None:
        """None where a function refuses the inputs."""
        torch = TorchProgram(self.request.torch, inputs, self.request.device)
        jax_side = JaxProgram(self.request.jax, inputs, self.request.device, ("jit",))
        try:
            outputs, _, _ = torch.outputs()
            along = directions(outputs, inputs, None, replace(self.request, inputs=inputs))
            places = layout(outputs, inputs, self.order)
            names = [(outputs.names[k], order, "" if by is None else inputs.names[by]) for order, k, by in places]
            at = names.index(self.place)
            a = torch.results(self.order, along, "eager")[at]
            key = tuple(leaf.shape for leaf in inputs.leaves)
            if key not in self.programs:
                self.programs[key] = jax.jit(jax_side.flat(self.order))
            with jax_side.scope():
                b = np.asarray(self.programs[key](*inputs.leaves, *along.arrays)[at])
        except Exception:  # a function of the user's, at sizes it was not made for
            return None
        return _apart(a, b)


def _apart(a: Result, b: Array) -> float | None:
    a = np.zeros_like(b) if a is None else a
    if a.shape != b.shape or not a.size:
        return None
    x, y = to_float64(a), to_float64(b)
    finite = np.isfinite(x) & np.isfinite(y)
    if not (finite | same_bits(x, y)).all():
        return float("inf")
    size = np.abs(np.where(finite, np.maximum(np.abs(x), np.abs(y)), 0)).max()
    return float(np.abs(np.where(finite, x - y, 0)).max() / size) if size else 0.0


Keeps = Callable[[Inputs], bool]


def _first_kept(start: Inputs, candidates: Iterator[Inputs], keeps: Keeps) -> Inputs:
    return next((candidate for candidate in candidates if keeps(candidate)), start)


def _smaller(sizes: Mapping[int, int]) -> Iterator[dict[int, int]]:
    """Axes that had one size are cut together: all of them to very few elements, then those of one size after another."""
    for few in (1, 2, 3):
        if any(new > few for new in sizes.values()):
            yield {size: min(new, few) for size, new in sizes.items()}
    for size, new in sizes.items():
        for fewer in dict.fromkeys((1, 2, 3, new // 2)):
            if 0 < fewer < new:
                yield {**sizes, size: fewer}


def _cut(inputs: Inputs, sizes: Mapping[int, int]) -> Inputs:
    leaves = []
    for leaf in inputs.leaves:
        cut = leaf[tuple(slice(0, sizes.get(size, size)) for size in leaf.shape)].copy()
        if leaf.dtype.kind in "iu" and leaf.size:
            # an index into an axis that was cut must lie inside it
            for size, new in sizes.items():
                if leaf.min() >= 0 and new <= cut.max() < size:
                    cut %= new
        leaves.append(cut)
    return replace(inputs, leaves=tuple(leaves))


def _rounded_arrays(inputs: Inputs, at: int) -> Iterator[Inputs]:
    leaf, fmt = inputs.leaves[at], inputs.fmt
    counted = np.arange(1.0, leaf.size + 1).reshape(leaf.shape)
    rounded = (np.round(widen(leaf), digits) for digits in (0, 1, 2, 3))
    for other in (np.zeros(leaf.shape), np.ones(leaf.shape), counted, *rounded):
        yield inputs.with_leaf(at, round_once(other, fmt))


def _rounded_elements(inputs: Inputs, at: int, i: int) -> Iterator[Inputs]:
    """One element as 0, as 1, or with fewer digits."""
    value = float(widen(inputs.leaves[at]).flat[i])
    for other in dict.fromkeys((0.0, 1.0, *(round(value, digits) for digits in (0, 1, 2)))):
        if other == value:  # as plain as it gets
            return
        leaf = inputs.leaves[at].copy()
        leaf.flat[i] = round_once(np.array([other]), inputs.fmt)[0]
        yield inputs.with_leaf(at, leaf)
