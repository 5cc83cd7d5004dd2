"""Make the record of a comparison from a verdict: counts, worst elements, figures, what was accepted."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, Format, IntArray, bits_of, is_float, widen
from crosscheck._arithmetic.profile import Columns, Profile, profile
from crosscheck._arithmetic.ulp import unit_of
from crosscheck._compare.judge.figures import figures
from crosscheck._compare.judge.notes import EMPTY, NAN_EVERYWHERE, diagnosed, of_order
from crosscheck._compare.judge.verdict import BOTH, SIDES, ElementVerdict, Sides
from crosscheck._frameworks.programs import Array, Inputs
from crosscheck._records.names import CAUSES, ORDER_NAMES, SIGN_OF_ZERO
from crosscheck._records.records import Activation
from crosscheck._records.worded import Worded
from crosscheck._verdict.accept import Accepted
from crosscheck._verdict.causes import CODE, FIRST_PASSING, NOT_JUDGED, Codes
from crosscheck._verdict.records import CauseCount, Comparison, Point


@dataclass(frozen=True)
class Request:
    """The checked arguments of a comparison."""

    torch: Callable[..., Any]
    jax: Callable[..., Any]
    inputs: Inputs
    name: str
    order: int = 1
    device: str = "cpu"
    modes: tuple[str, ...] = ("eager", "jit")
    seed: int = 0
    exact: Activation | Callable[..., Any] | None = None
    accepted: Accepted = field(default_factory=Accepted)


@dataclass(frozen=True)
class ComparisonPlace:
    """The comparison of a request: output, order, the input to differentiate by, mode; and the index of the result."""

    request: Request
    output: str
    order: int
    by: int | None
    mode: str
    index: int


@dataclass(frozen=True)
class Excerpt:
    """The ``chosen`` elements or rows of a larger whole; ``sampled`` marks those not chosen for being far apart.

    ``shape`` is the shape of the whole: of the input for elements, the length of its first axis for rows. ``equal`` is the
    number of elements that are the same to the bit, per result. ``in_place`` says that the part was diagnosed in its place
    in the whole, since a function depends on the position.
    """

    chosen: IntArray
    sampled: BoolArray
    shape: tuple[int, ...]
    equal: list[int]
    in_place: bool = False

    def total(self, size: int) -> int:
        """The number of elements of the whole result, from the size of the part that is judged."""
        return math.prod(self.shape) * (size // len(self.chosen))

    def element(self, place: Sequence[Any]) -> tuple[Any, ...]:
        """The index in the whole result of an element of the part."""
        return (*np.unravel_index(int(self.chosen[place[0]]), self.shape), *place[1:])

    def is_sampled(self, shape: tuple[int, ...]) -> BoolArray:
        """Which elements of a part of this shape were not chosen for being far apart."""
        return np.broadcast_to(self.sampled.reshape(-1, *(1 for _ in shape[1:])), shape)


@dataclass(frozen=True)
class Judged:
    """The record of one result, and the data behind it.

    ``failing`` marks the elements that fail it; ``x`` is the input of each element of an elementwise function, or None.
    """

    record: Comparison
    codes: Codes
    sides: Sides
    failing: BoolArray
    x: Array | None

    def show(self, cause: str, side: str | None) -> BoolArray:
        """The elements that fail for this cause, with this side at fault."""
        at_fault = np.isin(self.sides, [SIDES.index(side), BOTH]) if side != "both" else self.sides > 0
        return np.asarray(self.failing & (self.codes == CODE[cause]) & (at_fault | (side is None)))


def comparison(
    place: ComparisonPlace,
    results: tuple[Array, Array],
    verdict: ElementVerdict,
    x: Array | None,
    elementwise: bool,
    notes: Sequence[Worded],
    excerpt: Excerpt | None,
) -> Judged:
    """The record of one result; ``x`` is the input whose elements correspond to those of the result, if there is one."""
    request, codes = place.request, verdict.codes
    fmt = request.inputs.fmt
    compared = (codes != NOT_JUDGED) & ~(np.isnan(widen(results[0])) & np.isnan(widen(results[1])))
    setting = (codes, x if elementwise else None, place.order, fmt.name, place.mode)
    causes = _count(compared, results, verdict, x, request, excerpt)
    opposite = compared & verdict.opposite
    failing = compared & request.accepted.open(*setting) & (codes < FIRST_PASSING) & ~opposite
    uncovered = _count(failing, results, verdict, x, request, excerpt)
    points = int(compared.sum())
    if excerpt is not None and points:
        points = excerpt.total(codes.size)
        causes = _of_all(causes, points, excerpt.equal[place.index])
        notes = [diagnosed(codes.size, points), *notes]
    worst = next(iter(causes), None)
    measures = figures(results, verdict, compared, fmt, excerpt.is_sampled(codes.shape) if excerpt else None)
    record = Comparison(
        function=request.name,
        parameters={},
        output=place.output,
        wrt="" if place.by is None else request.inputs.names[place.by],
        implementation="torch",
        against="jax",
        dtype=fmt.name,
        order=place.order,
        mode=place.mode,
        device=request.device,
        points=points,
        exhaustive=fmt.bits == 16 and elementwise and x is not None and np.unique(x.ravel().view(np.uint16)).size == 2**16,
        passed=points > 0 and not uncovered,
        cause=worst,
        causes=causes,
        side=next((count.side for count in uncovered.values()), None),
        max_ulp=float(measures["ulp_max"]),
        max_ulp_of_truth=float(max(measures["torch_ulp"], measures["jax_ulp"])),
        max_abs=float(measures["abs_max"]),
        worst=causes[worst].worst if worst else None,
        deviations=(*request.accepted.used(*setting), *[SIGN_OF_ZERO] * bool(opposite.any())),
        uncovered=uncovered,
        undecided=int((np.isnan(verdict.truth) & compared).sum()),
        diagnosed=codes.size if excerpt is not None and points else None,
        message=None if points else NAN_EVERYWHERE if codes.size else EMPTY,
        notes=tuple(dict.fromkeys((*(of_order(place.order, note) for note in verdict.notes), *notes))),
        figures=measures,
        profile=_profile(results, verdict, x if elementwise else None, compared, fmt) if points else None,
    )
    return Judged(record, codes, verdict.sides, failing, setting[1])


def _profile(
    results: tuple[Array, Array], verdict: ElementVerdict, x: Array | None, compared: BoolArray, fmt: Format
) -> Profile:
    """The profile of distances in ULP of the larger result: over ``x``, or over the elements without it."""
    _, _, ulp = _apart(results, fmt)
    columns = Columns.of_elements(0, ulp.size, ulp.size) if x is None or not is_float(x) else Columns.of(x.ravel())
    return profile(columns, ulp, (verdict.codes == CODE["special"]).ravel(), compared.ravel())


def _apart(results: tuple[Array, Array], fmt: Format) -> tuple[list[Float64Array], Float64Array, Float64Array]:
    """Both results, flat, the ULP of the larger one, and their distance in this ULP."""
    got = [widen(result).ravel() for result in results]
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.fmax(np.abs(got[0]), np.abs(got[1]))
        unit = unit_of(fmt, np.nan_to_num(size)) if is_float(results[0]) else np.ones(size.shape)
        return got, unit, np.abs(got[0] - got[1]) / unit


def _side(sides: Sides) -> str | None:
    """The side at fault at some elements: ``both`` if each is at fault somewhere, None if no side is known to be."""
    at_fault = set(np.unique(sides).tolist()) - {0}
    return SIDES[at_fault.pop() if len(at_fault) == 1 else BOTH if at_fault else 0]


def _of_all(causes: Mapping[str, CauseCount], total: int, equal: int) -> dict[str, CauseCount]:
    """Counts for all elements. Those that were not judged pass: by rounding, unless they are the same to the bit."""
    counts = {cause: count.count for cause, count in causes.items()}
    counts["exact"] = equal
    rest = total - sum(count for cause, count in counts.items() if cause != "rounding")
    counts["rounding"] = max(rest, 0)
    return {cause: replace(count, count=counts[cause]) for cause, count in causes.items()}


def _count(
    where: BoolArray,
    results: tuple[Array, Array],
    verdict: ElementVerdict,
    x: Array | None,
    request: Request,
    excerpt: Excerpt | None,
) -> dict[str, CauseCount]:
    """The count and the worst element of each cause: the largest distance, in ULP of the larger result."""
    counts: dict[str, CauseCount] = {}
    got, unit, ulp = _apart(results, request.inputs.fmt)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.fmax(verdict.torch_error.ravel(), verdict.jax_error.ravel()) / unit
    value = x if x is not None and is_float(x) else None
    plain = np.zeros(ulp.shape) if value is None else -np.abs(np.nan_to_num(widen(value), nan=np.inf)).ravel()
    for code in np.unique(verdict.codes[where]):
        at = np.flatnonzero(where & (verdict.codes == code))
        # among equal distances, or without one, the plainest input
        first = int(at[np.lexsort((plain[at], np.nan_to_num(ulp[at], nan=np.inf, posinf=np.inf)))[-1]])
        element: Sequence[Any] = np.unravel_index(first, where.shape)
        if excerpt is not None:
            element = excerpt.element(element)
        point = Point(
            input=float("nan") if value is None else float(value.ravel()[first]),
            input_bits="" if value is None else bits_of(value.ravel()[first : first + 1]),
            got=float(got[0][first]),
            expected=float(got[1][first]),
            ulp=float(ulp[first]),
            ulp_of_truth=float(error[first]),
            element=tuple(int(i) for i in element),
            truth=float(verdict.truth.ravel()[first]),
        )
        counts[CAUSES[code]] = CauseCount(int(at.size), point, _side(verdict.sides.ravel()[at]))
    return counts


EVALUATE = {
    "torch": "a module in training mode needs .eval()",
    "jax": "a module in training mode needs .eval() (flax.nnx) or equinox.nn.inference_mode",
}
"""What to do with a module that draws random numbers or changes itself."""
TRAINING = re.compile(r"[Cc]annot mutate|requires a key|needs PRNG")
"""What flax and equinox raise when a module in training mode is called as in inference."""


def failed(request: Request, message: str, side: str | None, mode: str = "eager", order: int = 0) -> Comparison:
    """The record of a failure that came before anything could be compared."""
    return Comparison(
        function=request.name,
        parameters={},
        output="y",
        wrt="",
        implementation="torch",
        against="jax",
        dtype=request.inputs.fmt.name,
        order=order,
        mode=mode,
        device=request.device,
        points=0,
        exhaustive=False,
        passed=False,
        cause="error",
        side=side,
        message=message,
    )


def raised(request: Request, exceptions: Mapping[str, Exception], mode: str = "eager", order: int = 0) -> Comparison:
    """The record of exceptions, of one side or both. If values were computed before, the derivative raised."""
    names = {"torch": "torch", "jax": "JAX"}
    what = f"{ORDER_NAMES[order]} of the " if order else ""
    said = []
    for side, error in exceptions.items():
        said.append(f"the {what}{names[side]} function raised {type(error).__name__}: {first_line(error)}")
        said += [EVALUATE[side]] * bool(TRAINING.search(str(error)))
    return failed(request, "; ".join(said), "both" if len(exceptions) > 1 else next(iter(exceptions)), mode, order)


def first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else "without a message"
