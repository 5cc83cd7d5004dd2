"""The rules, in the order in which they are tried: each gives the edits of one kind that a port's mistake may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from crosscheck._explain.arrays import constants, rotations, weights_more
from crosscheck._explain.exchanges import exchanged_edges, exchanged_operands, moved, regrouped
from crosscheck._explain.facts import Edit
from crosscheck._explain.segment import GraphSegment
from crosscheck._explain.settings import divisors, merged, of_functions, repetitions, scales, settings, starts
from crosscheck._explain.shifts import shifts
from crosscheck._explain.steps import before_product, bias_after, over_steps, without_part
from crosscheck._explain.substitutes import activations, missing, others, without
from crosscheck._explain.values import exchanged_values, extra, operand, orders

Rule = Callable[[GraphSegment, int], Iterator[Edit]]
"""A function of a segment and of one of its nodes."""
AT_NODES: Sequence[Rule] = (
    of_functions,
    activations,
    settings,
    merged,
    starts,
    repetitions,
    divisors,
    shifts,
    scales,
    others,
    without,
    without_part,
    missing,
    before_product,
    bias_after,
)
"""Rules of one operation."""
EXCHANGES: Sequence[Rule] = (exchanged_operands, exchanged_edges)
"""Rules of the operands of one operation, or of two."""
AT_VALUES: Sequence[Rule] = (extra, weights_more, exchanged_values, operand, over_steps)
"""Rules of a value, wherever it is used."""
OF_TABLES: Sequence[Rule] = (settings, starts, shifts, others, orders)
"""Rules of a table of whole numbers that JAX has in no such order."""
OF_ARRAYS: Sequence[Rule] = (constants, rotations)
"""Rules of a value that does not depend on the data."""
LATE: Sequence[Rule] = (regrouped, moved)
"""Rules of several operations."""
