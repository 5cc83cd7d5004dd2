"""Measure whether the usual checks notice the disagreements of an atlas.

``python benchmarks/usual.py --json results/usual/usual.json`` prints which of four checks, at their defaults, notice each
row of results/atlas.json.gz, and the totals; with names, of these functions alone. ``--atlas`` takes another atlas, of
``crosscheck atlas --json``. A check gets the inputs of the row ("anchors"), and those of 1,000 standard normal ones that lie
in its regions ("normal"). What it says counts only if it passes crosscheck's own functions there.
"""

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from crosscheck import AtlasRow, UsageError, activations
from crosscheck._arithmetic.formats import FORMATS, BoolArray, Float64Array, FloatArray, from_bits, widen
from crosscheck._arithmetic.ulp import round_once
from crosscheck._atlas.records import Area, Input
from crosscheck._atlas.report import read_atlas
from crosscheck._records.implementations import MATCHED, NATIVE, USUAL_MODES, Implementation
from crosscheck._verdict.coverage import lie_in
from crosscheck._verdict.examination import LONG
from crosscheck._verify.inputs.sample import Sample
from crosscheck._verify.run.implementations import function_of, implementations_of, runner

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from kept import environment, write_json
from usual_checks import CHECKS, OF_RESULTS, OF_SLOPES, SEED, Said, of_arrays, of_slopes

ATLAS = Path(__file__).parents[1] / "results" / "atlas.json.gz"
SCHEMA = "crosscheck.usual-of-atlas/1"
NORMAL = 1000
"""The number of standard normal inputs."""
LENGTH = 100
"""For a function of rows, these inputs form rows of this length."""
CHECKED = ("float32", "float64")
"""The dtypes in which functions are differentiated; anchors in others are used only if these dtypes have none."""

TRUTH = "exact"
NOWHERE = "none of these inputs lies in its regions"
NO_RESULT = "an implementation raises or finds no derivative, so there are no results to compare"
RIGHT_TOO = "it raises of right functions too"
ANOTHER_MODE = "it differentiates the function as it is, not in this mode"
TOO_LONG = "it takes the whole Jacobian, which of a row as long as a vocabulary has tens of gigabytes"

Parameters = Mapping[str, float]
Settings = tuple[tuple[str, float], ...]
"""Parameters, as a key."""
Judged = dict[str, dict[str, dict[str, Any]]]


class Trial(NamedTuple):
    """What a check says in one setting."""

    check: str
    said: Said
    of_right: Said
    setting: str


def judged(row: AtlasRow, dtypes: Collection[str]) -> Judged:
    """By check and inputs: ``noticed``, None if it does not apply, and ``said``, its message or why it has none."""
    trials = {
        "anchors": [*compared_at_anchors(row), *differentiated_at_anchors(row)],
        "normal": [*compared_at_normal(row, dtypes), *differentiated_at_normal(row)],
    }
    return {
        check: {
            inputs: verdict(row, check, [trial for trial in some if trial.check == check]) for inputs, some in trials.items()
        }
        for check in CHECKS
    }


def verdict(row: AtlasRow, check: str, trials: Sequence[Trial]) -> dict[str, Any]:
    telling = [trial for trial in trials if trial.said is None or trial.of_right is None]
    for trial in telling:
        if trial.said is not None:
            return {"noticed": True, "said": ": ".join(filter(None, [trial.setting, trial.said]))}
    if telling:
        return {"noticed": False, "said": NOWHERE if {trial.setting for trial in telling} == {NOWHERE} else ""}
    return {"noticed": None, "said": f"{RIGHT_TOO}: {trials[0].of_right}" if trials else why_not(row, check)}


def why_not(row: AtlasRow, check: str) -> str:
    """Why a check was not tried."""
    if check in OF_RESULTS:
        return NO_RESULT
    if check not in {OF_SLOPES.get(Implementation.of(implementation).side) for implementation in row.implementations}:
        return f"it is not {check.partition('.')[0]}'s function that deviates"
    return TOO_LONG if set(row.modes) & set(USUAL_MODES) else ANOTHER_MODE


# the checks of results


def compared_at_anchors(row: AtlasRow) -> Iterator[Trial]:
    for at, results, truth in zip(row.inputs, row.results, row.truth, strict=True):
        # the deviating ones come first, in a mode in which they deviate
        shown = {result.implementation: result.got for result in reversed(results) if result.layout == "array"} | {
            TRUTH: truth
        }
        given = {name: from_bits([number.bits], at.dtype) for name, number in shown.items() if number}
        for pair in pairs(row, parameters_of(row, at)):
            yield from compared(pair, given.get, f"{at.dtype} at {at.x.decimal}, {' and '.join(pair)}")


def compared_at_normal(row: AtlasRow, dtypes: Collection[str]) -> Iterator[Trial]:
    """At the normal inputs in its regions alone: a check that fails at another input noticed something else."""
    for area in row.region:
        parameters = parameters_of(row, area)
        for dtype in (dtype for dtype in area.dtypes if dtype in dtypes):
            there = in_area(area, normal(row.function, dtype))
            if not there.any():
                yield from (Trial(check, None, None, NOWHERE) for check in OF_RESULTS)
                continue
            results = partial(in_region, row, area, dtype, parameters, there)
            for pair in pairs(row, parameters):
                yield from compared(pair, results, f"{dtype}, {' and '.join(pair)}")


def in_region(
    row: AtlasRow, area: Area, dtype: str, parameters: Parameters, there: BoolArray, name: str
) -> FloatArray | None:
    """An implementation's results at some normal inputs; in a mode in which it deviates, if it does."""
    deviates = name in row.implementations and area.modes[0] in Implementation.of(name).modes
    mode = area.modes[0] if deviates else "eager"
    results = at_normal(row.function, name, mode, area.order, dtype, tuple(parameters.items()))
    return None if results is None else results[there]


def pairs(row: AtlasRow, parameters: Parameters) -> list[tuple[str, str]]:
    """Each implementation that deviates, with the other framework's same function, otherwise with the truth."""
    there = names_of(row, parameters)
    by_names: dict[frozenset[str], tuple[str, str]] = {}
    for implementation in row.implementations:
        other = "jax" if Implementation.of(implementation).side == "torch" else "torch"
        names = [Implementation(other, kind).name for kind in (MATCHED, NATIVE)]
        partner = next((name for name in names if name in there), TRUTH)
        if implementation in there:
            by_names.setdefault(frozenset((implementation, partner)), (implementation, partner))
    return list(by_names.values())


def parameters_of(row: AtlasRow, place: Input | Area) -> dict[str, float]:
    """All parameters. A file has its numbers as floats, but an axis is an integer."""
    given = {**activations[row.function].parameters, **place.parameters}
    return given | {"axis": int(given["axis"])} if "axis" in given else given


def names_of(row: AtlasRow, parameters: Parameters) -> set[str]:
    return {implementation.name for implementation in implementations_of(activations[row.function], parameters)}


def compared(pair: tuple[str, str], results: Callable[[str], FloatArray | None], setting: str) -> Iterator[Trial]:
    """What the checks say of a pair's results, if it has any, and of those of crosscheck's own in place of the natives."""
    got = [results(name) for name in pair]
    if not any(result is None for result in got):
        own = [results(name if name == TRUTH else Implementation.of(name).side) for name in pair]
        said, of_right = of_arrays(*got), of_arrays(*own)
        yield from (Trial(check, said[check], of_right[check], setting) for check in OF_RESULTS)


@cache
def at_normal(function: str, name: str, mode: str, order: int, dtype: str, parameters: Settings) -> FloatArray | None:
    """An implementation's results at the normal inputs, or the exact ones; None if it raises or has no derivative."""
    activation, sample = activations[function], normal(function, dtype)
    if name == TRUTH:
        return sample.truths(activation, [order], dict(parameters))[order].rounded
    with suppress(Exception):  # the cause of the row says that it raises
        return runner(activation, Implementation.of(name), dict(parameters), "cpu", None).run(sample, order, mode)
    return None


@cache
def normal(function: str, dtype: str) -> Sample:
    """1,000 seeded standard normal inputs of a dtype, without those outside of the function's domain; or rows of them."""
    activation, generator = activations[function], np.random.default_rng(SEED)
    low, high = activation.domain
    drawn = generator.standard_normal(8 * NORMAL)
    x = round_once(drawn[(low < drawn) & (drawn < high)][:NORMAL], FORMATS[dtype])
    if not activation.rows:
        return Sample(x, None, x)
    v = round_once(generator.standard_normal(NORMAL), FORMATS[dtype])
    return Sample.of_rows(x.reshape(-1, LENGTH), v.reshape(-1, LENGTH), activation)


def in_area(area: Area, sample: Sample) -> BoolArray:
    known = widen(sample.known(area.order))
    return lie_in(known, area.intervals if not area.lengths or sample.length in area.lengths else ())


# the checks of derivatives


def differentiated_at_anchors(row: AtlasRow) -> Iterator[Trial]:
    for implementation in differentiated(row):
        torch = Implementation.of(implementation).side == "torch"
        for at in [at for at in row.inputs if at.dtype in CHECKED] or row.inputs:
            parameters, too_long = parameters_of(row, at), torch and at.place and at.place.length >= LONG
            if not too_long and implementation in names_of(row, parameters):
                yield slope(row, implementation, numbers(at), parameters, f"at {at.x.decimal}")


def differentiated_at_normal(row: AtlasRow) -> Iterator[Trial]:
    sample = normal(row.function, "float64")
    places: dict[Settings, BoolArray] = {}
    for area in row.region:
        there = in_area(area, sample).reshape(len(sample.x), -1).any(axis=1)
        key = tuple(parameters_of(row, area).items())
        places[key] = there | places.get(key, False)
    for implementation in differentiated(row):
        for key, there in places.items():
            if not there.any():
                yield Trial(OF_SLOPES[Implementation.of(implementation).side], None, None, NOWHERE)
            elif implementation in names_of(row, dict(key)):
                yield slope(row, implementation, widen(sample.x[there]), dict(key), "")


def differentiated(row: AtlasRow) -> tuple[str, ...]:
    """The implementations that deviate, if they do as they are."""
    return row.implementations if set(row.modes) & set(USUAL_MODES) else ()


def numbers(at: Input) -> Float64Array:
    """An input, or its row; a row as long as a vocabulary is made again."""
    if not at.place:
        return widen(from_bits([at.x.bits], at.dtype))
    drawn: dict[str, Any] = {"numpy": np}
    exec("\n".join(at.place.made), drawn)
    row = round_once(drawn["row"], FORMATS[at.dtype]) if at.place.made else from_bits(at.place.bits, at.dtype)
    return widen(row)[np.newaxis]


def slope(row: AtlasRow, implementation: str, x: Float64Array, parameters: Parameters, setting: str) -> Trial:
    side = Implementation.of(implementation).side
    x = x.T if parameters.get("axis") == 0 else x

    def said(name: str) -> Said:
        def function(x: Any) -> Any:
            x = jnp.asarray(x) if side == "jax" else x  # check_grads also passes arrays of numpy
            return function_of(activations[row.function], Implementation.of(name), parameters)(x)

        return of_slopes(side, function, x, max(row.orders))

    answer = said(implementation)
    return Trial(OF_SLOPES[side], answer, None if answer is None else said(side), setting)


# what is printed


def line(id_: str, by_check: Judged) -> str:
    cells = []
    for by_inputs in by_check.values():
        noticed = " and ".join(inputs for inputs, outcome in by_inputs.items() if outcome["noticed"])
        cells.append(noticed or ("-" if all(outcome["noticed"] is None for outcome in by_inputs.values()) else "no"))
    return f"{id_:52}" + "".join(f"{cell:20}" for cell in cells).rstrip()


def totals(rows: Mapping[str, Judged]) -> Iterator[str]:
    counts = Counter(
        (check, inputs, outcome["noticed"])
        for by_check in rows.values()
        for check, by_inputs in by_check.items()
        for inputs, outcome in by_inputs.items()
    )
    yield f"{'check':32}{'inputs':10}{'noticed':>12}{'not noticed':>16}{'does not apply':>16}"
    for check, inputs in dict.fromkeys(key[:2] for key in counts):
        noticed, missed, neither = (counts[check, inputs, answer] for answer in (True, False, None))
        yield f"{check:32}{inputs:10}{noticed:12}{missed:16}{neither:16}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="functions; all without names")
    parser.add_argument(
        "--atlas", type=Path, default=ATLAS, metavar="FILE", help="the atlas; the lines that make its long rows are run"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what each check says of each row")
    options = parser.parse_args(arguments)
    try:
        atlas = read_atlas(options.atlas, "--atlas")
    except UsageError as error:
        parser.error(str(error))
    if unknown := set(options.names) - set(atlas.coverage.functions):
        parser.error(f"NAME: the atlas has no {' and no '.join(sorted(unknown))}")
    rows: dict[str, Judged] = {}
    print(f"{'disagreement':52}" + "".join(f"{check.rpartition('.')[2]:20}" for check in CHECKS).rstrip())
    for row in atlas.rows:
        if row.declared and (not options.names or row.function in options.names):
            rows[row.id] = judged(row, atlas.coverage.dtypes)
            print(line(row.id, rows[row.id]), flush=True)
    print("-: the check does not apply\n", *totals(rows), sep="\n")
    if options.json:
        write_json(options.json, {"schema": SCHEMA, "environment": environment(), "rows": rows})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
