"""The results of a sweep: pieces merged in any order to the same records, with the largest errors judged exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ldexp
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import Format, bits_of
from crosscheck._records.errors import ExpectedError
from crosscheck._records.names import budget
from crosscheck._records.records import Activation
from crosscheck._sweep.piece import Key, Setup
from crosscheck._sweep.positions import Span, bits_at, floats
from crosscheck._sweep.records import Binade, SweepDifference, SweepResult
from crosscheck._sweep.tally import EDGES, WORST, Candidate, Tally
from crosscheck._truth.truth import Truth
from crosscheck._verdict.causes import Judgement, Setting, judge
from crosscheck._verdict.records import Point
from crosscheck._verify.inputs.sample import Sample

CLOSE = 0.1
"""Candidates this near to the largest error, in ULP, are decided exactly; their errors are known much better than that."""
MOST_DECIDED = 8


class IncompleteError(ExpectedError, RuntimeError):
    """The pieces do not form the range: one is missing, or is there twice. It is a bug, or the journal is damaged."""


@dataclass(frozen=True)
class Merged:
    """The sum of all pieces of a range."""

    tallies: Mapping[Key, Tally]
    candidates: Mapping[tuple[Key, str], Mapping[int, list[Candidate]]]
    """For each implementation and order, and each of ``WORST``, the candidates by binade."""
    differ: Mapping[str, int]


def merged(setup: Setup, fmt: Format, span: Span, done: Iterable[Mapping[str, Any]]) -> Merged:
    """Add up the pieces; ``IncompleteError`` unless they contain each input of the range once."""
    keys = [(name, k) for name in setup.implementations for k in setup.orders]
    tallies = {key: Tally(fmt) for key in keys}
    candidates: dict[tuple[Key, str], dict[int, list[Candidate]]] = {(key, which): {} for key in keys for which in WORST}
    differ: dict[str, int] = {}
    expected = span.first
    for piece in sorted(done, key=lambda piece: (piece["first"], piece["last"])):
        if piece["first"] != expected:
            what = "is missing" if piece["first"] > expected else "is there twice"
            raise IncompleteError(f"the piece at position {min(expected, piece['first'])} {what}")
        expected = piece["last"] + 1
        for name, k in keys:
            data = piece["results"][f"{name} {k}"]
            if data["inputs"] != piece["last"] - piece["first"] + 1:
                raise IncompleteError(f"the piece at position {piece['first']} judged {data['inputs']} inputs of {name}")
            tallies[name, k].add(data)
            for which in WORST:
                for candidate in data[which]:
                    error, position, bits = candidate
                    binade = bits_at(position, fmt) >> (fmt.precision - 1)
                    candidates[(name, k), which].setdefault(binade, []).append((error, position, bits))
        for pair, count in piece["differ"].items():
            differ[pair] = differ.get(pair, 0) + count
    if expected != span.last + 1:
        raise IncompleteError(f"the piece at position {expected} is missing")
    if inconsistent := [key for key, tally in tallies.items() if not tally.consistent()]:
        raise IncompleteError(f"the counts of {inconsistent[0]} do not add up")
    return Merged(tallies, candidates, differ)


def results(activation: Activation, fmt: Format, all_of: Merged) -> list[SweepResult]:
    """The records, each of the largest errors judged exactly."""
    found = []
    for (name, k), tally in all_of.tallies.items():
        worst = _worst(activation, fmt, k, all_of.candidates[(name, k), "worst"], "ulp")
        of_truth = _worst(activation, fmt, k, all_of.candidates[(name, k), "worst_of_truth"], "ulp_of_truth")
        below = _worst(activation, fmt, k, all_of.candidates[(name, k), "worst_subnormal"], "ulp")
        largest = max(worst.values(), key=lambda point: point.ulp, default=None)
        largest_of_truth = max(of_truth.values(), key=lambda point: point.ulp_of_truth, default=None)
        found.append(
            SweepResult(
                implementation=name,
                order=k,
                max_ulp=None if largest is None else largest.ulp,
                worst=largest,
                max_ulp_of_truth=None if largest_of_truth is None else largest_of_truth.ulp_of_truth,
                worst_of_truth=largest_of_truth,
                inputs=tally.counts["inputs"],
                correctly_rounded=tally.histogram[0],
                flushed=tally.counts["flushed"],
                special=tally.counts["special"],
                convention=tally.counts["convention"],
                not_judged=tally.counts["not_judged"],
                at_overflow=tally.counts["at_overflow"],
                subnormal=tally.counts["subnormal"],
                worst_subnormal=max(below.values(), key=lambda point: point.ulp, default=None),
                histogram={str(edge): count for edge, count in zip(EDGES, tally.histogram, strict=True) if count},
                binades=tuple(
                    Binade(_low(binade, fmt), point.input, point.ulp)
                    for binade, point in sorted(worst.items(), key=lambda item: item[1].input)
                    if point.got != point.expected
                ),
            )
        )
    return found


def differences(all_of: Merged) -> list[SweepDifference]:
    """The number of inputs at which two implementations differ in bits, for each pair."""
    found = []
    for pair, count in all_of.differ.items():
        implementation, against, order = pair.split()
        found.append(SweepDifference(implementation, against, int(order), count))
    return found


def _low(binade: int, fmt: Format) -> float:
    """The input of least magnitude; ``binade`` is the sign and the exponent as in the bits."""
    exponents = 2 ** (fmt.bits - fmt.precision)
    sign, biased = divmod(binade, exponents)
    low = ldexp(1.0, max(biased, 1) + fmt.e_min - 1) if biased else 0.0
    return -low if sign else low


def _worst(
    activation: Activation, fmt: Format, order: int, candidates: Mapping[int, Sequence[Candidate]], by: str
) -> dict[int, Point]:
    """The largest error of each binade, by one kind of error, decided exactly; among equals the first input."""
    close: list[tuple[int, Candidate]] = []
    for binade, ones in candidates.items():
        ordered = sorted(ones, key=lambda one: (-one[0], one[1]))[:MOST_DECIDED]
        close += [(binade, one) for one in ordered if one[0] >= ordered[0][0] - CLOSE]
    if not close:
        return {}
    points = _points(activation, fmt, order, [candidate for _, candidate in close])
    worst: dict[int, Point] = {}
    for (binade, _), point in zip(close, points, strict=True):
        if binade not in worst or getattr(point, by) > getattr(worst[binade], by):
            worst[binade] = point
    return worst


def _points(activation: Activation, fmt: Format, order: int, candidates: Sequence[Candidate]) -> list[Point]:
    x = np.concatenate([floats(Span(position, position), fmt) for _, position, _ in candidates])
    got = np.array([bits for _, _, bits in candidates]).astype(fmt.unsigned).view(fmt.dtype)
    judged, truth = judged_exactly(activation, order, x, got)
    return [
        Point(
            input=float(x[i]),
            input_bits=bits_of(x[i : i + 1]),
            got=float(got[i]),
            expected=float(truth.rounded[i]),
            ulp=float(judged.ulp_of_unit[i]),
            ulp_of_truth=float(judged.ulp[i]),
        )
        for i in range(x.size)
    ]


def judged_exactly(activation: Activation, order: int, x: Any, got: Any) -> tuple[Judgement, Truth]:
    """Judge results as ``crosscheck.verify`` does, with the exact evaluator at each input."""
    sample = Sample(x, None, x)
    truth = sample.truths(activation, [order], activation.parameters)[order]
    setting = Setting(
        budget=budget(str(x.dtype), order),
        flush_inputs=False,
        flush_outputs=False,
        at_zero=truth,  # used only for inputs that are flushed
        scale=sample.scales(activation, [order], activation.parameters).get(order),
    )
    return judge(x, got, truth, setting), truth
