"""How one side's result follows from the other's: a multiple, a function of it, a part cut off, another order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import permutations, product

import numpy as np
from scipy.special import expit, logsumexp

from crosscheck._arithmetic.formats import Float64Array, IntArray
from crosscheck._compare.how.numbers import factor, of_shapes, plain
from crosscheck._compare.how.trials import JAX, NAMES, TORCH, Trial, Trials, near
from crosscheck._explain.facts import Fact
from crosscheck._frameworks.programs import Array
from crosscheck._shadow.base import Noise

Function = Callable[[Float64Array], Float64Array]

OF_ELEMENTS: dict[str, Function] = {
    "the absolute value of": np.abs,
    "1 minus": lambda y: 1 - y,
    "the reciprocal of": lambda y: 1 / y,
    "the square of": np.square,
    "the square root of": np.sqrt,
    "the exponential of": np.exp,
    "the logarithm of": np.log,
    "the exponential minus 1 of": np.expm1,
    "the sigmoid of": expit,
    "the tanh of": np.tanh,
    "the logarithm of 1 plus": np.log1p,
    "the log-sigmoid of": lambda y: -np.logaddexp(0, -y),
}
ALONG_AN_AXIS: dict[str, Callable[..., Float64Array]] = {
    "the softmax of": lambda y, axis: np.exp(y - logsumexp(y, axis, keepdims=True)),
    "the log-softmax of": lambda y, axis: y - logsumexp(y, axis, keepdims=True),
    "the cumulative sum of": np.cumsum,
}
CHANGES_ALONG_AN_AXIS: dict[str, Callable[..., Float64Array]] = {
    "divided by its sum": lambda y, axis: y / y.sum(axis, keepdims=True),
    "divided by its norm": lambda y, axis: y / np.linalg.norm(y, axis=axis, keepdims=True),
    "less its mean": lambda y, axis: y - y.mean(axis, keepdims=True),
    "less its maximum": lambda y, axis: y - y.max(axis, keepdims=True),
}
WIDTHS = (8, 16, 32)
"""The bits of integers that are narrower than PyTorch's sums and products of a whole axis, which have 64."""
MOST_MOVED = 2**16
"""Results with more elements are not searched for another order of elements."""
MOST_SHIFTS = 64
MOST_AXES = 4
MOST_LISTED = 8


def of_outputs(trials: Trials) -> Iterator[Trial]:
    """The ways in which one side's result may follow from the other's, as far as the given inputs show."""
    for fact, function, source, view in _found(trials):
        target = 1 - source
        run = partial(_applied, trials, source, function)
        yield Trial(replace(fact, role=NAMES[target]), run, target, view)


def _applied(
    trials: Trials, source: int, function: Function, arguments: Sequence[Array], noise: Noise | None
) -> Float64Array:
    return function(trials.run(source, arguments, noise))


Found = tuple[Fact, Function, int, Function]
"""What is so of the other side's result, the function that gives it from that of a source, the source, and the view."""


def _found(trials: Trials) -> Iterator[Found]:
    torch, jax = trials.given_results
    if torch.shape != jax.shape:
        return
    with np.errstate(all="ignore"):
        for source, (given, target) in enumerate(((torch, jax), (jax, torch))):
            for fact, function in _wrapped(given) if not trials.is_float else ():
                if near(function(given), target):
                    yield fact, function, source, np.asarray
        for fact, function in _scaled(trials, torch, jax):
            yield fact, function, TORCH, np.asarray
        if 1 < torch.size <= MOST_MOVED:
            yield from _moved(torch, jax, trials.is_float)
        for source, (given, target) in enumerate(((torch, jax), (jax, torch))):
            for fact, function in (*_functions(given), *_cut_off(given, target)):
                if near(function(given), target):
                    yield fact, function, source, np.asarray


def _wrapped(given: Float64Array) -> Iterator[tuple[Fact, Function]]:
    """Integers that have too few bits for a result keep only its last bits."""
    for bits, least in product(WIDTHS, (-0.5, 0.0)):
        low, kind = least * 2.0**bits, "int" if least else "uint"
        if ((given < low) | (given >= low + 2.0**bits)).any():
            yield Fact("wrapped", f"{kind}{bits}"), partial(_wrap, low=low, count=2.0**bits)


def _wrap(y: Float64Array, low: float, count: float) -> Float64Array:
    return np.asarray((y - low) % count + low)


def _scaled(trials: Trials, torch: Float64Array, jax: Float64Array) -> Iterator[tuple[Fact, Function]]:
    times = factor(torch, jax)
    if times and near(torch * times, jax):
        if near(-torch, jax):
            yield Fact("function", "the negative of"), np.negative
        for number in (*of_shapes(trials, times), plain(times)):
            yield Fact("times", number.said, where=number.why), partial(np.multiply, number.value)
    more = plain(float(np.median((jax - torch)[np.isfinite(torch) & np.isfinite(jax)] if torch.size else 0.0)))
    if more.value and near(torch + more.value, jax):
        fact = Fact("plus", more.said) if more.value > 0 else Fact("minus", plain(-more.value).said)
        if np.ptp(torch) == 0 and torch.size > 1:
            fact = Fact("constant", torch=f"{float(torch.flat[0]):.6g}", jax=f"{float(jax.flat[0]):.6g}")
        yield fact, lambda y: y + more.value


def _functions(given: Float64Array) -> Iterator[tuple[Fact, Function]]:
    for what, function in OF_ELEMENTS.items():
        yield Fact("function", what), function
    for kind, table in (("function", ALONG_AN_AXIS), ("changed", CHANGES_ALONG_AN_AXIS)):
        for what, along in table.items():
            for axis in range(given.ndim):
                yield Fact(kind, what, where=_along(axis, given.ndim)), partial(along, axis=axis)


def _cut_off(given: Float64Array, target: Float64Array) -> Iterator[tuple[Fact, Function]]:
    """One value replaces every element that differs: those beyond it, or those at certain places."""
    other = (given != target) & ~(np.isnan(given) & np.isnan(target))
    values = np.unique(target[other])
    if not 0 < values.size <= 2 or not other.any() or other.all():
        return
    low, high = (given[other & (target == end)] for end in (values[0], values[-1]))
    if values.size == 1:
        (value,) = values.tolist()
        number = f"{value:g}"
        if (given[other] > value).all() and (target[~other] <= value).all():
            yield Fact("above", number), lambda y: np.minimum(y, value)
        if (given[other] < value).all() and (target[~other] >= value).all():
            yield Fact("below", number), lambda y: np.maximum(y, value)
        yield Fact("filled", number), lambda y: np.where(other, value, y)
    elif (low < values[0]).all() and (high > values[1]).all():
        yield (
            Fact("bounds", f"{values[0]:g} and {values[1]:g}"),
            lambda y: np.clip(y, values[0], values[1]),
        )


def _moved(torch: Float64Array, jax: Float64Array, floats: bool) -> Iterator[Found]:
    """The same elements in another order."""
    for said, function in _orders(torch):
        if near(function(torch), jax):
            yield Fact("arranged", said), function, TORCH, np.asarray
    for said, function, view in _shifts(torch):
        if np.unique(view(jax)).size > 1 and near(view(function(torch)), view(jax)):
            yield Fact("arranged", said), function, TORCH, view
    for axis in range(torch.ndim):
        order = _slices_in_order(torch, jax, axis)
        if order is not None:
            of = f"slices of axis {axis}" if torch.ndim > 1 else "elements"
            listed = f": {', '.join(map(str, order))}" if order.size <= MOST_LISTED else ""
            yield (
                Fact("arranged", f"with the {of} in another order{listed}"),
                partial(np.take, indices=order, axis=axis),
                TORCH,
                np.asarray,
            )
    if floats and near(np.sort(torch, axis=None), np.sort(jax, axis=None)):
        # the order depends on the inputs: it is proven only that both have the same elements
        yield Fact("elements"), np.asarray, TORCH, partial(np.sort, axis=None)


def _orders(given: Float64Array) -> Iterator[tuple[str, Function]]:
    axes = range(given.ndim)
    if given.ndim <= MOST_AXES:
        for flags in product((False, True), repeat=given.ndim):
            chosen = tuple(axis for axis in axes if flags[axis])
            if chosen:
                said = "reversed" if given.ndim == 1 else f"reversed along {_axes(chosen)}"
                yield said, partial(np.flip, axis=chosen)
        for order in permutations(axes):
            if order == tuple(axes):
                continue
            exchanged = [axis for axis in axes if order[axis] != axis]
            shape = tuple(given.shape[axis] for axis in order)
            said = "transposed" if given.ndim == 2 else f"with its axes in the order {', '.join(map(str, order))}"
            if shape == given.shape:
                yield said, partial(np.transpose, axes=order)
            elif len(exchanged) > 1:
                said = f"its elements read along {_axes(exchanged)} in another order"
                yield said, partial(_read, order=order, shape=given.shape)
                yield said, partial(_laid, order=order, shape=shape)
    for axis in axes:
        for steps in range(1, min(given.shape[axis], MOST_SHIFTS)):
            if steps <= given.shape[axis] // 2:
                for by in (steps, -steps):
                    yield _rolled(by, axis, given.shape[axis], given.ndim), partial(np.roll, shift=by, axis=axis)


def _shifts(given: Float64Array) -> Iterator[tuple[str, Function, Function]]:
    """Moved by a few places; the elements that move in at the end are not compared."""
    for axis in range(given.ndim):
        for steps in (1, -1, 2, -2, 3, -3):
            if abs(steps) < given.shape[axis] // 2 + 1:
                among = (*(slice(None),) * axis, slice(steps, None) if steps > 0 else slice(None, steps))
                said = f"shifted by {steps}{_along(axis, given.ndim)}, but for the end"
                yield said, partial(np.roll, shift=steps, axis=axis), partial(_part, among=among)


def _read(y: Float64Array, order: tuple[int, ...], shape: tuple[int, ...]) -> Float64Array:
    return np.transpose(y, order).reshape(shape)


def _laid(y: Float64Array, order: tuple[int, ...], shape: tuple[int, ...]) -> Float64Array:
    return np.transpose(y.reshape(shape), np.argsort(order))


def _part(y: Float64Array, among: tuple[slice, ...]) -> Float64Array:
    return y[among]


def _rolled(steps: int, axis: int, size: int, ndim: int) -> str:
    along = _along(axis, ndim)
    return f"with its halves{along} exchanged" if 2 * steps == size else f"rolled by {steps}{along}"


def _along(axis: int, ndim: int) -> str:
    return f" along axis {axis}" if ndim > 1 else ""


def _slices_in_order(torch: Float64Array, jax: Float64Array, axis: int) -> IntArray | None:
    """For each of JAX's slices the equal slice of PyTorch; None if a slice has none."""
    size = torch.shape[axis]
    if not 2 < size <= MOST_SHIFTS:
        return None
    rows = [np.nan_to_num(np.moveaxis(array, axis, 0).reshape(size, -1)) for array in (torch, jax)]
    order = np.array([int(np.abs(rows[0] - row).max(axis=1).argmin()) for row in rows[1]])
    matches = np.unique(order).size == size and near(np.take(torch, order, axis), jax)
    return order if matches else None


def _axes(axes: Sequence[int]) -> str:
    *first, last = map(str, axes)
    return f"axes {', '.join(first)} and {last}" if first else f"axis {last}"


def swapped(trials: Trials) -> Iterator[Trial]:
    """Another output of PyTorch instead of this one."""
    jax = trials.given_results[JAX]
    names = trials.outputs.names
    for k, name in enumerate(names):
        if k == trials.index or trials.outputs.shapes[k] != jax.shape:
            continue
        other = trials.of(k)
        yield Trial(
            Fact("output", torch=name, jax=names[trials.index]),
            partial(other.run, TORCH),
            JAX,
        )
