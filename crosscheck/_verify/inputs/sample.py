"""The inputs of a comparison: numbers for an elementwise function, rows with directions for a function of rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, Float64Array, FloatArray, Format, IntArray, widen
from crosscheck._arithmetic.sampling import COLUMNS, ROWS, sampled_pairs, sampled_rows, stratified
from crosscheck._arithmetic.ulp import round_once
from crosscheck._records.records import LONGEST, VOCABULARY, Activation
from crosscheck._truth.kept import truths
from crosscheck._truth.rows import row_truth
from crosscheck._truth.truth import Truth
from crosscheck._verdict.scale import Terms, scale
from crosscheck._verify.inputs.nulls import moved
from crosscheck._verify.inputs.shapes import USED, RowShape


@dataclass(frozen=True)
class Sample:
    """The inputs of the implementations.

    Attributes:
        x: The input array.
        v: For a function of rows, the direction of its derivatives, in the same shape; else None.
        at: The number that identifies each point, flat: the input, or its number from ``coordinates``.
        known_by: What identifies the entries of a row, as in the record.
        outputs: The number of results of a row, if it is not one for each entry.
        shapes: The shapes of the rows, if they were drawn by these.
        searched: Whether a search found the rows.
    """

    x: FloatArray
    v: FloatArray | None
    at: FloatArray
    known_by: str = "largest"
    outputs: int | None = None
    shapes: tuple[RowShape, ...] = ()
    searched: bool = False

    @classmethod
    def of_rows(cls, x: FloatArray, v: FloatArray, activation: Activation) -> Sample:
        outputs = None if activation.result == "row" else activation.outputs(x.shape[1])
        return cls(x, v, coordinates(x, activation.known_by), activation.known_by, outputs)

    @classmethod
    def of_shapes(
        cls, shapes: Sequence[RowShape], length: int, activation: Activation, fmt: Format, *, searched: bool = False
    ) -> Sample:
        """Rows of these shapes and of that length, with their directions; pairs have a normal number for each gate."""
        mask = _mask(activation)
        if activation.known_by == "gate":
            half = length // 2
            numbers = np.random.default_rng(half).standard_normal((len(shapes), half))
            x = np.concatenate([numbers, [shape.draw(half, mask) for shape in shapes]], axis=1)
        else:
            x = np.stack([shape.draw(length, mask) for shape in shapes])
        v = np.random.default_rng(length).standard_normal(x.shape)
        x = -x if activation.known_by == "smallest" else x
        x = np.stack([moved(activation, row, shape) if shape.moves else row for shape, row in zip(shapes, x, strict=True)])
        with np.errstate(over="ignore"):
            sample = cls.of_rows(round_once(x, fmt), round_once(v, fmt), activation)
        return replace(sample, shapes=tuple(shapes), searched=searched)

    def lines(self, number: int) -> tuple[str, ...]:
        """The lines of numpy that make a row whose shape is known."""
        if not self.shapes:
            return ()
        mask = -np.inf if np.isinf(widen(self.x[number])).any() else MASK
        lines = self.shapes[number].lines(self.x.shape[1], mask)
        return (*lines, "row = -row") if self.known_by == "smallest" else lines

    def also(self, x: FloatArray, v: FloatArray | None) -> Sample:
        """A sample with other inputs or rows, of the same function."""
        return Sample(x, None, x) if v is None else Sample(x, v, coordinates(x, self.known_by), self.known_by, self.outputs)

    def known(self, order: int) -> FloatArray:
        """The number that identifies each point: the row's largest entry, or NaN, if the value of the row is one number."""
        if order > 0 or self.outputs is None:
            return self.at
        if self.known_by == "gate":
            return self.at.reshape(self.x.shape)[:, : self.outputs].ravel()
        return widen(self.x).max(axis=1).astype(self.x.dtype)

    @property
    def cotangent(self) -> FloatArray | None:
        """The start of reverse mode: the direction, or as much of it as the rows have results."""
        return None if self.v is None else self.v[:, : self.outputs]

    @property
    def length(self) -> int | None:
        """The length of the rows."""
        return None if self.v is None else self.x.shape[1]

    def width(self, order: int) -> int:
        """The number of points of a row: its results, or for derivatives its entries."""
        return self.outputs if order == 0 and self.outputs is not None else int(self.x.shape[1])

    def truths(self, activation: Activation, orders: Sequence[int], parameters: Mapping[str, float]) -> dict[int, Truth]:
        return truths(activation, self.x, self.v, orders, parameters)

    def scales(
        self, activation: Activation, orders: Sequence[int], parameters: Mapping[str, float]
    ) -> dict[int, Float64Array]:
        """For each derivative, the size of the analytic formula's terms."""
        formulas = {1: activation.derivative, 2: activation.second_derivative}
        if activation.result == "one":  # this is a sum, too: its terms may cancel
            formulas[0] = activation.definition
        sizes = {}
        for order in orders:
            if order not in formulas:
                continue
            formula = partial(formulas[order], **parameters)
            shape = self.x.shape
            if self.v is not None and self.cotangent is not None:
                directions = [Terms(widen(self.cotangent)), Terms(widen(self.v))][:order]
                formula = partial(_along, partial(formula, axis=-1), directions)
                shape = self.x.shape if order else self.cotangent.shape
            sizes[order] = scale(formula, widen(self.x), shape).ravel()
        return sizes

    def rows(self, chosen: IntArray, factor: float) -> Sample:
        """Some of the rows, in float64, multiplied by a factor."""
        assert self.v is not None
        with np.errstate(over="ignore"):
            x, v = widen(self.x[chosen]) * factor, widen(self.v[chosen])
        return self.also(x, v)

    def taken(self, chosen: Sequence[int] | IntArray) -> Sample:
        """Some of the inputs, or of the rows."""
        return self.also(self.x[chosen], None if self.v is None else self.v[chosen])

    def tiled(self, count: int) -> Sample:
        """Inputs or rows, repeated up to a given number: JAX compiles again for every shape."""
        shape = (count, *self.x.shape[1:])
        return self.also(np.resize(self.x, shape), None if self.v is None else np.resize(self.v, shape))


def _along(formula, directions, m, x):  # type: ignore[no-untyped-def]  # formulas are untyped by nature
    return formula(m, x, *directions)


MASK = -1e4
"""The number that people write instead of minus infinity."""


def _mask(activation: Activation) -> float:
    """Minus infinity, if two such entries leave results for the other entries; otherwise ``MASK``."""
    row = np.array([[1.0, 0.0, -np.inf, -np.inf]])
    row = -row if activation.known_by == "smallest" else row
    value = row_truth(activation, row, np.zeros_like(row), [0])[0]
    return MASK if np.isnan(value.rounded[0]) else -np.inf


def coordinates(x: FloatArray, known_by: str = "largest") -> FloatArray:
    """The difference between each entry and its row's largest, rounded; the largest value itself where it is not finite.

    Or the difference to the smallest, and the smallest; or the gate of its pair.
    """
    if known_by == "gate":
        return np.tile(x[:, x.shape[1] // 2 :], 2).ravel()
    if known_by == "smallest":
        below = coordinates(-x)
        return np.asarray(np.zeros_like(below) - below)  # a 0 stays +0
    wide = widen(x)
    top = wide.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(top), wide - top, top).astype(x.dtype).ravel()


def samples(
    activation: Activation,
    parameters: Mapping[str, float],
    dtype: str,
    lengths: Collection[int] = (*ROWS, *COLUMNS),
    *,
    seed: int,
    per_binade: int,
    uniform: int,
) -> Iterator[Sample]:
    """The samples of one dtype: the stratified inputs with kinks and anchors among them, or rows of these lengths.

    Along another axis than the default one, only those of ``COLUMNS``.
    """
    fmt = FORMATS[dtype]
    if activation.rows:
        by_default = parameters["axis"] == activation.parameters["axis"]
        counts = {length: count for length, count in (ROWS if by_default else COLUMNS).items() if length in lengths}
        draw = sampled_pairs if activation.known_by == "gate" else sampled_rows
        for x, v in draw(fmt, counts, seed=seed):
            # an entry far above the smallest corresponds to one far below the largest
            yield Sample.of_rows(-x if activation.known_by == "smallest" else x, v, activation)
        for length in (VOCABULARY, LONGEST):
            if length in lengths and by_default:
                yield Sample.of_shapes(USED, taken(activation, length), activation, fmt)
        return
    regions = [region for deviation in activation.deviations for region in deviation.regions if dtype in region.dtypes]
    x = stratified(
        fmt,
        seed=seed,
        near=[kink.at for kink in activation.kinks_at(parameters)],
        exactly=[anchor.input for region in regions for anchor in region.anchors],
        per_binade=per_binade,
        uniform=uniform,
    )
    yield Sample(x, None, x)


def taken(activation: Activation, length: int) -> int:
    """The length, or one less if the function takes only even ones."""
    return length if activation.takes(length) else length - 1
