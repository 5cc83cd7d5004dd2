"""The weights in a report on two models or two trainings: how many have a partner, and the table of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crosscheck._models.report.records import WeightMatch
from crosscheck._report.blocks import Block, Folded, Table

MOST_ROWS = 400
MOST_LEFT = 4
"""The number of weights without a partner that are named."""


def of_weights(weights: Sequence[WeightMatch]) -> Iterator[str]:
    """How many weights have a partner, as lines of a story; nothing if none was compared."""
    counted = [weight for weight in weights if weight.compared]
    left = [weight for weight in counted if not weight.matched]
    if counted:
        yield f"  weights: {len(counted) - len(left)} matched, {len(left)} without a partner"
    for weight in left[:MOST_LEFT]:
        yield f"    {weight.torch or weight.jax}: {weight.reason}"


def every_weight(weights: Sequence[WeightMatch]) -> list[Block]:
    """The table of all weights, if there are any."""
    rows = [
        [
            weight.torch or "",
            weight.jax or "",
            weight.layout or "",
            weight.how or weight.reason or "",
            number(weight.difference),
        ]
        for weight in weights[:MOST_ROWS]
    ]
    return [Folded("Every weight", Table([["torch", "JAX", "layout", "found by", "apart"], *rows]))] if rows else []


def number(value: float | None) -> str:
    """A distance in a table."""
    return "" if value is None else f"{abs(value):.2g}"  # -0 is 0
