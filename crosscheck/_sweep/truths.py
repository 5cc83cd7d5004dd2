"""The correctly rounded results of consecutive floats, evaluated from proven forms; undecided ones are decided exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import frexp
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import BoolArray, Float64Array, FloatArray, Format, widen
from crosscheck._arithmetic.ulp import ulp
from crosscheck._records.records import Activation
from crosscheck._sweep.forms import Constant, Multiple, OutsideDomain, Part, Polynomial, Unproven
from crosscheck._truth.evaluate import truth
from crosscheck._truth.truth import Truth
from crosscheck._verdict.causes import CANCELLED
from crosscheck._verdict.scale import scale

FEW = 8
"""The number of inputs that show whether any precision decides."""
CURVED, PLAIN = 2**15, 2**16
"""The number of floats of a block: what is computed of them stays in the second-level cache."""
EXPONENT, BIAS = np.uint64(0x7FF << 52), 1023
SAMPLES = 9


@dataclass(frozen=True)
class Block:
    """The truth at consecutive floats, for one order.

    Attributes:
        at: The indices of its floats in the piece.
        x: These floats.
        rounded: The correctly rounded results, an array or one number for all.
        value: The exact results in float64, with an error far below their unit; NaN where ``rounded`` is NaN.
        per_unit: 1 / ulp of the exact result, or of a smaller ulp near a power of two; None if it is not computed yet.
        to_unit: The factor from units of ``per_unit`` to the unit of the errors, below 1 where terms cancel; None for 1
            everywhere.
        plain: Whether every result is finite and normal, and of one sign.
        exact: The truth, if the exact evaluator decided each of the results.
        steady: For how many floats around each truth the ulp is the same as at the truth.
        tiny: Which inputs are subnormal, an array or one answer for all.
    """

    at: slice
    x: FloatArray
    rounded: Any
    value: Any
    per_unit: Any = None
    to_unit: Float64Array | None = None
    plain: bool = False
    exact: Truth | None = None
    steady: int = 0
    tiny: Any = False

    def units(self, fmt: Format) -> Any:
        """``per_unit``, computed now if it was not before."""
        return per_unit(self.value, fmt) if self.per_unit is None else self.per_unit


class Truths:
    """The truth of one activation, block by block."""

    def __init__(self, activation: Activation, fmt: Format) -> None:
        self.activation, self.fmt = activation, fmt

    def blocks(self, part: Part, offset: int, x: FloatArray) -> Iterator[dict[int, Block]]:
        """The blocks by order. ``x`` are the floats of a piece, whose first is at position ``offset``."""
        start, stop = part.span.first - offset, part.span.last + 1 - offset
        curved = any(isinstance(form, Polynomial) for form in part.forms.values())
        cancels = {k: self._cancels(form, k, x[start:stop]) for k, form in part.forms.items()}
        size = CURVED if curved else PLAIN
        for first in range(start, stop, size):
            at = slice(first, min(first + size, stop))
            here = x[at]
            wide = widen(here) if curved else None
            blocks = {k: self._block(form, k, at, here, wide, cancels[k]) for k, form in part.forms.items()}
            if self.fmt.bits == 16 or min(abs(float(here[0])), abs(float(here[-1]))) < self.fmt.smallest_normal:
                tiny = np.abs(widen(here)) < self.fmt.smallest_normal
                blocks = {k: replace(block, tiny=tiny) for k, block in blocks.items()}
            yield blocks

    def _block(self, form: Any, k: int, at: slice, x: FloatArray, wide: Float64Array | None, cancels: bool) -> Block:
        if isinstance(form, Constant):
            plain = abs(form.rounded) >= self.fmt.smallest_normal
            unit = per_unit(form.value, self.fmt)
            steady = _steady(form.rounded, form.rounded)
            near = np.float64(form.value)
            return Block(at, x, np.float32(form.rounded), near, unit, plain=plain, steady=steady)
        if isinstance(form, Multiple):
            return self._multiple(form, at, x)
        if isinstance(form, Polynomial):
            assert wide is not None
            return self._polynomial(form, k, at, x, wide, cancels)
        if isinstance(form, OutsideDomain):
            return Block(at, x, np.float32(np.nan), np.float64(np.nan), np.float64(1))
        assert isinstance(form, Unproven)
        exact = self.decided(x, k)
        value = np.where(exact.judged, exact.approximate(), np.nan)
        unit = 1 / ulp(exact.exponent, exact.fmt)
        return Block(at, x, exact.rounded, value, unit, self._to_unit(x, value, k), exact=exact)

    def decided(self, x: FloatArray, k: int) -> Truth:
        """The truth by the exact evaluator, for each input alone."""
        return truth(self.activation, x, [k])[k]

    def _decided_unless_ties(self, x: FloatArray, k: int, near: FloatArray) -> FloatArray:
        """The exact results, rounded; those ``near`` by another way if a few spread inputs show that no precision decides.

        From 2^24 on, tanhshrink is x - 1, half way between two numbers, plus e^-2x, which is too small for any ball. Then
        either number has an error of 0.5 ULP.
        """
        few = np.linspace(0, x.size - 1, FEW).astype(int)
        if x.size > FEW and not self.decided(x[few], k).judged.any():
            return near
        return self.decided(x, k).rounded

    def _polynomial(self, form: Polynomial, k: int, at: slice, x: FloatArray, wide: Float64Array, cancels: bool) -> Block:
        t = wide - form.centre
        t *= 1 / form.width
        value = t * form.coefficients[-1]
        for c in form.coefficients[-2:0:-1]:
            value += c
            value *= t
        value += form.coefficients[0]
        low, high = value - form.bound, value + form.bound
        with np.errstate(over="ignore"):
            rounded, other = low.astype(np.float32), high.astype(np.float32)
        if (rounded != other).any():
            open_ = np.flatnonzero(rounded != other)
            rounded[open_] = self._decided_unless_ties(x[open_], k, rounded[open_])
        smallest, largest = rounded.min(), rounded.max()
        tiny, most = self.fmt.smallest_normal, self.fmt.largest
        plain = bool((smallest >= 2 * tiny and largest <= most) or (largest <= -2 * tiny and smallest >= -most))
        to_unit = self._to_unit(x, value, k) if cancels else None
        unit = per_unit(low if largest > 0 else high, self.fmt)
        return Block(at, x, rounded, value, unit, to_unit, plain, steady=_steady(smallest, largest))

    def _cancels(self, form: Any, k: int, x: FloatArray) -> bool:
        """Whether the terms of a derivative may cancel in a part: decided at a few inputs, with a margin."""
        if k == 0 or not isinstance(form, Polynomial):
            return False
        few = widen(x[np.linspace(0, x.size - 1, SAMPLES).astype(int)])
        t = (few - form.centre) / form.width
        value = np.polynomial.polynomial.polyval(t, form.coefficients)
        return bool((np.abs(value) < self._scale(few, k) / CANCELLED * 2).any())

    def _scale(self, x: Float64Array, k: int) -> Float64Array:
        formula = self.activation.derivative if k == 1 else self.activation.second_derivative
        parameters = self.activation.parameters
        return scale(lambda m, x: formula(m, x, **parameters), x)

    def _to_unit(self, x: FloatArray, value: Float64Array, k: int) -> Float64Array | None:
        if k == 0:
            return None
        terms = self._scale(widen(x), k)
        with np.errstate(invalid="ignore", over="ignore"):
            small: BoolArray = np.isfinite(terms) & (np.abs(value) < terms / CANCELLED)
            return np.where(small, per_unit(np.where(small, terms, 1.0), self.fmt) / per_unit(value, self.fmt), 1.0)

    def _multiple(self, form: Multiple, at: slice, x: FloatArray) -> Block:
        rounded = x if form.factor == 1 else x * np.float32(form.factor)
        if min(abs(float(rounded[0])), abs(float(rounded[-1]))) >= self.fmt.smallest_normal:
            return Block(at, x, rounded, rounded, plain=True)
        value = widen(x) * form.factor
        if form.beside:  # a tie, but the exact result is on one side of it
            rounded = np.nextafter(value, form.beside * np.inf).astype(np.float32)
        return Block(at, x, rounded, value, per_unit(value, self.fmt))


def _steady(a: float, b: float) -> int:
    """16 if the numbers between two of one sign, and their neighbours, are in one binade; otherwise 0."""
    low, high = sorted((abs(float(a)), abs(float(b))))
    return 16 if frexp(low * (1 - 2.0**-19))[1] == frexp(high * (1 + 2.0**-19))[1] else 0


def per_unit(value: Any, fmt: Format) -> Any:
    """1 / ulp, in a format, of float64 numbers that do not overflow it; from their exponents, since ``frexp`` is slow."""
    bits = np.asarray(value, dtype=np.float64).view(np.uint64) & EXPONENT
    turned, most = (2 * BIAS + fmt.precision - 1), (BIAS + fmt.precision - 1 - fmt.e_min)
    return np.minimum(np.uint64(turned << 52) - bits, np.uint64(most << 52)).view(np.float64)
