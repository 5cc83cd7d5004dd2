"""Operations on arrays in blocks: when each device does its part of one on whole arrays, and what are its blocks."""

# ruff: noqa: SIM905 - a list would take a line a name

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from crosscheck._shadow.devices.layouts import Axes, Held, Layouts, Shards

ELEMENTWISE = frozenset(
    """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp clz complex conj
    convert_element_type copy copy_p cos cosh device_put digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt igamma
    igammac imag integer_pow is_finite le lgamma log log1p logistic lt max min mul name ne neg nextafter not or
    polygamma population_count pow real reduce_precision rem round rsqrt select_n shift_left shift_right_arithmetic
    shift_right_logical sign sin sinh sqrt square stop_gradient sub tan tanh threefry2x32 xor
    """.split()
)
"""Operations that treat each number alike, wherever it is."""
REDUCTIONS = frozenset(
    ["argmax", "argmin", "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_prod", "reduce_sum", "reduce_xor"]
)
ALONG = {"cumlogsumexp": "axis", "cummax": "axis", "cummin": "axis", "cumprod": "axis", "cumsum": "axis"}
ALONG |= {"concatenate": "dimension", "sort": "dimension", "split": "axis"}
"""Operations along one dimension, and the parameter that names it."""


class UnlikeError(Exception):
    """Along these axes of the mesh, the devices do not do their parts of one operation."""

    def __init__(self, axes: Iterable[str]) -> None:
        super().__init__(axes)
        self.axes = frozenset(axes)


@dataclass
class Placed:
    """An operation on whole arrays.

    Attributes:
        operands: Its operands.
        params: Its parameters.
        shards: For each result, its blocks.
        open: The axes along which each device computes a summand.
    """

    operands: Sequence[Held]
    params: Mapping[str, Any]
    shards: Sequence[Shards]
    open: frozenset[str] = field(default_factory=frozenset)


def placed(equation: Any, xs: Sequence[Held], layouts: Layouts) -> Placed:
    """What all devices do together in an equation.

    Raises:
        UnlikeError: If that is not one operation on whole arrays.
    """
    params: dict[str, Any] = {
        name: None if name in ("sharding", "out_sharding") else value for name, value in equation.params.items()
    }
    name = equation.primitive.name
    if not any(x.shards for x in xs):
        return Placed(xs, params, [{} for _ in equation.outvars])
    if name in ELEMENTWISE:
        return _alike(equation, xs, layouts, params)
    if name in ALONG:
        rank = len(xs[0].shape)
        return _alike(equation, xs, layouts, params, {params[ALONG[name]] % rank if rank else 0})
    if name in REDUCTIONS:
        return _reduced(equation, xs[0], params)
    if name in _RULES:
        return _RULES[name](equation, xs, layouts, params)
    raise UnlikeError(axis for x in xs for axes in x.shards.values() for axis in axes)


def _moved(shards: Shards, places: Mapping[int, int]) -> Shards:
    """The blocks of a result whose dimensions are those of an operand in other places."""
    if lost := [axis for dimension, axes in shards.items() if dimension not in places for axis in axes]:
        raise UnlikeError(lost)
    return {places[dimension]: axes for dimension, axes in shards.items()}


def _alike(
    equation: Any, xs: Sequence[Held], layouts: Layouts, params: Mapping[str, Any], without: Collection[int] = ()
) -> Placed:
    arrays = [x for x in xs if x.shape]
    target: dict[int, Axes] = {}
    unlike: set[str] = set()
    for x in arrays:
        for d, axes in x.shards.items():
            if d in without or (x.shape[d] == 1 and any(len(y.shape) > d and y.shape[d] > 1 for y in arrays)):
                unlike |= set(axes)
            elif len(axes) > len(target.get(d, ())):
                target[d] = axes
    for x in arrays:
        for d, axes in x.shards.items():
            if [axis for axis in target.get(d, ()) if axis in axes] != list(axes):
                unlike |= {*axes, *target.get(d, ())}
    every = [axis for axes in target.values() for axis in axes]
    unlike |= {axis for axis in every if every.count(axis) > 1}
    if unlike:
        raise UnlikeError(unlike)
    operands = list(xs)
    for d, axes in target.items():
        wide = any(x.shape[d] > 1 for x in arrays)
        # a dimension of size 1 is broadcast
        operands = [layouts.tiled(x, d, axes) if x.shape and (x.shape[d] > 1 or not wide) else x for x in operands]
    return Placed(operands, params, [target for _ in equation.outvars])


def _reduced(equation: Any, x: Held, params: Mapping[str, Any]) -> Placed:
    axes = {axis % len(x.shape) for axis in params["axes"]}
    kept = [d for d in range(len(x.shape)) if d not in axes]
    shards = dict(x.shards)
    summed = [axis for d in axes for axis in shards.pop(d, ())] if equation.primitive.name == "reduce_sum" else []
    kept_shards = _moved(shards, {d: k for k, d in enumerate(kept)})
    return Placed([x], params, [kept_shards], frozenset(summed))


def _transposed(equation: Any, xs: Sequence[Held], layouts: Layouts, params: Mapping[str, Any]) -> Placed:
    return Placed(xs, params, [_moved(xs[0].shards, {d: k for k, d in enumerate(params["permutation"])})])


def _squeezed(equation: Any, xs: Sequence[Held], layouts: Layouts, params: Mapping[str, Any]) -> Placed:
    gone = {dimension % len(xs[0].shape) for dimension in params["dimensions"]}
    kept = [d for d in range(len(xs[0].shape)) if d not in gone]
    return Placed(xs, params, [_moved(xs[0].shards, {d: k for k, d in enumerate(kept)})])


def _broadcast(equation: Any, xs: Sequence[Held], layouts: Layouts, params: Mapping[str, Any]) -> Placed:
    (x, *_), shape = xs, params["shape"]
    places = {d: k for d, k in enumerate(params["broadcast_dimensions"]) if x.shape[d] == shape[k]}
    shards = _moved(x.shards, places)
    return Placed(xs, {**params, "shape": layouts.whole_shape(shape, shards)}, [shards])


def _reshaped(equation: Any, xs: Sequence[Held], layouts: Layouts, params: Mapping[str, Any]) -> Placed:
    (x, *_), shape = xs, params["new_sizes"]
    places = {}
    for d in x.shards:
        # behind equal numbers of rows, the devices' blocks are the slowest part of what is left, in any shape
        at = [k for k in range(len(shape)) if prod(shape[:k]) == prod(x.shape[:d])]
        if at:
            places[d] = next((k for k in at if shape[k] > 1), at[0]) if x.shape[d] > 1 else at[0]
    shards = _moved(x.shards, places)
    if len(shards) < len(x.shards):
        raise UnlikeError(x.axes)
    return Placed(xs, {**params, "new_sizes": layouts.whole_shape(shape, shards), "dimensions": None}, [shards])


def _sliced(equation: Any, xs: Sequence[Held], layouts: Layouts, params: Mapping[str, Any]) -> Placed:
    (x, *_), strides = xs, params["strides"] or (1,) * len(xs[0].shape)
    places = {d: d for d, size in enumerate(equation.outvars[0].aval.shape) if size == x.shape[d] and strides[d] == 1}
    shards = _moved(x.shards, places)
    return Placed(xs, {**params, "limit_indices": layouts.whole_shape(params["limit_indices"], shards)}, [shards])


def _padded(equation: Any, xs: Sequence[Held], layouts: Layouts, params: Mapping[str, Any]) -> Placed:
    places = {d: d for d, padding in enumerate(params["padding_config"]) if not any(padding)}
    return Placed(xs, params, [_moved(xs[0].shards, places)])


def _reversed(equation: Any, xs: Sequence[Held], layouts: Layouts, params: Mapping[str, Any]) -> Placed:
    places = {d: d for d in range(len(xs[0].shape)) if d not in params["dimensions"]}
    return Placed(xs, params, [_moved(xs[0].shards, places)])


def _dynamically_sliced(equation: Any, xs: Sequence[Held], layouts: Layouts, params: Mapping[str, Any]) -> Placed:
    sizes = params["slice_sizes"]
    shards = _moved(xs[0].shards, {d: d for d, size in enumerate(sizes) if size == xs[0].shape[d]})
    return Placed(xs, {**params, "slice_sizes": layouts.whole_shape(sizes, shards)}, [shards])


def _dynamically_updated(equation: Any, xs: Sequence[Held], layouts: Layouts, params: Mapping[str, Any]) -> Placed:
    whole, part, *starts = xs
    without = {d for d, size in enumerate(part.shape) if size != whole.shape[d]}
    made = _alike(equation, [whole, part], layouts, params, without)
    return Placed([*made.operands, *starts], params, made.shards)


def _product(equation: Any, xs: Sequence[Held], layouts: Layouts, params: Mapping[str, Any]) -> Placed:
    (contracted, batch), (left, right) = params["dimension_numbers"], xs
    unlike: set[str] = set()
    for pairs in (contracted, batch):
        for i, j in zip(*pairs, strict=True):
            if left.shards.get(i, ()) != right.shards.get(j, ()):
                unlike |= {*left.shards.get(i, ()), *right.shards.get(j, ())}
    free = [[d for d in range(len(x.shape)) if d not in (*contracted[k], *batch[k])] for k, x in enumerate(xs)]
    along = [{axis for d in free[k] for axis in x.shards.get(d, ())} for k, x in enumerate(xs)]
    unlike |= along[0] & along[1]
    if unlike:
        raise UnlikeError(unlike)
    dimensions = [*((left, d) for d in batch[0]), *((left, d) for d in free[0]), *((right, d) for d in free[1])]
    shards = {k: x.shards[d] for k, (x, d) in enumerate(dimensions) if d in x.shards}
    return Placed(xs, params, [shards], frozenset(axis for d in contracted[0] for axis in left.shards.get(d, ())))


def _convolved(equation: Any, xs: Sequence[Held], layouts: Layouts, params: Mapping[str, Any]) -> Placed:
    (left, right), numbers = xs, params["dimension_numbers"]
    lhs, rhs, out = numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec
    simple = params["feature_group_count"] == params["batch_group_count"] == 1
    summed = left.shards.get(lhs[1], ())
    if simple and summed == right.shards.get(rhs[1], ()):
        shards = dict(_moved({d: axes for d, axes in left.shards.items() if d != lhs[1]}, {lhs[0]: out[0]}))
        shards |= _moved({d: axes for d, axes in right.shards.items() if d != rhs[1]}, {rhs[0]: out[1]})
        every = [axis for axes in shards.values() for axis in axes]
        if len({*every, *summed}) < len(every) + len(summed):
            raise UnlikeError({*every, *summed})
        return Placed(xs, params, [shards], frozenset(summed))
    if params["batch_group_count"] == 1 and not right.shards:
        return Placed(xs, params, [_moved(left.shards, {lhs[0]: out[0]})])
    raise UnlikeError(left.axes | right.axes)


def _gathered(equation: Any, xs: Sequence[Held], layouts: Layouts, params: Mapping[str, Any]) -> Placed:
    (x, indices), numbers, sizes = xs, params["dimension_numbers"], params["slice_sizes"]
    rank = len(equation.outvars[0].aval.shape)
    apart = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    windows = [d for d in range(len(x.shape)) if d not in apart]
    whole = [d for d in windows if sizes[d] == x.shape[d] and d not in numbers.start_index_map]
    rows = [d for d in range(rank) if d not in numbers.offset_dims]
    pairs = list(zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True))
    if unlike := _unlike(x, indices, pairs):
        raise UnlikeError(unlike)
    by_windows = {d: numbers.offset_dims[windows.index(d)] for d in whole}
    by_windows |= {d: rows[k] for d, k in pairs}
    of_x = _moved(x.shards, by_windows)
    of_rows = _moved(indices.shards, dict(enumerate(rows)))
    if shared := _shared(of_x, of_rows):
        raise UnlikeError(shared)
    sizes = tuple(size * layouts.of(x.shards.get(d, ())) if d in whole else size for d, size in enumerate(sizes))
    return Placed(xs, {**params, "slice_sizes": sizes}, [{**of_x, **of_rows}])


def _scattered(equation: Any, xs: Sequence[Held], layouts: Layouts, params: Mapping[str, Any]) -> Placed:
    (x, indices, updates), numbers = xs, params["dimension_numbers"]
    apart = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    windows = [d for d in range(len(x.shape)) if d not in apart]
    rows = [d for d in range(len(updates.shape)) if d not in numbers.update_window_dims]
    pairs = list(zip(numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, strict=True))
    unlike = _unlike(x, indices, pairs) | _unlike(indices, updates, list(enumerate(rows)))
    window_pairs = list(zip(windows, numbers.update_window_dims, strict=True))
    whole = [d for d, u in window_pairs if x.shape[d] == updates.shape[u]]
    inside = {d: u for d, u in window_pairs if d in whole and d not in numbers.scatter_dims_to_operand_dims}
    if unlike:
        raise UnlikeError(unlike)
    x = next((layouts.tiled(x, d, updates.shards[u]) for d, u in inside.items() if u in updates.shards), x)
    if unlike := _unlike(x, updates, window_pairs):
        raise UnlikeError(unlike)
    _moved({d: axes for d, axes in x.shards.items() if d not in dict(pairs)}, {d: d for d in inside})
    batched = {k for _, k in pairs}
    summed = frozenset(axis for k, axes in indices.shards.items() if k not in batched for axis in axes)
    if summed and not (equation.primitive.name == "scatter-add" and layouts.is_zero(x)):
        raise UnlikeError(summed)
    return Placed([x, indices, updates], params, [x.shards], summed)


def _unlike(left: Held, right: Held, pairs: Iterable[tuple[int, int]]) -> set[str]:
    """The axes along which only one of two dimensions that belong together is in blocks."""
    blocks = [(left.shards.get(i, ()), right.shards.get(j, ())) for i, j in pairs]
    return {axis for first, second in blocks if first != second for axis in (*first, *second)}


def _shared(left: Shards, right: Shards) -> set[str]:
    """The axes for which two arrays have different dimensions in blocks."""
    places = [{axis: d for d, axes in shards.items() for axis in axes} for shards in (left, right)]
    return {axis for axis, d in places[0].items() if places[1].get(axis, d) != d}


_RULES: dict[str, Callable[[Any, Sequence[Held], Layouts, Mapping[str, Any]], Placed]] = {
    "broadcast_in_dim": _broadcast,
    "conv_general_dilated": _convolved,
    "dot_general": _product,
    "dynamic_slice": _dynamically_sliced,
    "dynamic_update_slice": _dynamically_updated,
    "gather": _gathered,
    "pad": _padded,
    "reshape": _reshaped,
    "rev": _reversed,
    "scatter": _scattered,
    "scatter-add": _scattered,
    "slice": _sliced,
    "squeeze": _squeezed,
    "transpose": _transposed,
}
