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
from crosscheck._sweep.piece import Key, SweepSetup
from crosscheck._sweep.positions import Span, binade_of, floats
from crosscheck._sweep.records import EDGES, Binade, SweepDifference, SweepResult
from crosscheck._sweep.tally import WORST, Candidate, Tally
from crosscheck._truth.truth import Truth
from crosscheck._verdict.causes import Judgement, JudgingSetting, judge
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


def merged(setup: SweepSetup, fmt: Format, span: Span, done: Iterable[Mapping[str, Any]]) -> Merged:
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
                for error, position, bits in data[which]:
                    candidates[(name, k), which].setdefault(binade_of(position, fmt), []).append((error, position, bits))
        for pair, count in piece["differ"].items():
            differ[pair] = differ.get(pair, 0) + count
    if expected != span.last + 1:
        raise IncompleteError(f"the piece at position {expected} is missing")
    if inconsistent := [key for key, tally in tallies.items() if not tally.consistent()]:
        raise IncompleteError(f"the counts of {inconsistent[0]} do not add up")
    return Merged(tallies, candidates, differ)


def results(activation: Activation, fmt: Format, all_of: Merged) -> list[SweepResult]:
    """The records, each of the largest errors judged exactly."""
    records = []
    for (name, k), tally in all_of.tallies.items():

        def worst(which: str, by: str, key: Key = (name, k)) -> dict[int, Point]:
            return _worst(activation, fmt, key[1], all_of.candidates[key, which], by)

        of_binades = worst("worst", "ulp")
        largest = max(of_binades.values(), key=lambda point: point.ulp, default=None)
        of_truth = max(worst("worst_of_truth", "ulp_of_truth").values(), key=lambda point: point.ulp_of_truth, default=None)
        records.append(
            SweepResult(
                implementation=name,
                order=k,
                max_ulp=None if largest is None else largest.ulp,
                worst=largest,
                max_ulp_of_truth=None if of_truth is None else of_truth.ulp_of_truth,
                worst_of_truth=of_truth,
                correctly_rounded=tally.histogram[0],
                **tally.counts,
                worst_subnormal=max(worst("worst_subnormal", "ulp").values(), key=lambda point: point.ulp, default=None),
                histogram={str(edge): count for edge, count in zip(EDGES, tally.histogram, strict=True) if count},
                binades=tuple(
                    Binade(_low(binade, fmt), point.input, point.ulp)
                    for binade, point in sorted(of_binades.items(), key=lambda item: item[1].input)
                    if point.got != point.expected
                ),
            )
        )
    return records


def differences(all_of: Merged) -> list[SweepDifference]:
    split = ((pair.split(), count) for pair, count in all_of.differ.items())
    return [SweepDifference(implementation, against, int(order), count) for (implementation, against, order), count in split]


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
        ordered = sorted(ones, key=lambda candidate: (-candidate[0], candidate[1]))[:MOST_DECIDED]
        close += [(binade, candidate) for candidate in ordered if candidate[0] >= ordered[0][0] - CLOSE]
    if not close:
        return {}
    x = np.concatenate([floats(Span(position, position), fmt) for _, (_, position, _) in close])
    got = np.array([bits for _, (_, _, bits) in close]).astype(fmt.unsigned).view(fmt.dtype)
    judged, truth = judged_exactly(activation, order, x, got)
    worst: dict[int, Point] = {}
    for i, (binade, _) in enumerate(close):
        point = Point(
            input=float(x[i]),
            input_bits=bits_of(x[i : i + 1]),
            got=float(got[i]),
            expected=float(truth.rounded[i]),
            ulp=float(judged.ulp_of_unit[i]),
            ulp_of_truth=float(judged.ulp[i]),
        )
        if binade not in worst or getattr(point, by) > getattr(worst[binade], by):
            worst[binade] = point
    return worst


def judged_exactly(activation: Activation, order: int, x: Any, got: Any) -> tuple[Judgement, Truth]:
    """Judge results as ``crosscheck.verify`` does, with the exact evaluator at each input."""
    sample = Sample(x, None, x)
    truth = sample.truths(activation, [order], activation.parameters)[order]
    setting = JudgingSetting(
        budget=budget(str(x.dtype), order),
        flush_inputs=False,
        flush_outputs=False,
        at_zero=truth,  # used only for inputs that are flushed
        scale=sample.scales(activation, [order], activation.parameters).get(order),
    )
    return judge(x, got, truth, setting), truth
