"""JAX's operations on arrays of balls."""

# ruff: noqa: SIM905 - a list would take a line a name

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cmp_to_key
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flint import arb, arb_mat
from jax import lax

from crosscheck._shadow.base import Array
from crosscheck._shadow.jax_equations import (
    is_float,
    widened,
)
from crosscheck._truth.balls import UndecidedError
from crosscheck._truth.elements import (
    ACCUMULATIONS,
    FOLDS,
    FUNCTIONS,
    SCATTERS,
    WITH_PARAMETERS,
    add,
    equal,
    integer,
    less,
    negation,
)


class BeyondBallsError(Exception):
    """The program has an operation that balls do not have, or too many operations."""


SAME = frozenset(
    """
    copy copy_p device_put layout_constraint name optimization_barrier pvary reduce_precision reshard sharding_constraint
    stop_gradient
    """.split()
)
MADE_OF_INTEGERS = frozenset(["bitcast_convert_type", "empty", "empty2", "iota"])
"""Operations that make floats, exactly, from values that are not floats."""


def constant(value: Any) -> Any:
    """The value for the evaluator: a narrow scalar becomes its decimal."""
    if not is_float(value):
        return value if jnp.issubdtype(value.dtype, jax.dtypes.extended) else np.asarray(value)
    if jnp.issubdtype(value.dtype, np.complexfloating):
        raise BeyondBallsError("complex")
    return balls_of(widened(value))


def balls_of(value: Any) -> Array:
    return each_entry(arb, np.asarray(value, np.float64))


def has_balls(values: Sequence[Any]) -> bool:
    """Whether any value holds balls, or booleans that are not all decided."""
    return any(value.dtype == object for value in values)


def listed(result: Any) -> Sequence[Any]:
    return result if isinstance(result, list) else [result]


def numpy_of(value: Any) -> Any:
    """The module that handles such arrays: JAX for its keys, else numpy."""
    return np if isinstance(value, np.ndarray) else jnp


def where_decided(on: Array, new: Any, old: Any) -> Any:
    """Select, for a loop under ``vmap``: each element of a batch leaves the loop by itself. ``on`` has the first axes."""
    return numpy_of(new).where(on.reshape(on.shape + (1,) * (new.ndim - on.ndim)), new, old) if on.ndim else new


def decided_scalar(scalar: Any) -> int:
    if scalar.item() is None:
        raise UndecidedError
    return int(scalar.item())


def _objects(items: Iterable[Any], shape: tuple[int, ...]) -> Array:
    flat = np.empty(math.prod(shape), object)
    flat[:] = list(items)
    return flat.reshape(shape)


def each_entry(f: Callable[..., Any], *values: Any) -> Array:
    return _array(np.frompyfunc(f, len(values), 1)(*values))


def _array(result: Any) -> Array:
    """An array without axes, where numpy returned a plain object."""
    return result if isinstance(result, np.ndarray) else _objects([result], ())


def _typed(result: Array, aval: Any) -> Array:
    """Objects that are not balls, in their own dtype; booleans stay objects if one is undecided."""
    if is_float(aval):
        return result
    if any(entry is None for entry in result.flat):
        if aval.dtype == bool:
            return result
        raise UndecidedError
    return result.astype(aval.dtype)


def _elementwise(equation: Any, values: list[Any]) -> Array:
    name = equation.primitive.name
    f = FUNCTIONS[name] if name in FUNCTIONS else WITH_PARAMETERS[name](equation.params)
    return _typed(each_entry(f, *values), equation.outvars[0].aval)


def _convert(equation: Any, values: list[Any]) -> Any:
    (value,), (source,), target = values, equation.invars, equation.outvars[0].aval
    if is_float(target):
        if is_float(source.aval):
            return value
        return each_entry(lambda x: arb(int(x)) if x is not None else arb(0).union(arb(1)), value)
    if value.dtype != object:
        return np.asarray(lax.convert_element_type(value, target.dtype))
    if not is_float(source.aval):
        return _typed(value, target)
    return _typed(each_entry((lambda a: negation(equal(a, arb(0)))) if target.dtype.kind == "b" else integer, value), target)


def _fold(equation: Any, values: list[Any]) -> Array:
    f, start = FOLDS[equation.primitive.name]
    axes = equation.params["axes"]
    moved = np.moveaxis(values[0], axes, range(-len(axes), 0))
    rows = moved.reshape(*moved.shape[: moved.ndim - len(axes)], math.prod(moved.shape[moved.ndim - len(axes) :]))
    if not rows.shape[-1]:
        return each_entry(lambda _: start if isinstance(start, bool) else arb(start), np.empty(rows.shape[:-1]))
    return _typed(_array(np.frompyfunc(f, 2, 1).reduce(rows, axis=-1)), equation.outvars[0].aval)


def _accumulate(equation: Any, values: list[Any]) -> Array:
    axis, reverse, name = equation.params["axis"], equation.params["reverse"], equation.primitive.name
    x = np.flip(values[0], axis) if reverse else values[0]
    if name == "cumlogsumexp":
        sums: Array = np.frompyfunc(add, 2, 1).accumulate(each_entry(arb.exp, x), axis=axis)
        result = each_entry(arb.log, sums)
    else:
        result = np.frompyfunc(ACCUMULATIONS[name], 2, 1).accumulate(x, axis=axis)
    return np.flip(result, axis) if reverse else result


def _dot(equation: Any, values: list[Any]) -> Array:
    contracted, batched = equation.params["dimension_numbers"]
    free = [
        [axis for axis in range(value.ndim) if axis not in (*used, *batch)]
        for value, used, batch in zip(values, contracted, batched, strict=True)
    ]
    a = values[0].transpose(*batched[0], *free[0], *contracted[0])
    b = values[1].transpose(*batched[1], *contracted[1], *free[1])
    shape = (*a.shape[: a.ndim - len(contracted[0])], *b.shape[b.ndim - len(free[1]) :])
    count, columns = math.prod(a.shape[: len(batched[0])]), math.prod(b.shape[b.ndim - len(free[1]) :])
    inner = math.prod(a.shape[a.ndim - len(contracted[0]) :])
    rows = math.prod(a.shape[len(batched[0]) : a.ndim - len(contracted[0])])
    entries: list[Any] = []
    for left, right in zip(a.reshape(count, rows * inner), b.reshape(count, inner * columns), strict=True):
        entries += (arb_mat(rows, inner, list(left)) * arb_mat(inner, columns, list(right))).entries()
    return _objects(entries, shape)


def _order(keys: Sequence[Array], *, descending: bool = False) -> Array:
    """The order of the keys along the last axis, the first key first; equal elements keep their order."""
    shape = keys[0].shape
    places = np.empty((math.prod(shape[:-1]), shape[-1]), np.int64)
    for i, rows in enumerate(zip(*(key.reshape(places.shape).tolist() for key in keys), strict=True)):

        def compare(p: int, q: int, rows: Any = rows) -> int:
            for row in rows:
                before, after = less(row[p], row[q]), less(row[q], row[p])
                if before is None or after is None:
                    raise UndecidedError
                if before or after:
                    return -1 if before != descending else 1
            return 0

        places[i] = sorted(range(shape[-1]), key=cmp_to_key(compare))
    return places.reshape(shape)


def _sort(equation: Any, values: list[Any]) -> list[Array]:
    axis = equation.params["dimension"]
    order = _order([np.moveaxis(value, axis, -1) for value in values[: equation.params["num_keys"]]])
    return [np.take_along_axis(value, np.moveaxis(order, -1, axis), axis) for value in values]


def _top_k(equation: Any, values: list[Any]) -> list[Array]:
    axis = equation.params.get("axis", -1)
    order = _order([np.moveaxis(values[0], axis, -1)], descending=True)[..., : equation.params["k"]]
    order = np.moveaxis(order, -1, axis)
    return [np.take_along_axis(values[0], order, axis), order.astype(equation.outvars[1].aval.dtype)]


def _extreme(equation: Any, values: list[Any]) -> Array:
    (axis,) = equation.params["axes"]
    order = _order([np.moveaxis(values[0], axis, -1)], descending=equation.primitive.name == "argmax")
    return order[..., 0].astype(equation.outvars[0].aval.dtype)


def _move(equation: Any, values: list[Any]) -> list[Any]:
    """Run an operation that only moves data: it moves the indices of the elements."""
    params, dtype = dict(equation.params), equation.outvars[0].aval.dtype
    filling = arb.nan()
    if params.get("fill_value") is not None:
        filling = arb(params["fill_value"])
    if "fill_value" in params:
        params["fill_value"] = -1
    operands, elements, start = [], [], 0
    for atom, value in zip(equation.invars, values, strict=True):
        if atom.aval.dtype != dtype:
            operands.append(value)
            continue
        operands.append(np.arange(start, start + value.size).reshape(value.shape))
        elements.append(value.astype(object).ravel())
        start += value.size
    source = np.concatenate([*elements, _objects([filling], (1,))])
    places = equation.primitive.bind(*operands, **params)
    moved = [np.asarray(array) for array in (places if equation.primitive.multiple_results else [places])]
    return [source[indices.ravel()].reshape(indices.shape) for indices in moved]


def _scatter(equation: Any, values: list[Any]) -> Array:
    (operand, indices, updates), numbers = values, equation.params["dimension_numbers"]
    single = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    window = iter(numbers.update_window_dims)
    gathering = lax.GatherDimensionNumbers(
        offset_dims=numbers.update_window_dims,
        collapsed_slice_dims=numbers.inserted_window_dims,
        start_index_map=numbers.scatter_dims_to_operand_dims,
        operand_batching_dims=numbers.operand_batching_dims,
        start_indices_batching_dims=numbers.scatter_indices_batching_dims,
    )
    sizes = [1 if axis in single else updates.shape[next(window)] for axis in range(operand.ndim)]
    places = np.arange(operand.size).reshape(operand.shape)
    mode = equation.params["mode"]
    targets = np.asarray(lax.gather(places, indices, gathering, tuple(sizes), mode=mode, fill_value=-1))
    result, f = operand.ravel().copy(), SCATTERS[equation.primitive.name]
    for target, update in zip(targets.ravel().tolist(), updates.ravel(), strict=True):
        if target >= 0:
            result[target] = f(result[target], update)
    return result.reshape(operand.shape)


def _broadcast(equation: Any, values: list[Any]) -> Array:
    shape, kept = equation.params["shape"], equation.params["broadcast_dimensions"]
    ones = [1] * len(shape)
    for axis, size in zip(kept, values[0].shape, strict=True):
        ones[axis] = size
    return np.broadcast_to(values[0].reshape(ones), shape)


CONVERSIONS = {"convert_element_type": _convert}
SORTS = {"argmax": _extreme, "argmin": _extreme, "sort": _sort, "top_k": _top_k}
_MOVES: dict[str, Callable[[Any, list[Any]], Any]] = {
    **dict.fromkeys("dynamic_slice dynamic_update_slice gather pad slice split stack tile unstack".split(), _move),
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda equation, values: np.concatenate(values, equation.params["dimension"]),
    "reshape": lambda equation, values: values[0].reshape(equation.params["new_sizes"]),
    "rev": lambda equation, values: np.flip(values[0], equation.params["dimensions"]),
    "squeeze": lambda equation, values: np.squeeze(values[0], tuple(equation.params["dimensions"])),
    "transpose": lambda equation, values: values[0].transpose(equation.params["permutation"]),
}
OPERATIONS: dict[str, Callable[[Any, list[Any]], Any]] = {
    **CONVERSIONS,
    **_MOVES,
    **SORTS,
    **dict.fromkeys([*FUNCTIONS, *WITH_PARAMETERS], _elementwise),
    **dict.fromkeys(FOLDS, _fold),
    **dict.fromkeys([*ACCUMULATIONS, "cumlogsumexp"], _accumulate),
    **dict.fromkeys(SCATTERS, _scatter),
    "dot_general": _dot,
}
OF_BOOLEANS = frozenset("and eq ne not or reduce_and reduce_or select_n xor".split()) | CONVERSIONS.keys() | _MOVES.keys()
"""The operations on booleans of which some are undecided."""
