"""Shorthands with which the files of activations write down where the frameworks' own functions deviate."""

from typing import Any

from crosscheck._spec.records import Anchor, Region


def both(low: float, high: float) -> tuple[tuple[float, float], ...]:
    """An interval and its mirror image."""
    return (-high, -low), (low, high)


def regions(subject: str, *rows: tuple[Any, ...]) -> tuple[Region, ...]:
    """Of rows of order, dtype, intervals, anchor, the result there or None, the maximum in ULP, and maybe a capability."""
    return tuple(
        Region(
            order,
            (dtype,),
            intervals,
            (Anchor(at, {} if result is None else {subject: result}),),
            max_ulp,
            capability=next(iter(capability), None),
        )
        for order, dtype, intervals, at, result, max_ulp, *capability in rows
    )
