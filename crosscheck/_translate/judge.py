"""The verdict on a pair of code: by ``compare`` for functions, by their distributions for code that draws numbers."""

from __future__ import annotations

import contextlib
import inspect
import pkgutil
import re
import warnings
from collections.abc import Iterable
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import Any

from crosscheck._compare.compare import compare
from crosscheck._compare.judge.notes import NAN_EVERYWHERE
from crosscheck._compare.report import PairReport, without_names
from crosscheck._dictionary.records import DIFFER, DTYPES, NOT_JUDGED, SAME, TranslatedPair, Translation
from crosscheck._records.interface import MissingFrameworkError
from crosscheck._records.worded import kind_of
from crosscheck._translate.code import arrays, as_run_alone, function
from crosscheck._translate.draws import compare_draws
from crosscheck._translate.sides import both, literals

INPUT = re.compile(r"(?<=`)x(\d*)(?=[`\[])")


def judged(entry: Translation, dtypes: tuple[str, ...] = DTYPES) -> Translation:
    """An entry with the verdict of each of its pairs, and the parameters of what it is called in PyTorch."""
    pairs = tuple(judge(pair, draws=entry.draws, dtypes=dtypes) for pair in entry.pairs)
    return replace(entry, pairs=pairs, parameters=parameters(entry.names))


def parameters(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The parameters, with their defaults, of functions and modules of PyTorch that are written in Python."""
    by_name: dict[str, tuple[str, ...]] = {}
    for name in names:
        if name.startswith("torch."):
            with contextlib.suppress(AttributeError, ImportError, TypeError, ValueError):  # not there, or not in Python
                signature = inspect.signature(pkgutil.resolve_name(name))
                by_name[name] = tuple(
                    parameter.name
                    if parameter.default is parameter.empty
                    else f"{parameter.name}={_default(parameter.default)}"
                    for parameter in signature.parameters.values()
                )
    return by_name


def _default(value: object) -> str:
    """A default in words: without where a module is installed, or where an object is in memory."""
    if isinstance(value, ModuleType | FunctionType):
        return value.__name__
    return type(value).__name__ if " object at 0x" in repr(value) else repr(value)


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
    sides = as_run_alone(function(pair.torch, "torch", names)), function(pair.code, pair.library, names)
    given = arrays(pair.inputs)
    wrt = [k for k, name in enumerate(names) if given[k].dtype.kind == "f" and name not in pair.constant]
    for dtype in [dtype for dtype in pair.dtypes if dtype in dtypes] or pair.dtypes[:1]:
        report = compare(sides[0], sides[1], given, dtype=dtype, modes="eager", order=int(bool(wrt)), wrt=wrt or None)
        if not report.passed:
            break
    decisive = report.decisive
    text = _named(without_names(report) if decisive else report.verdict, names)
    if decisive is not None and kind_of(decisive.message) == NAN_EVERYWHERE.kind:
        return replace(pair, verdict=SAME, cause="exact", told="NaN in both")
    if report.passed:
        cause = "exact" if all(set(comparison.causes) <= {"exact"} for comparison in report.comparisons) else "rounding"
        return replace(pair, verdict=SAME, cause=cause, side=None, told=text)
    shown, got = _shown(pair, report, given, wrt)
    return replace(pair, verdict=DIFFER, cause=report.cause, side=report.side, told=text, shown=shown, got=got)


def _shown(pair: TranslatedPair, report: PairReport, given: list[Any], wrt: list[int]) -> tuple[dict[str, str], str]:
    """Inputs at which the sides differ, as they can be typed, and what both give there.

    Those of an edge are its own, so that they are what its words say; of others, the simplest that were found.
    """
    decisive = report.decisive
    dtype, order = (decisive.dtype, decisive.order) if decisive else (pair.dtypes[0], 0)
    held = [array.astype(dtype) if array.dtype.kind == "f" else array for array in given]
    simplest = list(report.diagnosis.inputs.values())
    for tried in [held, simplest] if pair.kind == "edge" else [simplest, held]:
        if len(tried) != len(pair.inputs):
            continue
        shown = literals(dict(zip(pair.inputs, tried, strict=True)))
        if shown is not None and (got := both(pair, tried, wrt, dtype, order)):
            return shown, got
    return {}, both(pair, held, wrt, dtype, order)  # too long to be typed: the results alone


def _named(text: str, names: list[str]) -> str:
    """The text of ``compare``, which numbers the inputs, with their names instead."""
    return INPUT.sub(lambda match: names[int(match[1] or 0)], text)
