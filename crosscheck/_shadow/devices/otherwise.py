"""What a device could do otherwise in an operation of its own: take another block, be another device, send what it keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Literal

from crosscheck._shadow.devices.collectives import COLLECTIVES
from crosscheck._shadow.devices.layouts import Held, Layouts
from crosscheck._shadow.jax_equations import is_float

MOVED = frozenset(
    ["broadcast_in_dim", "concatenate", "copy", "dynamic_slice", "reshape", "rev", "slice", "squeeze", "tile", "transpose"]
)
"""Operations whose results are numbers that they are given, at other places."""
JOINED = frozenset(["concatenate", "select_n"])
"""Operations that put together what a device has and what it was sent."""
COUNTED = frozenset(["add", "iota", "sub"])
"""Operations that number things: labels, tokens, positions."""
REPEATED = frozenset(["broadcast_in_dim", "convert_element_type", "reshape", "squeeze"])
"""Operations that leave the number of a device what it is."""
NUMBERED = frozenset(["add", "eq", "mul", "ne", "sub"])
"""Operations with the number of a device that may have another operand instead."""
WAYS = ("ahead", "around", "back", "behind")
"""To which device each one sends: to the next, also the last one to the first, and the other way round."""


class Otherwise:
    """Offers other ways to compute an operation of each device, and takes the one that is asked for."""

    def __init__(self, layouts: Layouts) -> None:
        self.layouts = layouts
        self._before: dict[Any, tuple[Held, ...]] = {}

    def entering(self, equation: Any, x: Held, result: Any) -> Held:
        """An operand of a ``shard_map``, as its devices have it."""
        return self.drawn(equation, self.counted(equation, x, result=result), result)

    def given(self, equation: Any, xs: list[Held]) -> list[Held]:
        """The operands of an operation."""
        name, layouts = equation.primitive.name, self.layouts
        if name in JOINED:
            first = 1 if name == "select_n" else 0
            for axis in self._axes():
                held = [
                    k for k, x in enumerate(xs) if k >= first and axis in x.axes and len(xs) > 1 and is_float(x.atom.aval)
                ]
                ways = [f"{way} {k}" for k in held for way in WAYS]
                option = self._option(equation, "kept", axis, ways)
                if option:
                    way, _, place = option.rpartition(" ")
                    k = int(place)
                    x = layouts.settled(xs[k])
                    sent = COLLECTIVES["ppermute"]({"perm": pairs(way, layouts.of((axis,)))}, x, (axis,), layouts)
                    xs = [sent if number == k else x for number, x in enumerate(xs)]
                if name == "concatenate":
                    xs = self._in_order(equation, xs, held, axis)
        if name in NUMBERED and any(x.number for x in xs):
            xs = self._numbered(equation, name, xs)
        return xs

    def _in_order(self, equation: Any, xs: list[Held], held: Sequence[int], axis: str) -> list[Held]:
        """The operands of a concatenation, two of which may be exchanged."""
        ways = [f"swap {a} {b}" for a, b in combinations(held, 2) if xs[a].shape == xs[b].shape]
        option = self._option(equation, "joined", axis, ways)
        if not option:
            return xs
        a, b = map(int, option.split()[1:])
        return [xs[b] if k == a else xs[a] if k == b else x for k, x in enumerate(xs)]

    def _numbered(self, equation: Any, name: str, xs: list[Held]) -> list[Held]:
        """The operands of an operation with the number of each device."""
        at = next(k for k, x in enumerate(xs) if x.number)
        axes, other = xs[at].number, xs[1 - at]
        if len(axes) != 1 or other.number:
            return xs
        sizes, there = self._blocks(axes[0]), other.atom.val if isinstance(other.atom, Literal) else None
        if name in COUNTED:
            option = self._option(equation, "numbered", axes[0], [f"times {size}" for size in sizes])
            if option:
                by = int(option.split()[1])
                (atom,) = self.layouts.writer.call(lambda a: a * jnp.asarray(by, a.dtype), xs[at].atom)
                xs = [replace(x, atom=atom) if k == at else x for k, x in enumerate(xs)]
            return xs
        if there is None:
            return xs
        if name == "mul":
            option = self._option(equation, "numbered", axes[0], [f"times {size}" for size in sizes if size != there])
        else:
            option = self._option(
                equation, "compared", axes[0], [f"is {k}" for k in range(self.layouts.of(axes)) if k != there]
            )
        if not option:
            return xs
        value, dtype = int(option.split()[1]), other.atom.aval.dtype
        (atom,) = self.layouts.writer.call(lambda: jnp.asarray(value, dtype))
        return [x if k == at else replace(x, atom=atom) for k, x in enumerate(xs)]

    def made(self, equation: Any, xs: Sequence[Held], results: Sequence[Held]) -> list[Held]:
        """The results of an operation."""
        name, outputs = equation.primitive.name, list(results)
        if name in REPEATED and xs[0].number:
            outputs[0] = replace(outputs[0], number=xs[0].number)
        if len(outputs) != 1 or not self._axes():
            return outputs
        x = self.counted(
            equation, outputs[0], literal=name == "iota" or any(isinstance(operand.atom, Literal) for operand in xs)
        )
        x = self.drawn(equation, x)
        if name in ("slice", "dynamic_slice"):
            x = self._own_block(equation, xs[0], x)
        if name in MOVED:
            moved = [y for y in xs if not isinstance(y.atom, Literal)]
            earlier = tuple(source for y in moved for source in (*self._before.get(y.atom, ()), y))
            x = self._sent_to_all(equation, earlier, x)
            if not isinstance(x.atom, Literal):
                self._before[x.atom] = earlier
        return [x]

    def counted(self, equation: Any, x: Held, *, literal: bool = True, result: Any = None) -> Held:
        """Numbers of things, which are those of all devices, or those of a device's own block."""
        name = equation.primitive.name
        if not (literal and (name in COUNTED or result is not None) and jnp.issubdtype(x.atom.aval.dtype, jnp.integer)):
            return x
        for axis in self._axes():
            if axis in x.axes:
                continue
            sizes = self._blocks(axis)
            if name == "iota":
                ways = [f"plus {x.shape[equation.params['dimension']]}"]
            else:
                ways = [f"{way} {size}" for size in sizes for way in ("minus", "plus")]
            option = self._option(equation, "counted", axis, ways, result)
            if option:
                way, _, size = option.partition(" ")
                by = int(size) if way == "plus" else -int(size)
                x = self._for_each(lambda a, k, by=by: a + (k * by).astype(a.dtype), x, axis)
        return x

    def drawn(self, equation: Any, x: Held, result: Any = None) -> Held:
        """A key of random numbers, alike on all devices or not."""
        if not jnp.issubdtype(x.atom.aval.dtype, jax.dtypes.prng_key) or x.shape:
            return x
        for axis in self._axes():
            if axis not in x.axes and self._option(equation, "drawn", axis, ["apart"], result):
                x = self._for_each(jax.random.fold_in, x, axis)
        return x

    def _own_block(self, equation: Any, x: Held, result: Held) -> Held:
        """A part of an array, which may be the block of each device's own number."""
        for axis in self._axes():
            count = self.layouts.of((axis,))
            cut = [d for d, (before, after) in enumerate(zip(x.shape, result.shape, strict=True)) if before != after]
            if len(cut) != 1 or x.shape[cut[0]] != count * result.shape[cut[0]] or cut[0] in x.shards:
                continue
            if self._option(equation, "slice", axis, ["own"]):
                d, size = cut[0], result.shape[cut[0]]
                whole = self.layouts.settled(x)
                made = self._for_each(
                    lambda a, k, d=d, size=size: lax.dynamic_slice_in_dim(a, k * size, size, d), whole, axis
                )
                return replace(made, shape=result.shape)
        return result

    def _sent_to_all(self, equation: Any, earlier: Sequence[Held], result: Held) -> Held:
        """What comes of moving numbers about, where each device could have a block of every other one instead."""
        for axis in self._axes():
            count = self.layouts.of((axis,))
            ways = {
                f"sent {k} {s} {c}": (x, s, c) for k, x in enumerate(earlier) for s, c in exchanges(x, result, axis, count)
            }
            if axis in result.axes and result.atom.aval.ndim:
                ways |= {f"sent {d}": (result, d, d) for d, size in enumerate(result.shape) if size == count}
            option = self._option(equation, "sent", axis, list(ways))
            if option:
                x, split, concat = ways[option]
                params = {"split_axis": split, "concat_axis": concat}
                return COLLECTIVES["all_to_all"](params, self.layouts.settled(x), (axis,), self.layouts)
        return result

    def _for_each(self, function: Any, x: Held, axis: str) -> Held:
        """A function of each device's array and number."""
        layouts = self.layouts
        x = layouts.settled(x)
        x = layouts.everywhere(x, (axis, *x.axes))
        numbers = layouts.of((axis,))
        mapped, at = function, x.lead.index(axis)
        for k in reversed(range(len(x.lead))):
            mapped = jax.vmap(mapped, in_axes=(0, 0 if k == at else None))
        (atom,) = layouts.writer.call(lambda a: mapped(a, jnp.arange(numbers, dtype=jnp.int32)), x.atom)
        return replace(x, atom=atom, number=())

    def _axes(self) -> list[str]:
        return [axis for axis, size in self.layouts.sizes.items() if size > 1]

    def _blocks(self, axis: str) -> list[int]:
        """The sizes of the blocks that devices along an axis are given."""
        return sorted(self.layouts.sharing.blocks.get(axis, ()))

    def _option(self, equation: Any, kind: str, axis: str, options: Sequence[str], result: Any = None) -> str:
        if not options:
            return ""
        return self.layouts.sharing.option(equation, kind, (axis,), self.layouts.of((axis,)), options, result, own=True)


def exchanges(x: Held, result: Held, axis: str, count: int) -> Iterator[tuple[int, int]]:
    """The dimensions to split and to join so that ``all_to_all`` makes one shape of another."""
    if axis not in x.axes or len(x.shape) != len(result.shape) or prod(x.shape) != prod(result.shape):
        return
    unlike = [d for d, (before, after) in enumerate(zip(x.shape, result.shape, strict=True)) if before != after]
    for split, concat in (unlike, unlike[::-1]) if len(unlike) == 2 else ():
        if x.shape[split] == count * result.shape[split] and result.shape[concat] == count * x.shape[concat]:
            yield split, concat


def pairs(way: str, count: int) -> list[tuple[int, int]]:
    """Which device sends to which."""
    hops = [(k, (k + 1) % count) for k in range(count if way in ("around", "behind") else count - 1)]
    return [(to, source) for source, to in hops] if way in ("back", "behind") else hops


def blocks(held: Sequence[Held]) -> Mapping[str, set[int]]:
    """By axis, the sizes of the blocks in arrays."""
    sizes: dict[str, set[int]] = {}
    for x in held:
        for d, axes in x.shards.items():
            for axis in axes:
                sizes.setdefault(axis, set()).add(x.shape[d])
    return sizes
