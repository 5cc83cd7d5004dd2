"""The positions of all floats in the order of their values, and the pieces of consecutive floats that form a sweep.

Position 0 is the negative NaN of the largest payload; then come minus infinity, the negative numbers, -0, +0, the positive
numbers, infinity and the positive NaNs: every bit pattern has one position.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crosscheck._arithmetic.formats import FloatArray, Format

PIECE = 2**20
"""The number of floats in a whole piece; a binade of float32 has eight times as many, so a piece lies in one binade."""


@dataclass(frozen=True)
class Span:
    """The positions from ``first`` to ``last``, both included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1


def whole(fmt: Format) -> Span:
    return Span(0, 2**fmt.bits - 1)


def floats(span: Span, fmt: Format) -> FloatArray:
    """The floats at the positions of a span, in their order."""
    half = 2 ** (fmt.bits - 1)
    if span.first >= half:
        return np.arange(span.first - half, span.last + 1 - half, dtype=fmt.unsigned).view(fmt.dtype)
    if span.last < half:
        return (2 * half - 1 - np.arange(span.first, span.last + 1, dtype=np.uint32)).astype(fmt.unsigned).view(fmt.dtype)
    return np.concatenate([floats(Span(span.first, half - 1), fmt), floats(Span(half, span.last), fmt)])


def position_of_bits(bits: int, fmt: Format) -> int:
    half = 2 ** (fmt.bits - 1)
    return bits + half if bits < half else 2 * half - 1 - bits


def bits_at(position: int, fmt: Format) -> int:
    """The inverse of ``position_of_bits``."""
    half = 2 ** (fmt.bits - 1)
    return position - half if position >= half else 2 * half - 1 - position


def binade_of(position: int, fmt: Format) -> int:
    """The sign and the exponent, as in the bits."""
    return bits_at(position, fmt) >> (fmt.precision - 1)


def position_of(value: float, fmt: Format) -> int:
    return position_of_bits(int(np.array([value]).astype(fmt.dtype).view(fmt.unsigned)[0]), fmt)


def value_at(position: int, fmt: Format) -> float:
    return float(floats(Span(position, position), fmt)[0])


def pieces(span: Span) -> Iterator[Span]:
    """The pieces of a span, cut at the multiples of ``PIECE``, with their numbers; a part of a piece has its number."""
    for number in range(span.first // PIECE, span.last // PIECE + 1):
        yield Span(max(span.first, number * PIECE), min(span.last, (number + 1) * PIECE - 1))


def split_at(span: Span, points: list[int]) -> Iterator[Span]:
    """The span, cut so that each of the points is a span of its own."""
    first = span.first
    for point in sorted({point for point in points if span.first <= point <= span.last}):
        if first < point:
            yield Span(first, point - 1)
        yield Span(point, point)
        first = point + 1
    if first <= span.last:
        yield Span(first, span.last)
