"""What the devices of a mesh do together, as operations on the arrays of all devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from jax import lax

from crosscheck._records.errors import UsageError
from crosscheck._shadow.devices.layouts import Axes, Held, Layouts

NAMES = {
    "all_gather_invariant": "all_gather",
    "all_gather_reduced": "all_gather",
    "pbroadcast": "pbroadcast",
    "preduced": "pvary",
    "psum_invariant": "psum",
    "unreduced_psum": "psum",
    "unreduced_reduce_scatter": "reduce_scatter",
    "vary_unreduced_cast_p": "pvary",
}
"""Primitives with another name, or with other types, for what one of ``COLLECTIVES`` computes."""


def axes_of(equation: Any) -> Axes:
    """The axes of the mesh along which an equation exchanges values."""
    params = equation.params
    axes = params.get("axes", params.get("axis_name", ()))
    return tuple(axis for axis in (axes if isinstance(axes, tuple | list) else (axes,)) if not isinstance(axis, int))


def name_of(equation: Any) -> str:
    """The name of a collective, as users call it; empty for other operations."""
    name = NAMES.get(equation.primitive.name, equation.primitive.name)
    return name if name in COLLECTIVES else ""


def collective(equation: Any, xs: Sequence[Held], layouts: Layouts) -> list[Held]:
    """The results of a collective.

    Raises:
        UsageError: If groups of devices exchange values among themselves.
    """
    name = name_of(equation)
    if equation.params.get("axis_index_groups") is not None:
        raise UsageError(
            f"JAX's function calls {name} with axis_index_groups, expected none; give the mesh another axis, so that each "
            f"group is one row of it"
        )
    # along an axis of size 1, there is one device
    axes = tuple(axis for axis in axes_of(equation) if layouts.sizes[axis] > 1)
    if name == "axis_index":
        return [_number(equation, axes_of(equation), axes, layouts)]
    if not axes or name == "pvary":
        return [COLLECTIVES[name](equation.params, x, axes, layouts) for x in xs]
    option = layouts.sharing.option(equation, name, axes, layouts.of(axes), options(name, equation, xs[0], axes, layouts))
    return [replace(_edited(option, name, equation, x, axes, layouts), number=()) for x in xs]


def options(name: str, equation: Any, x: Held, axes: Axes, layouts: Layouts) -> list[str]:
    """What else could be done in place of a collective."""
    others = [axis for axis, size in layouts.sizes.items() if size > 1 and axis not in axes]
    dimensions = [str(d) for d in range(len(equation.invars[0].aval.shape))]
    if name in ("psum", "pmax", "pmin"):
        ways = ["sum", "average"]
        if name == "psum":  # what all devices hold alike is not to be added up
            ways = ["none", "mean", "times"] if x.axes.isdisjoint(axes) else ["mean", "times", "none"]
        return [*ways, *(f"over {axis}" for axis in others)]
    if name == "reduce_scatter":
        return ["mean", "times", *(f"along {d}" for d in dimensions if int(d) != equation.params["scatter_dimension"])]
    if name == "all_gather":
        return ["none", *(f"along {d}" for d in dimensions if int(d) != equation.params["all_gather_dimension"])]
    return ["reversed", "none", *_other_ways(equation.params["perm"], layouts.of(axes))] if name == "ppermute" else []


def _other_ways(perm: Sequence[tuple[int, int]], count: int) -> list[str]:
    """To which other devices each one could send: around or not, or further."""
    around = [pair for pair in perm if abs(pair[1] - pair[0]) == count - 1]
    steps = {(to - source) % count for source, to in perm}
    if count < 3 or len(steps) != 1:
        return []
    (step,) = steps
    if len(perm) == count - 1 and not around and step in (1, count - 1):
        return ["closed"]
    ways = ["open"] if around and step in (1, count - 1) else []
    return ways + [f"by {other}" for other in range(1, count) if other not in (step, count - step)] * (len(perm) == count)


def _ways(option: str, perm: Sequence[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """The pairs of devices with one of the options of ``ppermute``."""
    if option == "reversed":
        return [(to, source) for source, to in perm]
    if option == "open":
        return [pair for pair in perm if abs(pair[1] - pair[0]) != count - 1]
    step = int(option.removeprefix("by ")) if option.startswith("by ") else (perm[0][1] - perm[0][0]) % count
    return [(k, (k + step) % count) for k in range(count)]


def _number(equation: Any, named: Axes, axes: Axes, layouts: Layouts) -> Held:
    """The number of each device, or another one."""
    if not axes:
        return _index(equation, named, layouts)
    count = layouts.of(axes)
    others = [f"over {axis}" for axis, size in layouts.sizes.items() if size > 1 and axis not in axes]
    ways = [*others, *dict.fromkeys(["by 1", f"by {count - 1}"])]
    option = layouts.sharing.option(equation, "axis_index", axes, count, ways, own=True)
    if option.startswith("over "):
        return _index(equation, (option.removeprefix("over "),), layouts)
    x = _index(equation, named, layouts)
    if not option:
        return x
    (atom,) = layouts.writer.call(lambda a: (a + int(option.removeprefix("by "))) % count, x.atom)
    return replace(x, atom=atom)


def _edited(option: str, name: str, equation: Any, x: Held, axes: Axes, layouts: Layouts) -> Held:
    """What the collective gives, with one of its options."""
    params, run = dict(equation.params), COLLECTIVES[name]
    shape = equation.outvars[0].aval.shape
    if option.startswith("over "):
        return run(params, x, (option.removeprefix("over "),), layouts)
    if option.startswith("along "):
        params["all_gather_dimension" if name == "all_gather" else "scatter_dimension"] = int(option.removeprefix("along "))
    if name == "ppermute" and option not in ("", "none"):
        params["perm"] = _ways(option, params["perm"], layouts.of(axes))
    if option in ("sum", "average"):
        x = added(x, axes, layouts)
        return x if option == "sum" else layouts.divided(layouts.settled(x), layouts.of(axes))
    if option == "none":
        if name == "all_gather":  # each device has its own block, as often as there are devices
            return _repeated(params, layouts.settled(x), layouts.of(axes), layouts)
        return layouts.summands(x, axes)
    result = run(params, x, axes, layouts)
    if option in ("mean", "times"):
        count = layouts.of(axes)
        return layouts.divided(layouts.settled(result), count if option == "mean" else 1 / count)
    return result if result.shape == shape else _reshaped(result, shape, layouts)


def _reshaped(x: Held, shape: tuple[int, ...], layouts: Layouts) -> Held:
    """The value in another shape of as many numbers."""
    x = layouts.stacked(x, {axis for axes in x.shards.values() for axis in axes})
    (atom,) = layouts.writer.call(lambda a: a.reshape(*a.shape[: len(x.lead)], *shape), x.atom)
    return replace(x, atom=atom, shape=shape)


def _repeated(params: Mapping[str, Any], x: Held, count: int, layouts: Layouts) -> Held:
    dimension = params["all_gather_dimension"]
    x = layouts.stacked(x, {axis for axes in x.shards.values() for axis in axes})
    at = len(x.lead) + dimension

    def function(a: Any) -> Any:
        parts = [a] * count
        return jnp.concatenate(parts, at) if params["tiled"] else jnp.stack(parts, at)

    (atom,) = layouts.writer.call(function, x.atom)
    return replace(x, atom=atom, shape=tuple(atom.aval.shape[len(x.lead) :]))


def _index(equation: Any, axes: Axes, layouts: Layouts) -> Held:
    """The number of each device along axes, the first of which is the slowest."""
    lead = layouts.ordered([axis for axis in axes if layouts.sizes[axis] > 1])
    shape = [layouts.sizes[axis] for axis in lead]
    dtype = equation.outvars[0].aval.dtype

    def numbers() -> Any:
        index = jnp.zeros(shape, dtype)
        for axis in axes:
            index = index * layouts.sizes[axis]
            if axis in lead:
                index = index + lax.broadcasted_iota(dtype, shape, lead.index(axis))
        return index

    (atom,) = layouts.writer.call(numbers)
    return Held(atom, (), lead, number=lead)


def _same(params: Mapping[str, Any], x: Held, axes: Axes, layouts: Layouts) -> Held:
    return x


def _reduced(function: Callable[..., Any], *, summed: bool = False) -> Callable[..., Held]:
    def reduction(params: Mapping[str, Any], x: Held, axes: Axes, layouts: Layouts) -> Held:
        along = tuple(dimension for dimension in params["axes"] if isinstance(dimension, int))
        if along:  # what vmap over the axis of a collective makes of it
            x = layouts.stacked(layouts.settled(x), {axis for d in along for axis in x.shards.get(d, ())})
            places = tuple(len(x.lead) + dimension for dimension in along)
            (atom,) = layouts.writer.call(lambda a: function(a, places), x.atom)
            kept = [d for d in range(len(x.shape)) if d not in along]
            shards = {k: x.shards[d] for k, d in enumerate(kept) if d in x.shards}
            x = replace(x, atom=atom, shape=tuple(x.shape[d] for d in kept), shards=shards)
        return added(x, axes, layouts) if summed else _over(function, layouts.settled(x), axes, layouts)

    return reduction


def _over(function: Callable[..., Any], x: Held, axes: Axes, layouts: Layouts) -> Held:
    x = layouts.stacked(x, axes)
    places = tuple(x.lead.index(axis) for axis in axes if axis in x.lead)
    if not places:
        return x
    (atom,) = layouts.writer.call(lambda a: function(a, places), x.atom)
    return replace(x, atom=atom, lead=tuple(axis for axis in x.lead if axis not in axes))


def added(x: Held, axes: Axes, layouts: Layouts) -> Held:
    """The sum of what the devices along these axes hold."""
    there = x
    left = tuple(axis for axis in axes if axis not in x.open)
    opened = x.open - frozenset(axes)
    x = replace(x, open=opened)
    if left:
        # those that all devices hold alike count as often as there are devices
        unlike = replace(x, open=frozenset(), summands=None)
        times = layouts.of(axis for axis in left if axis not in unlike.axes)
        x = replace(_over(lax.reduce_sum, unlike, left, layouts), open=opened)
        if times > 1:
            (atom,) = layouts.writer.call(lambda a: a * jnp.asarray(times, a.dtype), x.atom)
            x = replace(x, atom=atom)
    if not opened:
        return replace(x, summands=None)
    return replace(x, summands=lambda wanted: added(layouts.summands(there, wanted), axes, layouts))


def _gathered(params: Mapping[str, Any], x: Held, axes: Axes, layouts: Layouts) -> Held:
    dimension, tiled = params["all_gather_dimension"], params["tiled"]
    x = layouts.settled(x)
    if tiled:
        there = x.shards.get(dimension, ())
        others = tuple(axis for axis in there if axis not in axes)
        if there != (*others, *axes):
            x = layouts.in_blocks(layouts.stacked(x, {*axes, *others}), dimension, (*others, *axes))
        shape = tuple(size * layouts.of(axes) if d == dimension else size for d, size in enumerate(x.shape))
        return replace(x, shape=shape, shards={**_without(x, dimension), **({dimension: others} if others else {})})
    x = layouts.everywhere(x, axes)
    lead = tuple(axis for axis in x.lead if axis not in axes)
    at = len(lead) + dimension
    rest = [k for k, axis in enumerate(x.lead) if axis in lead] + list(range(len(x.lead), len(x.lead) + len(x.shape)))
    order = [*rest[:at], *(x.lead.index(axis) for axis in axes), *rest[at:]]
    shards = {d + (d >= dimension): of for d, of in x.shards.items()}
    shape = (*x.shape[:dimension], layouts.of(axes), *x.shape[dimension:])
    whole = layouts.whole_shape(shape, shards, lead)
    (atom,) = layouts.writer.call(lambda a: a.transpose(order).reshape(whole), x.atom)
    return Held(atom, shape, lead, shards)


def _without(x: Held, dimension: int) -> dict[int, Axes]:
    return {d: axes for d, axes in x.shards.items() if d != dimension}


def _sum_scattered(params: Mapping[str, Any], x: Held, axes: Axes, layouts: Layouts) -> Held:
    dimension = params["scatter_dimension"]
    x = layouts.settled(added(x, axes, layouts))
    if not axes:
        return _one_block(params, x, dimension, layouts)
    outer = x.shards.get(dimension, ())
    size = x.shape[dimension] // layouts.of(axes)
    shape = tuple(size if d == dimension else length for d, length in enumerate(x.shape))
    x = replace(x, shape=shape, shards={**x.shards, dimension: (*outer, *axes)})
    if params["tiled"]:
        return x
    x = layouts.stacked(x, axes)
    return _one_block(params, x, dimension, layouts)


def _one_block(params: Mapping[str, Any], x: Held, dimension: int, layouts: Layouts) -> Held:
    """Remove a dimension of size 1, unless it is to be kept."""
    if params["tiled"]:
        return x
    x = layouts.stacked(x, x.shards.get(dimension, ()))
    (atom,) = layouts.writer.call(lambda a: lax.squeeze(a, [len(x.lead) + dimension]), x.atom)
    shards = {d - (d > dimension): of for d, of in x.shards.items()}
    return replace(x, atom=atom, shape=(*x.shape[:dimension], *x.shape[dimension + 1 :]), shards=shards)


def _all_to_all(params: Mapping[str, Any], x: Held, axes: Axes, layouts: Layouts) -> Held:
    split, concat = params["split_axis"], params["concat_axis"]
    count = layouts.of(axes)
    x = layouts.settled(x)
    if not axes:
        return x
    if split == concat:
        x = layouts.everywhere(layouts.stacked(x, x.shards.get(split, ())), axes)
        at, rank = [x.lead.index(axis) for axis in axes], len(x.lead)
        sizes = [layouts.sizes[axis] for axis in axes]

        def exchanged(a: Any) -> Any:
            shape = a.shape
            a = a.reshape(*shape[: rank + split], *sizes, -1, *shape[rank + split + 1 :])
            for k, place in enumerate(at):
                a = jnp.swapaxes(a, place, rank + split + k)
            return a.reshape(shape)

        (atom,) = layouts.writer.call(exchanged, x.atom)
        return replace(x, atom=atom)
    if x.shards.get(concat, ())[-len(axes) :] != axes:
        outer = tuple(axis for axis in x.shards.get(concat, ()) if axis not in axes)
        x = layouts.in_blocks(layouts.stacked(x, {*axes, *outer}), concat, (*outer, *axes))
    outer = x.shards[concat][: -len(axes)]
    shards = {**_without(x, concat), **({concat: outer} if outer else {})}
    shards[split] = (*shards.get(split, ()), *axes)
    shape = list(x.shape)
    shape[concat] *= count
    shape[split] //= count
    return replace(x, shape=tuple(shape), shards=shards)


def _permuted(params: Mapping[str, Any], x: Held, axes: Axes, layouts: Layouts) -> Held:
    x = layouts.settled(x)
    pairs = {to: source for source, to in params["perm"]}
    count = layouts.of(axes)
    if not (x.axes & frozenset(axes)) and len(pairs) == count:
        return x
    before = next((d for d, of in x.shards.items() if of == axes), None)
    x = layouts.everywhere(x, axes)
    first = [x.lead.index(axis) for axis in axes]

    def moved(a: Any) -> Any:
        a = jnp.moveaxis(a, first, range(len(first)))
        rest = a.shape[len(first) :]
        a = a.reshape((count, *rest))
        blocks = [a[pairs[k] : pairs[k] + 1] if k in pairs else jnp.zeros((1, *rest), a.dtype) for k in range(count)]
        a = lax.concatenate(blocks, 0).reshape(*(layouts.sizes[axis] for axis in axes), *rest)
        return jnp.moveaxis(a, range(len(first)), first)

    (atom,) = layouts.writer.call(moved, x.atom)
    x = replace(x, atom=atom)
    return x if before is None else layouts.in_blocks(x, before, axes)


def _from_one(params: Mapping[str, Any], x: Held, axes: Axes, layouts: Layouts) -> Held:
    x = layouts.stacked(layouts.settled(x), axes)
    places = [k for k, axis in enumerate(x.lead) if axis in axes]
    if not places:
        return x
    (axis,) = axes
    (atom,) = layouts.writer.call(lambda a: lax.index_in_dim(a, params["source"], places[0], keepdims=False), x.atom)
    return replace(x, atom=atom, lead=tuple(other for other in x.lead if other != axis))


COLLECTIVES: dict[str, Callable[[Mapping[str, Any], Held, Axes, Layouts], Held]] = {
    "all_gather": _gathered,
    "all_to_all": _all_to_all,
    "axis_index": _same,
    "pbroadcast": _from_one,
    "pmax": _reduced(lax.reduce_max),
    "pmin": _reduced(lax.reduce_min),
    "ppermute": _permuted,
    "psum": _reduced(lax.reduce_sum, summed=True),
    "pvary": _same,
    "reduce_scatter": _sum_scattered,
}
"""What each collective gives, from its parameters, its operand, the axes of more than one device, and the layouts."""
