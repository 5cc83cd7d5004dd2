"""How the devices of a ``jax.shard_map`` hold a value, and how one form becomes another.

Devices are rows of a mesh with named axes. Along an axis, all devices hold the same, or blocks of one array, or a summand of
one array, or unlike arrays, which are stacked along a leading dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Literal

from crosscheck._shadow.devices.sharing import Sharing
from crosscheck._shadow.devices.splicing import Atom, Writer

Axes = tuple[str, ...]
Shards = Mapping[int, Axes]
"""For each dimension of a device's array that is a block, the axes of the mesh, the slowest first."""


@dataclass(frozen=True)
class Held:
    """The arrays of all devices, as one array.

    Attributes:
        atom: That array: first a dimension for each axis in ``lead``, then those of a device's array. A dimension in blocks
            has the blocks of all devices.
        shape: The shape of a device's array.
        lead: The axes of the mesh along which the devices' arrays are stacked, in the order of the mesh.
        shards: The dimensions in blocks.
        open: The axes along which each device holds a summand; ``atom`` is the sum.
        summands: Gives the same value with these open axes in ``lead``.
        origin: The operation that computed the summands.
        number: The axes along which it is the number of each device; none if it is something else.
    """

    atom: Atom
    shape: tuple[int, ...]
    lead: Axes = ()
    shards: Shards = field(default_factory=dict)
    open: frozenset[str] = frozenset()
    summands: Callable[[frozenset[str]], Held] | None = None
    origin: Any = None
    number: Axes = ()

    @property
    def axes(self) -> frozenset[str]:
        """The axes along which devices hold different arrays."""
        return frozenset(self.lead).union(self.open, *self.shards.values())

    @property
    def layout(self) -> tuple[Axes, tuple[tuple[int, Axes], ...]]:
        """How it is held, without open axes."""
        return self.lead, tuple(sorted(self.shards.items()))

    def dimension(self, axis: str) -> int | None:
        """The dimension that is in blocks along an axis."""
        return next((dimension for dimension, axes in self.shards.items() if axis in axes), None)


class Layouts:
    """Changes how values are held, by writing equations.

    Attributes:
        sizes: The axes of the meshes inside of which the program is, with their sizes, in order.
        writer: The program that is written.
        sharing: What is done otherwise than the program says.
    """

    def __init__(self, writer: Writer, sharing: Sharing) -> None:
        self.writer, self.sharing = writer, sharing
        self.sizes: dict[str, int] = {}
        self._apart: dict[Any, Held] = {}
        """What is stacked already; without it, operands of operands would be computed again and again."""

    def of(self, axes: Iterable[str]) -> int:
        """The number of devices along axes."""
        return prod(self.sizes[axis] for axis in axes)

    def ordered(self, axes: Collection[str]) -> Axes:
        """Axes in the order of the mesh."""
        return tuple(axis for axis in self.sizes if axis in axes)

    def whole_shape(self, shape: Iterable[int], shards: Shards, lead: Iterable[str] = ()) -> tuple[int, ...]:
        """The shape of an array of all devices."""
        blocks = (size * self.of(shards.get(dimension, ())) for dimension, size in enumerate(shape))
        return (*(self.sizes[axis] for axis in lead), *blocks)

    def settled(self, x: Held) -> Held:
        """The value as an operation takes it that does not add up summands: each device has its own."""
        if not x.open:
            return x
        axes = self.ordered(x.open)
        option = self.sharing.option(x.origin, "open", axes, self.of(axes), ("psum", "pmean"))
        if not option:
            return self.summands(x, x.open)
        whole = replace(x, open=frozenset(), summands=None)
        return self.divided(whole, self.of(axes)) if option == "pmean" else whole

    def divided(self, x: Held, by: float) -> Held:
        """The value, divided by a number."""
        (atom,) = self.writer.call(lambda a: a / jnp.asarray(by, a.dtype), x.atom)
        return replace(x, atom=atom)

    def summands(self, x: Held, axes: Collection[str]) -> Held:
        """The value with these open axes stacked."""
        wanted = x.open & frozenset(axes)
        if not wanted:
            return x
        assert x.summands is not None
        key = x.summands, wanted
        if key not in self._apart:
            self._apart[key] = x.summands(wanted)
        return self._apart[key]

    def stacked(self, x: Held, axes: Collection[str]) -> Held:
        """The value with these axes stacked, as far as devices hold different arrays along them."""
        x = self.summands(x, axes)
        moved = [axis for axis in self.sizes if axis in axes and x.dimension(axis) is not None]
        if not moved:
            return x
        lead = self.ordered({*x.lead, *moved})
        shards = {d: tuple(a for a in of if a not in moved) for d, of in x.shards.items()}
        shards = {d: of for d, of in shards.items() if of}
        split: list[int] = [self.sizes[axis] for axis in x.lead]
        names: list[Any] = list(x.lead)
        for d, size in enumerate(x.shape):
            split += [*(self.sizes[axis] for axis in x.shards.get(d, ())), size]
            names += [*x.shards.get(d, ()), d]
        order = [names.index(axis) for axis in lead] + [k for k, name in enumerate(names) if name not in lead]
        shape = self.whole_shape(x.shape, shards, lead)
        (atom,) = self.writer.call(lambda a: a.reshape(split).transpose(order).reshape(shape), x.atom)
        return self._changed(x, axes, atom=atom, lead=lead, shards=shards)

    def _changed(self, x: Held, axes: Collection[str], **changes: Any) -> Held:
        """A value that is held in another way; along axes that are still open, its summands are too."""
        made = replace(x, **changes)
        if not made.open:
            return replace(made, summands=None)
        return replace(made, summands=lambda wanted: self.stacked(self.summands(x, wanted), axes))

    def everywhere(self, x: Held, axes: Collection[str]) -> Held:
        """The value stacked along all of these axes, also where all devices hold the same."""
        x = self.stacked(x, axes)
        missing = [axis for axis in self.ordered(axes) if axis not in x.lead]
        if not missing:
            return x
        lead = self.ordered({*x.lead, *missing})
        shape = self.whole_shape(x.shape, x.shards, lead)
        rank = len(shape) - len(lead)
        dimensions = (*(lead.index(axis) for axis in x.lead), *range(len(lead), len(lead) + rank))
        (atom,) = self.writer.call(lambda a: lax.broadcast_in_dim(a, shape, dimensions), x.atom)
        return replace(x, atom=atom, lead=lead)

    def in_blocks(self, x: Held, dimension: int, axes: Axes) -> Held:
        """The value as blocks along a dimension: the devices' arrays are joined there, the first axis slowest."""
        if x.shards.get(dimension, ()) == axes:
            return x
        x = self.everywhere(x, axes)
        assert dimension not in x.shards
        lead = tuple(axis for axis in x.lead if axis not in axes)
        at = len(lead) + dimension
        order = [*(x.lead.index(axis) for axis in lead)]
        order += range(len(x.lead), len(x.lead) + dimension)
        order += (x.lead.index(axis) for axis in axes)
        order += range(len(x.lead) + dimension, len(x.lead) + len(x.shape))
        shards = {**x.shards, dimension: axes}
        shape = self.whole_shape(x.shape, shards, lead)
        assert at < len(shape) or not x.shape
        (atom,) = self.writer.call(lambda a: a.transpose(order).reshape(shape), x.atom)
        return replace(x, atom=atom, lead=lead, shards=shards)

    def tiled(self, x: Held, dimension: int, axes: Axes) -> Held:
        """A value that all devices along some of the axes hold, as blocks along all of them: equal ones along those."""
        there = x.shards.get(dimension, ())
        if there == axes:
            return x
        before = self.whole_shape(x.shape, x.shards, x.lead)
        at = len(x.lead) + dimension
        maker = self.writer.maker(x.atom)
        if maker and maker.primitive.name == "broadcast_in_dim" and at not in maker.params["broadcast_dimensions"]:
            wide = (*before[:at], x.shape[dimension] * self.of(axes), *before[at + 1 :])
            like = jax.ShapeDtypeStruct(wide, x.atom.aval.dtype)
            (atom,) = self.writer.equation(maker.primitive, maker.invars, {**maker.params, "shape": wide}, [like])
            return replace(x, atom=atom, shards={**x.shards, dimension: axes})
        size = x.shape[dimension]
        split = [*before[:at], *(self.sizes[a] if a in there else 1 for a in axes), size, *before[at + 1 :]]
        full = [*before[:at], *(self.sizes[a] for a in axes), size, *before[at + 1 :]]
        shape = [*before[:at], size * self.of(axes), *before[at + 1 :]]
        (atom,) = self.writer.call(lambda a: jnp.broadcast_to(a.reshape(split), full).reshape(shape), x.atom)
        return replace(x, atom=atom, shards={**x.shards, dimension: axes})

    def first(self, x: Held, axes: Collection[str]) -> Held:
        """What the first device along these axes holds."""
        x = self.stacked(x, axes)
        taken = [k for k, axis in enumerate(x.lead) if axis in axes]
        if not taken:
            return x

        def of_first(a: Any) -> Any:
            for k in reversed(taken):
                a = lax.index_in_dim(a, 0, k, keepdims=False)
            return a

        (atom,) = self.writer.call(of_first, x.atom)
        return replace(x, atom=atom, lead=tuple(axis for axis in x.lead if axis not in axes))

    def is_zero(self, x: Held) -> bool:
        """Whether it is 0 everywhere, as the program shows."""
        atom = x.atom
        while maker := self.writer.maker(atom):
            if maker.primitive.name not in ("broadcast_in_dim", "convert_element_type", "pjit", "jit"):
                return False
            atom = maker.invars[0]
        return isinstance(atom, Literal) and not atom.val
