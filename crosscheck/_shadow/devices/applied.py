"""One operation of a program that devices share: on whole arrays, on sums of their summands, or on each device's arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from crosscheck._shadow.devices.collectives import added
from crosscheck._shadow.devices.layout_rules import UnlikeError, placed
from crosscheck._shadow.devices.layouts import Axes, Held, Layouts, Shards

LINEAR = frozenset(
    [
        *("broadcast_in_dim", "conv_general_dilated", "convert_element_type", "copy", "cumsum", "div", "dot_general", "mul"),
        *("neg", "reduce_sum", "reshape", "rev", "slice", "squeeze", "transpose"),
    ]
)
"""Operations that give the summands of their result if one operand is a summand on each device, and the others are not."""
SUMS = frozenset(["add", "add_any", "concatenate", "sub"])
"""Operations that do so if all operands are summands."""


class Applied:
    """Writes operations on values that devices hold."""

    def __init__(self, layouts: Layouts) -> None:
        self.layouts = layouts

    def apply(self, equation: Any, xs: Sequence[Held]) -> list[Held]:
        """The results of an operation."""
        layouts = self.layouts
        if any(x.open for x in xs):
            opened = frozenset[str]().union(*(x.open for x in xs))
            if (terms := self._added_once(equation, xs, opened)) is not None:
                xs = terms
            if self._stays_open(equation, xs):
                sums = self.apply(equation, [replace(x, open=frozenset(), summands=None) for x in xs])
                origin = next(x.origin for x in xs if x.open)

                def summands(k: int, wanted: frozenset[str]) -> Held:
                    parts = self.apply(equation, [layouts.summands(x, wanted) for x in xs])
                    return layouts.summands(parts[k], wanted)

                return [self._opened(total, opened, _for(summands, k), origin) for k, total in enumerate(sums)]
            xs = [layouts.settled(x) for x in xs]
        xs = self._summed(equation, xs)
        while True:
            stacked = {axis for x in xs for axis in x.lead}
            xs = [layouts.stacked(x, stacked) for x in xs]
            try:
                made = placed(equation, xs, layouts)
                break
            except UnlikeError as error:
                xs = [layouts.stacked(x, error.axes) for x in xs]
        lead = layouts.ordered({axis for x in made.operands for axis in x.lead})
        shapes = [tuple(getattr(atom.aval, "shape", ())) for atom in equation.outvars]
        wholes = [layouts.whole_shape(*pair) for pair in zip(shapes, made.shards, strict=True)]
        operands = [x.atom for x in made.operands]
        source = self.layouts.writer.source
        self.layouts.writer.source = self._said(source, made.shards[0] if made.shards else {}, lead, made.open)
        if lead:
            atoms = self.layouts.writer.call(self._for_each(equation, made.params, made.operands, lead), *operands)
        else:
            results = [
                jax.ShapeDtypeStruct(shape, atom.aval.dtype, weak_type=getattr(atom.aval, "weak_type", False))
                for shape, atom in zip(wholes, equation.outvars, strict=True)
            ]
            atoms = self.layouts.writer.equation(equation.primitive, operands, made.params, results)
        self.layouts.writer.source = source
        outputs = [Held(*fields) for fields in zip(atoms, shapes, [lead] * len(atoms), made.shards, strict=True)]
        if not made.open:
            return outputs
        given = list(xs)

        def apart(k: int, wanted: frozenset[str]) -> Held:
            return layouts.summands(self.apply(equation, [layouts.stacked(x, wanted) for x in given])[k], wanted)

        return [self._opened(output, made.open, _for(apart, k), equation) for k, output in enumerate(outputs)]

    def _said(self, source: Any, shards: Shards, lead: Axes, opened: frozenset[str]) -> Any:
        """The source of an operation, with what the devices' results make together."""
        places = {axis: d for d, axes in shards.items() for axis in axes}
        words = []
        for axis, size in self.layouts.sizes.items():
            how = "a sum over" if axis in opened else "one for each device along" if axis in lead else "the same along"
            how = f"blocks of axis {places[axis]} along" if axis in places else how
            words += [f"{how} {axis}"] * (size > 1)
        return source.replace(name_stack=source.name_stack.extend(", ".join(words))) if words else source

    def _opened(self, x: Held, axes: frozenset[str], summands: Callable[[frozenset[str]], Held], origin: Any) -> Held:
        return replace(x, open=x.open | axes, summands=summands, origin=origin)

    def _added_once(self, equation: Any, xs: Sequence[Held], axes: frozenset[str]) -> list[Held] | None:
        """The operands of a sum, if what all devices add to their summands is to be added once; None otherwise."""
        others = [x for x in xs if not x.open]
        ways = equation.primitive.name in ("add", "add_any", "sub") and others and axes.isdisjoint(others[0].axes)
        if not ways:
            return None
        along, count = self.layouts.ordered(axes), self.layouts.of(axes)
        if not self.layouts.is_zero(others[0]) and not self.layouts.sharing.option(
            equation, "added", along, count, ("once",)
        ):
            return None

        def part(x: Held) -> Held:
            return replace(
                x, open=axes, summands=lambda wanted: self.layouts.divided(x, self.layouts.of(wanted)), origin=equation
            )

        return [x if x.open else part(x) for x in xs]

    def _summed(self, equation: Any, xs: Sequence[Held]) -> Sequence[Held]:
        """The operands of a sum of what each device has and what all have, in case the former is to be added up."""
        layouts = self.layouts
        for axis in layouts.sizes if equation.primitive.name in ("add", "sub") else ():
            alone = [k for k, x in enumerate(xs) if axis in x.lead]
            if len(alone) == 1 and not any(axis in x.axes for k, x in enumerate(xs) if k != alone[0]):
                option = layouts.sharing.option(equation, "alone", (axis,), layouts.sizes[axis], ("psum", "pmean"))
                if option:
                    x = added(xs[alone[0]], (axis,), layouts)
                    x = layouts.divided(x, layouts.sizes[axis]) if option == "pmean" else x
                    xs = [x if k == alone[0] else operand for k, operand in enumerate(xs)]
        return xs

    @staticmethod
    def _stays_open(equation: Any, xs: Sequence[Held]) -> bool:
        """Whether the devices' results are summands of the result for the sums."""
        name = equation.primitive.name
        if name in SUMS:
            return all(x.open == xs[0].open for x in xs)
        if name not in LINEAR or (name == "div" and not xs[0].open):
            return False
        if name == "convert_element_type" and not jnp.issubdtype(equation.outvars[0].aval.dtype, jnp.floating):
            return False
        (*opened,) = (x for x in xs if x.open)
        others = [x for x in xs if not x.open]
        return len(opened) == 1 and all(opened[0].open.isdisjoint(x.axes) for x in others)

    @staticmethod
    def _for_each(equation: Any, params: Any, xs: Sequence[Held], lead: Axes) -> Callable[..., Any]:
        """The operation on arrays that are stacked along axes."""

        def function(*arrays: Any) -> Any:
            return equation.primitive.bind(*arrays, **equation.primitive.get_bind_params(params))

        for axis in reversed(lead):
            function = jax.vmap(function, in_axes=tuple(0 if axis in x.lead else None for x in xs))
        return function


def _for(function: Callable[[int, frozenset[str]], Held], k: int) -> Callable[[frozenset[str]], Held]:
    return lambda wanted: function(k, wanted)
