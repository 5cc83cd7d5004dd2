"""The results of running both functions, before anything is judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, format_of, is_float, widen
from crosscheck._arithmetic.ulp import round_once
from crosscheck._compare.judge.comparisons import EVALUATE, Judged, Request, failed, raised
from crosscheck._compare.judge.evidence import independent, same_bits
from crosscheck._frameworks.jax_program import JaxProgram
from crosscheck._frameworks.programs import Array, Directions, Inputs, Outputs, Result
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._records.errors import UsageError
from crosscheck._verdict.records import Comparison

SUBSET = 2**15
"""The number of elements of a large result that are diagnosed."""
NAMES = {"torch": "torch", "jax": "JAX"}


@dataclass
class Comparisons:
    """The comparisons, the failing ones with their arrays, and the exceptions that a side raised."""

    comparisons: list[Comparison] = field(default_factory=list)
    failing: list[Judged] = field(default_factory=list)
    exceptions: dict[str, Exception] = field(default_factory=dict)
    request: Request | None = None
    """What was judged, if it is only a part of the request."""

    def add(self, judged: Iterable[Judged]) -> None:
        for result in judged:
            self.comparisons.append(result.record)
            if not result.record.passed:
                self.failing.append(result)


@dataclass(frozen=True)
class SideResults:
    """What both sides gave: JAX's results by mode, without modes that raised."""

    torch: list[Result]
    jax: Mapping[str, list[Result]]


def programs(request: Request) -> tuple[TorchProgram, JaxProgram]:
    return (
        TorchProgram(request.torch, request.inputs, request.device),
        JaxProgram(request.jax, request.inputs, request.device, request.modes),
    )


def first_runs(
    request: Request, sides: tuple[TorchProgram, JaxProgram], outcome: Comparisons
) -> tuple[Outputs, list[Array]] | None:
    """Run both functions twice without derivatives; None if that already decides the verdict."""
    runs: list[tuple[Outputs, list[Array]]] = []
    for side in sides:
        try:
            outputs, values, changed = side.outputs()
            again = side.outputs()[1]
        except Exception as error:
            outcome.exceptions[side.name] = error
            continue
        moved = side.draws
        if changed:
            message = (
                f"the {NAMES[side.name]} function changes its input {', '.join(changed)} in place; the other side got a copy"
            )
            outcome.comparisons.append(failed(request, message, side.name))
        elif moved or not _repeats(side, values, again):
            why = "it draws random numbers" if moved else "two runs on the same input differ"
            message = f"the {NAMES[side.name]} function is not deterministic: {why}; {EVALUATE[side.name]}"
            outcome.comparisons.append(failed(request, message, side.name))
        runs.append((outputs, values))
    if len(outcome.exceptions) == len(sides):
        _check_order(request)
    if outcome.exceptions:
        outcome.comparisons.insert(0, raised(request, outcome.exceptions))
    if outcome.comparisons:
        return None
    (torch, values), (jax, _) = runs
    mismatch = _mismatch(torch, jax)
    if mismatch:
        outcome.comparisons.append(failed(request, mismatch, None))
        return None
    return torch, values


def _check_order(request: Request) -> None:
    """Refuse functions that raise as given, but run when exchanged."""
    try:
        for side in programs(replace(request, torch=request.jax, jax=request.torch)):
            side.outputs()
    except Exception:
        return
    raise UsageError("torch_fn, jax_fn: got a function of JAX first and one of torch second; swap the two")


def _mismatch(torch: Outputs, jax: Outputs) -> str | None:
    """How the outputs differ in structure, shape or dtype; the width of integers may differ."""
    if not torch.tree.same(jax.tree):
        return f"the outputs differ in structure: torch returned {torch.tree}, JAX {jax.tree}"
    for k, name in enumerate(torch.names):
        shapes = torch.shapes[k], jax.shapes[k]
        if shapes[0] != shapes[1]:
            return f"the outputs differ in shape: {name} is {shapes[0]} in torch, {shapes[1]} in JAX"
        dtypes = torch.dtypes[k], jax.dtypes[k]
        alike = [dtype.rstrip("0123456789").replace("uint", "int") if "int" in dtype else dtype for dtype in dtypes]
        if alike[0] != alike[1] and torch.arrays[k] and jax.arrays[k]:
            return f"the outputs differ in dtype: {name} is {dtypes[0]} in torch, {dtypes[1]} in JAX"
    return None


def independent_outputs(side: TorchProgram, inputs: Inputs, values: list[Array], *, rows: bool = False) -> BoolArray | None:
    """Which outputs are elementwise functions of the one float array, or functions of its rows along the first axis.

    A part of a large array is tried.
    """
    arrays = [i for i, leaf in enumerate(inputs.leaves) if leaf.ndim]
    if len(arrays) > 1 or len(inputs.floats) != 1 or (arrays and arrays[0] != inputs.floats[0]):
        return None
    (at,) = inputs.floats
    x = inputs.leaves[at]
    if x.size > SUBSET and not rows:
        x = x.ravel()[:: -(-x.size // SUBSET)]
        try:
            values = TorchProgram(side.function, inputs.with_leaf(at, x), side.device).outputs()[1]
        except Exception:
            return None

    def function(other: Array) -> list[Array]:
        return TorchProgram(side.function, inputs.with_leaf(at, other), side.device).outputs()[1]

    try:
        return independent(function, x, values, rows=rows)
    except Exception:  # it refuses some other inputs, so this cannot be found out
        return None


def directions(outputs: Outputs, inputs: Inputs, alone: BoolArray | None, request: Request) -> Directions:
    """Powers of two for an elementwise function, so that its derivatives belong to each element; otherwise normal numbers.

    The powers are 1 and -1, and at ordinary inputs also 2 and 16: these show what is not linear in them.
    """
    along = Directions()
    if request.order == 0:
        return along
    rng = np.random.default_rng((request.seed, 3))

    def drawn(shape: tuple[int, ...], elementwise: bool) -> Array:
        if elementwise:
            sign = np.asarray(rng.integers(0, 2, shape, np.int8) * np.int8(2) - np.int8(1))
            return (sign * _sizes(widen(inputs.leaves[inputs.floats[0]]).reshape(shape))).astype(inputs.fmt.dtype)
        return round_once(np.asarray(rng.standard_normal(shape)), inputs.fmt)

    for k in outputs.floats:
        elementwise = alone is not None and bool(alone[k])
        dtype = outputs.dtypes[k]
        cotangent = drawn(outputs.shapes[k], elementwise)
        along.cotangents.append(cotangent if dtype in ("float", inputs.fmt.name) else cotangent.astype(dtype))
    if request.order > 1:
        along.tangents += [drawn(inputs.leaves[i].shape, alone is not None and bool(alone.all())) for i in inputs.wrt]
    return along


ORDINARY = (2.0**-10, 4.0)
"""The magnitudes of inputs for which a product with 16 seldom overflows or is subnormal."""


def _sizes(x: Float64Array) -> Float64Array:
    """1, 2 and 16 in turn where inputs are ordinary, otherwise 1."""
    low, high = ORDINARY
    with np.errstate(invalid="ignore"):
        ordinary = (low <= np.abs(x)) & (np.abs(x) <= high)
    return np.where(ordinary, np.resize([1.0, 2.0, 16.0], x.shape), 1.0)


def results_of(
    request: Request, sides: tuple[TorchProgram, JaxProgram], along: Directions, outcome: Comparisons
) -> SideResults | None:
    """All results in the dtype, twice in torch, whose backward pass may draw too; None if nothing is left to judge."""
    torch, jax = sides
    results: dict[str, list[Result]] = {}
    try:
        results["torch"] = torch.results(request.order, along, "eager")
        again = torch.results(request.order, along, "eager") if request.order else results["torch"]
        if torch.draws or not _repeats(torch, results["torch"], again):
            outcome.comparisons.append(
                failed(
                    request,
                    f"the torch function is not deterministic: its derivatives differ from run to run; {EVALUATE['torch']}",
                    "torch",
                )
            )
            return None
    except Exception as error:
        outcome.exceptions["torch"] = error
    for mode in request.modes:
        try:
            results[mode] = jax.results(request.order, along, mode)
        except Exception as error:
            if mode == "jit" and jax.refuses_tracing(error):
                continue
            outcome.exceptions.setdefault("jax", error)
            outcome.comparisons.append(raised(request, {"jax": error}, mode, request.order))
    if "torch" in outcome.exceptions:
        outcome.comparisons[:] = [raised(request, outcome.exceptions, order=request.order)]
        return None
    if jax.untraceable and "eager" not in results:
        try:
            results["eager"] = jax.results(request.order, along, "eager")
        except Exception as error:
            outcome.exceptions["jax"] = error
            outcome.comparisons.append(raised(request, {"jax": error}, order=request.order))
    modes = {mode: mode_results for mode, mode_results in results.items() if mode != "torch"}
    return SideResults(results["torch"], modes) if modes else None


def _repeats(side: TorchProgram | JaxProgram, first: Sequence[Result], again: Sequence[Result]) -> bool:
    """Whether two runs agree. The last digits may differ, as sums by threads do; the side is ``uneven`` then."""
    for a, b in zip(first, again, strict=True):
        if a is None or b is None:
            if a is not b:
                return False
            continue
        same = same_bits(a, b)
        if same.all():
            continue
        if not is_float(a):
            return False
        x, y = widen(a), widen(b)
        finite = np.isfinite(x) & np.isfinite(y)
        half = float(np.sqrt(2.0 ** -format_of(a).precision)) * float(np.abs(x[finite]).max(initial=0.0))
        if not (same | (finite & (np.abs(np.where(finite, x - y, 0.0)) <= half))).all():
            return False
        side.uneven = True
    return True
