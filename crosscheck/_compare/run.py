"""A pair from its functions to its comparisons: what running it shows, then the verdict on each result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, format_of, widen
from crosscheck._arithmetic.ulp import round_once
from crosscheck._compare.comparisons import Excerpt, Judged, Place, Request, comparison, failed, raised
from crosscheck._compare.contradict import Contradiction
from crosscheck._compare.evidence import Measured, Runs, elementwise, is_float, same_bits
from crosscheck._compare.furthest import furthest, near, picked
from crosscheck._compare.jax_balls import enclose
from crosscheck._compare.proven import proven
from crosscheck._compare.verdict import JAX, TORCH, Question, Verdict, judge
from crosscheck._frameworks.jax_program import JaxProgram
from crosscheck._frameworks.programs import Array, Directions, Inputs, Outputs, Result, layout
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._records.errors import UsageError
from crosscheck._shadow.base import Lifted
from crosscheck._shadow.programs import lift_jax, lift_torch
from crosscheck._verdict.causes import CODE, FIRST_PASSING
from crosscheck._verdict.records import Comparison

LARGE = 2**17
"""An elementwise function of more elements is diagnosed on a subset of them."""
SUBSET = 2**15
NAMES = {"torch": "torch", "jax": "JAX"}


@dataclass
class Outcome:
    """The comparisons, those of them that were judged and fail with their arrays, and the exceptions that a side raised."""

    comparisons: list[Comparison] = field(default_factory=list)
    failing: list[Judged] = field(default_factory=list)
    exceptions: dict[str, Exception] = field(default_factory=dict)

    def add(self, judged: Iterable[Judged]) -> None:
        for one in judged:
            self.comparisons.append(one.record)
            if not one.record.passed:
                self.failing.append(one)


@dataclass(frozen=True)
class _Ran:
    """What both sides gave: JAX's results per mode, those of a mode that raised left out."""

    torch: list[Result]
    jax: Mapping[str, list[Result]]


def run(request: Request) -> Outcome:
    """Compare two functions. Whatever running them shows is in the outcome; raises for the arguments' faults alone."""
    inputs = request.inputs
    at = inputs.floats[0] if len(inputs.floats) == 1 else None
    if at is not None and inputs.leaves[at].size > LARGE:
        outcome = large(request, at)
        if outcome is not None:
            return outcome
    outcome = Outcome()
    sides = _sides(request)
    first = _first_runs(request, sides, outcome)
    if first is None:
        return outcome
    outputs, values = first
    alone = None if at is not None and inputs.leaves[at].size > LARGE else _elementwise(sides[0], inputs, values)
    if request.exact is not None and alone is None:
        raise UsageError(
            "exact: these functions are not elementwise functions of one array, and a definition is evaluated element by "
            "element; leave exact out"
        )
    along = directions(outputs, inputs, alone, request)
    ran = _results(request, sides, along, outcome)
    if ran is not None:
        outcome.add(_judged(request, sides, outputs, along, ran, alone))
    return outcome


def large(request: Request, at: int) -> Outcome | None:
    """Compare elementwise functions of very many elements: all of them with each other, a part of them thoroughly.

    The part holds the elements that are furthest apart and a sample of all. None where the functions are not elementwise,
    or give something else when they are called with a part.
    """
    whole = request.inputs.leaves[at].ravel()
    sample = np.unique(np.linspace(0, whole.size - 1, SUBSET // 2).astype(np.int64))
    part = replace(request, inputs=request.inputs.with_leaf(at, whole[sample]))
    outcome = Outcome()
    sides = _sides(part)
    first = _first_runs(part, sides, Outcome())
    if first is None:
        return None
    outputs, values = first
    alone = _elementwise(sides[0], part.inputs, values)
    if alone is None or not alone.all():
        return None

    mode = "jit" if "jit" in request.modes else request.modes[0]
    everything = replace(request, inputs=request.inputs.with_leaf(at, whole), modes=(mode,))
    every_output = replace(outputs, shapes=tuple(whole.shape for _ in outputs.shapes))
    along = directions(every_output, everything.inputs, alone, everything)
    ran = _results(everything, _sides(everything), along, outcome)
    if ran is None:
        return outcome
    if mode not in ran.jax:
        return None
    chosen, equal = furthest(ran.torch, ran.jax[mode], request.inputs.fmt, SUBSET // 2)
    chosen = np.union1d(chosen, sample)

    part = replace(request, inputs=request.inputs.with_leaf(at, whole[chosen]))
    sides = _sides(part)
    along = Directions([one[chosen] for one in along.cotangents], [one[chosen] for one in along.tangents])
    again = _results(part, sides, along, outcome)
    if again is None:
        return outcome
    torch, jax = (picked(found, chosen) for found in (ran.torch, ran.jax[mode]))
    if not all(near(a, b, request.inputs.fmt) for a, b in zip(torch, again.torch, strict=True)):
        return None
    excerpt = Excerpt(chosen, np.isin(chosen, sample), whole.size, equal, request.inputs.leaves[at].shape)
    ran = _Ran(torch, {**again.jax, mode: jax})
    outcome.add(_judged(part, sides, outputs, along, ran, alone, excerpt))
    return outcome


def _sides(request: Request) -> tuple[TorchProgram, JaxProgram]:
    return (
        TorchProgram(request.torch, request.inputs, request.device),
        JaxProgram(request.jax, request.inputs, request.device, request.modes),
    )


def _first_runs(
    request: Request, sides: tuple[TorchProgram, JaxProgram], outcome: Outcome
) -> tuple[Outputs, list[Array]] | None:
    """Both functions, run twice without derivatives; None where that already decides the verdict."""
    found: list[tuple[Outputs, list[Array]]] = []
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
            message = f"the {NAMES[side.name]} function is not deterministic: {why}"
            outcome.comparisons.append(failed(request, message, side.name))
        found.append((outputs, values))
    if outcome.exceptions:
        outcome.comparisons.insert(0, raised(request, outcome.exceptions))
    if outcome.comparisons:
        return None
    (torch, values), (jax, _) = found
    mismatch = _mismatch(torch, jax)
    if mismatch:
        outcome.comparisons.append(failed(request, mismatch, None))
        return None
    return torch, values


def _mismatch(torch: Outputs, jax: Outputs) -> str | None:
    """How the outputs differ in structure, shape or dtype; the width of integers does not count."""
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


def _elementwise(side: TorchProgram, inputs: Inputs, values: list[Array]) -> BoolArray | None:
    """Which outputs are elementwise functions of the one float array; tried on a part of a large one."""
    arrays = [i for i, leaf in enumerate(inputs.leaves) if leaf.ndim]
    if len(arrays) > 1 or len(inputs.floats) != 1 or (arrays and arrays[0] != inputs.floats[0]):
        return None
    (at,) = inputs.floats
    x = inputs.leaves[at]
    if x.size > SUBSET:
        x = x.ravel()[:: -(-x.size // SUBSET)]
        try:
            values = TorchProgram(side.function, inputs.with_leaf(at, x), side.device).outputs()[1]
        except Exception:
            return None

    def function(other: Array) -> list[Array]:
        return TorchProgram(side.function, inputs.with_leaf(at, other), side.device).outputs()[1]

    try:
        return elementwise(function, x, values)
    except Exception:  # it refuses some other inputs, so what it does element by element cannot be told
        return None


def directions(outputs: Outputs, inputs: Inputs, alone: BoolArray | None, request: Request) -> Directions:
    """Of an elementwise function powers of two, so that its derivatives are those of each element; else normal numbers.

    1 and -1, and where the input is ordinary 2 and 16 too, which show what is not linear in them.
    """
    along = Directions()
    if request.order == 0:
        return along
    rng = np.random.default_rng((request.seed, 3))

    def drawn(shape: tuple[int, ...], one: bool) -> Array:
        if one:
            sign = np.asarray(rng.integers(0, 2, shape, np.int8) * np.int8(2) - np.int8(1))
            return (sign * _sizes(widen(inputs.leaves[inputs.floats[0]]).reshape(shape))).astype(inputs.fmt.dtype)
        return round_once(np.asarray(rng.standard_normal(shape)), inputs.fmt)

    for k in outputs.floats:
        one = alone is not None and bool(alone[k])
        dtype = outputs.dtypes[k]
        cotangent = drawn(outputs.shapes[k], one)
        along.cotangents.append(cotangent if dtype in ("float", inputs.fmt.name) else cotangent.astype(dtype))
    if request.order > 1:
        along.tangents += [drawn(inputs.leaves[i].shape, alone is not None and bool(alone.all())) for i in inputs.wrt]
    return along


ORDINARY = (2.0**-10, 4.0)
"""The magnitudes of inputs at which a product with 16 hardly overflows, nor is subnormal."""


def _sizes(x: Float64Array) -> Float64Array:
    """1, 2 and 16 in turn where inputs are ordinary, else 1."""
    low, high = ORDINARY
    with np.errstate(invalid="ignore"):
        ordinary = (low <= np.abs(x)) & (np.abs(x) <= high)
    return np.where(ordinary, np.resize([1.0, 2.0, 16.0], x.shape), 1.0)


def _results(request: Request, sides: tuple[TorchProgram, JaxProgram], along: Directions, outcome: Outcome) -> _Ran | None:
    """Everything in the dtype, twice in torch, since a backward pass may draw too; None where nothing is left to judge."""
    torch, jax = sides
    results: dict[str, list[Result]] = {}
    try:
        results["torch"] = torch.results(request.order, along, "eager")
        again = torch.results(request.order, along, "eager") if request.order else results["torch"]
        if torch.draws or not _repeats(torch, results["torch"], again):
            outcome.comparisons.append(
                failed(request, "the torch function is not deterministic: its derivatives differ from run to run", "torch")
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
            outcome.comparisons.append(raised(request, {"jax": error}, mode))
    if "torch" in outcome.exceptions:
        outcome.comparisons[:] = [raised(request, outcome.exceptions)]
        return None
    if jax.untraceable and "eager" not in results:
        try:
            results["eager"] = jax.results(request.order, along, "eager")
        except Exception as error:
            outcome.exceptions["jax"] = error
            outcome.comparisons.append(raised(request, {"jax": error}))
    modes = {mode: found for mode, found in results.items() if mode != "torch"}
    return _Ran(results["torch"], modes) if modes else None


def _repeats(side: TorchProgram | JaxProgram, first: Sequence[Result], again: Sequence[Result]) -> bool:
    """Whether two runs give the same. The last digits may differ, as sums by threads do; then the side is ``uneven``."""
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


def _judged(
    request: Request,
    sides: tuple[TorchProgram, JaxProgram],
    outputs: Outputs,
    along: Directions,
    ran: _Ran,
    alone: BoolArray | None,
    excerpt: Excerpt | None = None,
) -> Iterator[Judged]:
    """The comparisons of both sides' results."""
    lifted = lift_torch(sides[0], request.order, along), lift_jax(sides[1], request.order, along)
    runs = Runs(request.inputs, along, lifted, request.seed)
    measured = runs.measure()
    places = layout(outputs, request.inputs, request.order)
    contradiction = Contradiction(runs, places, along, request.inputs, alone)
    exact = _exact(request, places, alone)
    enclosed, about_truth = _enclosed(request, sides[1], along)
    factors = [_factor(place, outputs, request.inputs, along, alone) for place in places]
    notes = [*about_truth, *_notes(sides, lifted)]
    jumps: set[int] = set()
    """The outputs whose values differ at these very inputs alone."""
    for i, (order, k, by) in enumerate(places):
        torch = ran.torch[i]
        x = _input_of(request.inputs, k, by, alone)
        for mode, results in ran.jax.items():
            jax = results[i]
            assert jax is not None
            got = np.zeros_like(jax) if torch is None else torch
            ask = Question(
                neighbours=partial(runs.neighbours, i),
                tied=partial(runs.tied, i),
                largest=partial(runs.largest, i),
                contradicted=partial(contradiction.sides, i) if order else None,
                jumps=k in jumps,
            )
            nan = np.isnan(widen(x)) if x is not None and alone is not None and alone[k] else None
            verdict = judge(
                got,
                jax,
                measured[i],
                request.inputs.fmt,
                ask,
                exact=exact[i] * factors[i] if i in exact else None,
                enclosed=enclosed[i] if enclosed and is_float(enclosed[i]) else None,
                not_judged=nan if order else None,
                at_nan=None if order else nan,
                count=excerpt.total if excerpt else None,
                elementwise=alone is not None and bool(alone[k]),
            )
            if verdict.jumps:
                jumps.add(k)
            if order:
                _missing(verdict, (torch, jax), measured[i], contradiction, i)
            place = Place(request, outputs.names[k], order, by, mode, i)
            if order and alone is not None and alone[k]:  # it is reported without what it was multiplied with
                got, jax = (widen(one) / factors[i] if is_float(one) else one for one in (got, jax))
                verdict.truth /= factors[i]
            yield comparison(place, (got, jax), verdict, x, alone is not None, notes, excerpt)


def _factor(
    place: tuple[int, int, int | None], outputs: Outputs, inputs: Inputs, along: Directions, alone: BoolArray | None
) -> Float64Array:
    """What the derivative of an elementwise output is multiplied with at each element; 1 for anything else."""
    order, k, by = place
    factor = np.ones(())
    if order and alone is not None and alone[k]:
        factor = np.asarray(along.cotangents[outputs.floats.index(k)], np.float64)
        if order > 1 and by is not None:
            factor = factor * np.asarray(along.tangents[inputs.wrt.index(by)], np.float64)
    return factor


def _input_of(inputs: Inputs, k: int, by: int | None, alone: BoolArray | None) -> Array | None:
    """The input whose elements stand at the places of a result's elements, where there is one."""
    if by is not None:
        return inputs.leaves[by]
    return inputs.leaves[inputs.floats[0]] if alone is not None and alone[k] else None


def _exact(
    request: Request, places: Sequence[tuple[int, int, int | None]], alone: BoolArray | None
) -> dict[int, Float64Array]:
    """The proven truth per result, for the elementwise outputs."""
    if request.exact is None or alone is None:
        return {}
    x = request.inputs.leaves[request.inputs.floats[0]]
    found = proven(request.exact, x, range(request.order + 1))
    return {i: found[order] for i, (order, k, _) in enumerate(places) if alone[k]}


def _enclosed(request: Request, side: JaxProgram, along: Directions) -> tuple[list[Array] | None, list[str]]:
    """In float64, where no wider dtype is, JAX's program in ball arithmetic; and what to say of the truth."""
    if request.inputs.fmt.precision < 53 or request.exact is not None or side.untraceable:
        return None, []
    try:
        found = enclose(side.flat(request.order), [*request.inputs.leaves, *along.arrays])
        why = "has no counterpart in ball arithmetic"
    except Exception as error:  # of a program that may be anything; what it costs is evidence, and that is said
        found, why = None, f"could not be followed in ball arithmetic ({type(error).__name__})"
    if found is None:
        return None, [f"float64 has no wider dtype, and this program {why}: the truth is that of the better side"]
    return found, ["the truth is what the JAX program gives in ball arithmetic, where both sides agree on it"]


def _missing(
    verdict: Verdict, results: tuple[Result, Result], measured: Measured, contradiction: Contradiction, i: int
) -> None:
    """A gradient that is not there, or zero everywhere although the function moves with its input."""
    zero = [
        (result is None or not np.any(widen(result))) and not np.any(np.nan_to_num(wide, nan=1.0))
        for result, wide in zip(results, (measured.torch_wide, measured.jax_wide), strict=True)
    ]
    if zero[0] == zero[1]:
        return
    side = 0 if zero[0] else 1
    other = np.abs(np.nan_to_num((measured.jax_wide, measured.torch_wide)[side])) > 0
    if contradiction.sides(i, other)[side].any():
        failing = (verdict.codes < FIRST_PASSING) & other
        verdict.codes[failing] = CODE["missing"]
        verdict.sides[failing] = (TORCH, JAX)[side]


def _notes(sides: tuple[TorchProgram, JaxProgram], lifted: Sequence[Lifted]) -> list[str]:
    untraceable = sides[1].untraceable
    found = [
        f"two runs of the {NAMES[side.name]} function on the same input differ in their last digits; one of them is judged"
        for side in sides
        if side.uneven
    ]
    for side, one in zip(NAMES.values(), lifted, strict=True):
        narrow = sorted(one.met.narrow)
        if narrow:
            found.append(f"inside, the {side} function computes in {' and '.join(narrow)}")
    if untraceable:
        found.append(f"the JAX function cannot be traced, so it was compared eagerly only ({untraceable})")
    else:
        for side, one in zip(NAMES.values(), lifted, strict=True):
            if one.met.opaque:
                found.append(f"noise does not enter {', '.join(sorted(one.met.opaque))} in {side}")
    return found
