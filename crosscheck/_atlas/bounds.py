"""Bounds of an error: above what is measured, and so near to it that a run with another seed does not find them stale."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from math import inf

from crosscheck._atlas.intervals import rounded
from crosscheck._records.deviations import Region
from crosscheck._verdict.deviations import STALE

MARGIN, LEAST = 2.0, 1.2
"""A bound is so many times the largest error measured; where that is too much for another seed, at least the second."""
LOOSE = 5.0
"""A bound on record is kept while it is at most so many times the largest error measured."""
FAR = 0.8 * STALE
"""A bound is at most so many times the largest error of each seed."""


def bounded(
    region: Region, strict: Mapping[str, Collection[float]], others: Mapping[str, Collection[float]], small: float
) -> Region:
    """The region with bounds of its errors, of which each is the largest of a seed and dtype, by mode.

    There is one bound for the modes in which it must show, the ``strict`` ones, or one for each where one would be stale in
    some run. Any of the ``others`` has a bound of its own where its errors are larger. Where even the errors of one mode are
    so far apart that a bound for one seed would be stale in another, there is none. An error up to ``small`` may show here
    and there: a bound stays so small where it can.
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
    """A bound of all the errors; infinity where none fits them."""
    largest, least = max(errors, default=inf), min(errors, default=inf)
    if largest == inf:
        return inf
    far = rounded(FAR * least, -1)
    tried = [old] * (largest <= old <= LOOSE * largest) + [small] * (largest <= small < MARGIN * largest)
    tried += [float(f"{MARGIN * largest:.3g}"), *([far] if far >= LEAST * largest else [])]
    return next((bound for bound in tried if bound <= FAR * least), inf)
