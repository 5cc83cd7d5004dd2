"""The verdict on a pair of code: by ``compare`` for functions, by their distributions for code that draws numbers."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from crosscheck._compare.compare import compare
from crosscheck._compare.comparisons import NAN_EVERYWHERE
from crosscheck._compare.report import PairReport
from crosscheck._dictionary.records import DIFFER, DTYPES, NOT_JUDGED, SAME, TranslatedPair, Translation
from crosscheck._records.interface import MissingFrameworkError
from crosscheck._translate.code import arrays, function
from crosscheck._translate.draws import compare_draws

INPUT = re.compile(r"(?<=`)x(\d*)(?=[`\[])")
LONGEST = 16
"""The most elements of an array that are shown."""


def judged(entry: Translation, dtypes: tuple[str, ...] = DTYPES) -> Translation:
    """An entry with the verdict of each of its pairs."""
    return replace(entry, pairs=tuple(judge(pair, draws=entry.draws, dtypes=dtypes) for pair in entry.pairs))


def judge(pair: TranslatedPair, *, draws: bool, dtypes: tuple[str, ...]) -> TranslatedPair:
    """A pair with its verdict; if a library is missing, it is not judged, and the text says so."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of a framework are not judged
            return _drawn(pair) if draws else _compared(pair, dtypes)
    except MissingFrameworkError as error:
        return replace(pair, verdict=NOT_JUDGED, told=str(error))


def _drawn(pair: TranslatedPair) -> TranslatedPair:
    same, text = compare_draws(pair.torch, pair.code, pair.library)
    return replace(pair, verdict=SAME if same else DIFFER, cause="exact" if same else "definition", told=text)


def _compared(pair: TranslatedPair, dtypes: tuple[str, ...]) -> TranslatedPair:
    names = list(pair.inputs)
    sides = function(pair.torch, "torch", names), function(pair.code, pair.library, names)
    given = arrays(pair.inputs)
    wrt = [k for k, name in enumerate(names) if given[k].dtype.kind == "f" and name not in pair.constant]
    for dtype in [dtype for dtype in pair.dtypes if dtype in dtypes] or pair.dtypes[:1]:
        report = compare(sides[0], sides[1], given, dtype=dtype, modes="eager", order=int(bool(wrt)), wrt=wrt or None)
        if not report.passed:
            break
    decisive = report.decisive
    text = report.headline.partition(f"{decisive.function}: ")[2] if decisive else report.headline
    text = _named(text, names)
    if NAN_EVERYWHERE in report.headline:
        return replace(pair, verdict=SAME, cause="exact", told="NaN in both")
    if report.passed:
        cause = "exact" if all(set(one.causes) <= {"exact"} for one in report.comparisons) else "rounding"
        return replace(pair, verdict=SAME, cause=cause, side=None, told=text)
    simplest = zip(pair.inputs, report.diagnosis.inputs.values(), strict=False)
    shown = {name: said for name, value in simplest if (said := _said(value))}
    if len(shown) < len(pair.inputs):
        shown = dict(pair.inputs)
    return replace(pair, verdict=DIFFER, cause=report.cause, side=report.side, told=text, shown=shown, got=_results(report))


def _named(text: str, names: list[str]) -> str:
    """The text of ``compare``, which numbers the inputs, with their names instead."""
    return INPUT.sub(lambda found: names[int(found[1] or 0)], text)


def _said(value: Any) -> str:
    array = np.asarray(value)
    if array.size > LONGEST:
        return ""
    if array.dtype.kind != "f":
        return repr(array.tolist())
    return repr(np.array([*map(_short, array.ravel())], object).reshape(array.shape).tolist())


def _short(number: Any) -> float:
    """A number with the digits that its dtype has."""
    return float(str(number))


def _results(report: PairReport) -> str:
    """The results of both sides at the simplest input, or where they differ most."""
    if report.decisive is None or report.cause is None or report.cause not in report.decisive.uncovered:
        return ""
    point = report.diagnosis.point or report.decisive.uncovered[report.cause].worst
    of = "" if not report.decisive.order else "derivative: "
    held = np.float32 if report.decisive.dtype == "float32" else np.float64
    got, expected = (one if float(one).is_integer() else _short(held(one)) for one in (point.got, point.expected))
    return f"{of}{got!r} in PyTorch, {expected!r} in JAX"
