"""Bounds of errors: above the measured errors, but so near to them that runs with other seeds do not find them stale."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from math import inf

from crosscheck._atlas.intervals import rounded
from crosscheck._records.deviations import Region
from crosscheck._verdict.examination import STALE

MARGIN, LEAST = 2.0, 1.2
"""A bound is the first number times the largest measured error; if that is stale with another seed, at least the second."""
LOOSE = 5.0
"""A bound on record is kept if it is at most this many times the largest measured error."""
FAR = 0.8 * STALE
"""A bound is at most this many times the largest error of each seed."""


def bounded(
    region: Region, strict: Mapping[str, Collection[float]], others: Mapping[str, Collection[float]], small: float
) -> Region:
    """The region with bounds of its errors, which are the largest error of each seed and dtype, by mode.

    There is one bound for the ``strict`` modes, in which it must show, or one for each mode if one for all would be stale in
    some run. Any of the ``others`` has its own bound if its errors are larger. If even the errors of one mode differ so much
    that a bound for one seed would be stale with another, there is no bound. Errors up to ``small`` may show at few points;
    a bound stays below ``small`` if it can.
    """
    together = _bound([error for errors in strict.values() for error in errors], region.max_ulp, small)
    each = {mode: _bound(errors, region.bound(mode), small) for mode, errors in strict.items()}
    most = together if together < inf else max(each.values(), default=inf)
    own = {mode: bound for mode, bound in each.items() if together == inf and bound != most}
    for mode, errors in others.items():
        if (largest := max(errors, default=0.0)) > most:
            own[mode] = _bound([largest], region.bound(mode), small)
    return replace(region, max_ulp=most, max_ulp_in=dict(sorted(own.items())))


def _bound(errors: Collection[float], old: float, small: float) -> float:
    """A bound of all the errors; infinity if none fits them."""
    largest, least = max(errors, default=inf), min(errors, default=inf)
    if largest == inf:
        return inf
    far = rounded(FAR * least, -1)
    tried = [old] * (largest <= old <= LOOSE * largest) + [small] * (largest <= small < MARGIN * largest)
    tried += [float(f"{MARGIN * largest:.3g}"), *([far] if far >= LEAST * largest else [])]
    return next((bound for bound in tried if bound <= FAR * least), inf)
