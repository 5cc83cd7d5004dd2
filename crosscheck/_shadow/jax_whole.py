"""A program that several devices share, as one on whole arrays, without ``jax.shard_map``, collectives and shardings.

Where each device does its part of one operation, there is one operation on the whole arrays, as in the program before it
was shared. Otherwise the devices' arrays are stacked, and the operation is applied to each. So what runs, lifts, records and
explains programs needs to know nothing about devices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun, jaxprs_in_params

from crosscheck._records.errors import UsageError
from crosscheck._shadow.jax_collectives import added, collective, name_of
from crosscheck._shadow.jax_equations import closed_program, inner_program, is_exp_of_minus_square, scanned
from crosscheck._shadow.jax_layout_rules import UnlikeError, placed
from crosscheck._shadow.jax_layouts import Axes, Held, Layouts, Shards
from crosscheck._shadow.jax_sharing import Sharing
from crosscheck._shadow.jax_splicing import Writer, argument

MOVES = frozenset(["mesh_cast", "reshard", "sharding_constraint"])
"""Operations that only say on which devices a value is."""
LINEAR = frozenset(
    [
        *("broadcast_in_dim", "conv_general_dilated", "convert_element_type", "copy", "cumsum", "div", "dot_general", "mul"),
        *("neg", "reduce_sum", "reshape", "rev", "slice", "squeeze", "transpose"),
    ]
)
"""Operations that give the summands of their result if one operand is a summand on each device, and the others are not."""
SUMS = frozenset(["add", "add_any", "concatenate", "sub"])
"""Operations that do so if all operands are summands."""


def is_shared(jaxpr: Jaxpr) -> bool:
    """Whether a program says how devices share its work."""
    return any(
        one.primitive.name == "shard_map"
        or one.primitive.name in MOVES
        or any(not _mesh(atom).empty for atom in one.outvars)
        or any(map(is_shared, jaxprs_in_params(one.params)))
        for one in jaxpr.eqns
    ) or any(not _mesh(atom).empty for atom in jaxpr.invars)


def _mesh(atom: Any) -> Any:
    return getattr(getattr(atom.aval, "sharding", None), "mesh", jax.sharding.AbstractMesh((), ()))


def whole(closed: ClosedJaxpr, sharing: Sharing | None = None) -> ClosedJaxpr:
    """The same program on whole arrays, except for the edits in ``sharing``; one without devices as it is."""
    if not is_shared(closed.jaxpr):
        return closed
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ())):
        rewriting = _Rewriting(Layouts(Writer(), sharing or Sharing()))
        arguments = [argument(var.aval) for var in closed.jaxpr.invars]
        held = [Held(one, one.aval.shape) for one in arguments]
        results = rewriting.run(closed, held, None)
        return rewriting.writer.close(arguments, [rewriting.plain(one).atom for one in results], closed.jaxpr)


@dataclass
class _Output:
    """A result of a ``shard_map``: what its devices hold, and how they make one array of it."""

    held: Held
    shards: Shards
    axes: frozenset[str]
    sizes: dict[str, int]
    source: Any
    key: Any
    made: list[Held] = field(default_factory=list)


class _Rewriting:
    def __init__(self, layouts: Layouts) -> None:
        self.layouts, self.writer = layouts, layouts.writer

    def plain(self, value: Any) -> Held:
        """A value outside of the ``shard_map`` that made it."""
        if isinstance(value, Held):
            return value
        if not value.made:
            layouts = self.layouts
            sizes, layouts.sizes = layouts.sizes, value.sizes
            source, self.writer.source = self.writer.source, value.source
            x = self._for_all(value, layouts.settled(value.held))
            shape = list(x.shape)
            for d, axes in value.shards.items():
                there = x.shards.get(d, ())
                outer = tuple(one for one in there if one not in value.axes)
                if there != (*outer, *axes):
                    x = layouts.in_blocks(layouts.stacked(x, there), d, (*outer, *axes))
                shape[d] *= layouts.of(axes)
                x = replace(x, shape=tuple(shape), shards={**x.shards, d: outer})
            layouts.sizes, self.writer.source = sizes, source
            value.made.append(replace(x, shards={d: axes for d, axes in x.shards.items() if axes}))
        return value.made[0]

    def _for_all(self, value: _Output, x: Held) -> Held:
        """A result that is said to be the same on the devices along some axes: what the first of them has."""
        layouts = self.layouts
        axes = layouts.ordered(x.axes & value.axes.difference(*value.shards.values()))
        if not axes:
            return x
        option = layouts.sharing.option(value.key, "unlike", axes, layouts.of(axes), ("psum", "pmean"))
        if not option:
            return layouts.first(x, axes)
        x = added(x, axes, layouts)
        return layouts.divided(x, layouts.of(axes)) if option == "pmean" else x

    def run(self, closed: ClosedJaxpr, given: Sequence[Any], outer: Any) -> list[Any]:
        """Write the program for these values; ``outer`` is the source of the equation that calls it."""
        jaxpr = closed.jaxpr
        values: dict[Any, Any] = dict(zip(jaxpr.invars, given, strict=True))
        for var, value in zip(jaxpr.constvars, closed.consts, strict=True):
            values[var] = Held(self.writer.constant(value), tuple(value.shape))

        def read(atom: Any) -> Any:
            return Held(atom, atom.aval.shape) if isinstance(atom, Literal) else values[atom]

        for equation in jaxpr.eqns:
            source = equation.source_info
            if outer is not None:
                source = source.replace(name_stack=outer.name_stack + source.name_stack)
            self.writer.source = source
            results = self._equation(equation, [read(atom) for atom in equation.invars], source)
            values.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, given: list[Any], source: Any) -> Sequence[Any]:
        name = equation.primitive.name
        if name in MOVES or name == "optimization_barrier":
            return given
        if name == "shard_map":
            return self._shard_map(equation, given, source)
        if not is_exp_of_minus_square(equation) and name != "scan" and (inside := inner_program(equation)) is not None:
            return self.run(inside, given, source)
        xs = [self.plain(one) for one in given]
        self.writer.source = source
        if name in _CONTROL:
            return _CONTROL[name](self, equation, [self.layouts.settled(x) for x in xs])
        if name_of(equation):
            return collective(equation, xs, self.layouts)
        return self._apply(equation, xs)

    def _shard_map(self, equation: Any, given: list[Any], source: Any) -> list[Any]:
        params, layouts = equation.params, self.layouts
        axes = frozenset(params["newly_manual_axes"])
        before = dict(layouts.sizes)
        inner = {**before, **{name: size for name, size in params["mesh"].shape.items() if name in axes}}
        here = frozenset(one for one in axes if inner[one] > 1)
        inside = []
        for value, spec in zip(given, params["in_specs"], strict=True):
            shards = _shards(spec, here)
            if isinstance(value, _Output) and (value.shards, value.axes) == (shards, here):
                inside.append(value.held)  # no device passes anything on
                continue
            x = layouts.settled(self.plain(value))
            layouts.sizes = inner
            shape = tuple(size // layouts.of(shards.get(d, ())) for d, size in enumerate(x.shape))
            both = {d: (*x.shards.get(d, ()), *shards.get(d, ())) for d in range(len(shape))}
            inside.append(replace(x, shape=shape, shards={d: one for d, one in both.items() if one}))
            layouts.sizes = before
        layouts.sizes = inner
        results = [self.plain(one) for one in self.run(closed_program(params["jaxpr"]), inside, source)]
        layouts.sizes = before
        specs = params["out_specs"]
        return [
            _Output(x, _shards(one, here), here, inner, source, key)
            for x, one, key in zip(results, specs, equation.outvars, strict=True)
        ]

    # One operation.

    def _apply(self, equation: Any, xs: Sequence[Held]) -> list[Held]:
        layouts = self.layouts
        if any(x.open for x in xs):
            opened = frozenset[str]().union(*(x.open for x in xs))
            if (found := self._added_once(equation, xs, opened)) is not None:
                xs = found
            if self._stays_open(equation, xs):
                sums = self._apply(equation, [replace(x, open=frozenset(), summands=None) for x in xs])
                origin = next(x.origin for x in xs if x.open)

                def summands(k: int, wanted: frozenset[str]) -> Held:
                    parts = self._apply(equation, [layouts.summands(x, wanted) for x in xs])
                    return layouts.summands(parts[k], wanted)

                return [self._opened(one, opened, _for(summands, k), origin) for k, one in enumerate(sums)]
            xs = [layouts.settled(x) for x in xs]
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
        if lead:
            atoms = self.writer.call(self._for_each(equation, made.params, made.operands, lead), *operands)
        else:
            results = [
                jax.ShapeDtypeStruct(shape, atom.aval.dtype, weak_type=getattr(atom.aval, "weak_type", False))
                for shape, atom in zip(wholes, equation.outvars, strict=True)
            ]
            atoms = self.writer.equation(equation.primitive, operands, made.params, results)
        found = [Held(*one) for one in zip(atoms, shapes, [lead] * len(atoms), made.shards, strict=True)]
        if not made.open:
            return found
        given = list(xs)

        def apart(k: int, wanted: frozenset[str]) -> Held:
            return layouts.summands(self._apply(equation, [layouts.stacked(x, wanted) for x in given])[k], wanted)

        return [self._opened(one, made.open, _for(apart, k), equation) for k, one in enumerate(found)]

    def _opened(self, x: Held, axes: frozenset[str], summands: Callable[[frozenset[str]], Held], origin: Any) -> Held:
        return replace(x, open=x.open | axes, summands=summands, origin=origin)

    def _added_once(self, equation: Any, xs: Sequence[Held], axes: frozenset[str]) -> list[Held] | None:
        """The operands of a sum, if what all devices add to their summands is to be added once; None otherwise."""
        others = [x for x in xs if not x.open]
        ways = equation.primitive.name in ("add", "add_any", "sub") and others and axes.isdisjoint(others[0].axes)
        if not ways:
            return None
        along, count = self.layouts.ordered(axes), self.layouts.of(axes)
        if not self.layouts.sharing.option(equation, "added", along, count, ("once",)):
            return None

        def part(x: Held) -> Held:
            return replace(
                x, open=axes, summands=lambda wanted: self.layouts.divided(x, self.layouts.of(wanted)), origin=equation
            )

        return [x if x.open else part(x) for x in xs]

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

    # Operations with programs inside.

    def _body(self, closed: ClosedJaxpr, like: Sequence[Held]) -> tuple[_Rewriting, list[Any], list[Held]]:
        """The program inside for values that are held like these, not yet closed: it, its arguments, and its results."""
        layouts = Layouts(Writer(), self.layouts.sharing)
        layouts.sizes = dict(self.layouts.sizes)
        rewriting = _Rewriting(layouts)
        arguments = [argument(x.atom.aval) for x in like]
        held = [replace(x, atom=one) for x, one in zip(like, arguments, strict=True)]
        outs = [layouts.settled(rewriting.plain(one)) for one in rewriting.run(closed, held, None)]
        return rewriting, arguments, outs

    def _scan(self, equation: Any, xs: list[Held]) -> list[Held]:
        params, layouts = equation.params, self.layouts
        consts, carry, over = scanned(params, xs)
        inside, count = closed_program(params["jaxpr"]), len(carry)
        over = [layouts.stacked(x, x.shards.get(0, ())) for x in over]
        slices = [self._slice(x) for x in over]
        while True:
            body, arguments, outs = self._body(inside, [*consts, *carry, *slices])
            if (wanted := self._carried(carry, outs[:count])) is None:
                break
            carry = wanted
        outs = [*body._alike(carry, outs[:count]), *outs[count:]]
        run = jaxpr_as_fun(body.writer.close(arguments, [one.atom for one in outs], inside.jaxpr))
        first, last = len(consts), len(consts) + count

        def function(*arrays: Any) -> Any:
            def step(state: Any, one: Any) -> Any:
                results = run(*arrays[:first], *state, *one)
                return results[:count], results[count:]

            moved = [jnp.moveaxis(a, len(x.lead), 0) for a, x in zip(arrays[last:], over, strict=True)]
            end, stacks = lax.scan(step, list(arrays[first:last]), moved, params["length"], params["reverse"])
            return [*end, *(jnp.moveaxis(a, 0, len(one.lead)) for a, one in zip(stacks, outs[count:], strict=True))]

        atoms = self.writer.call(function, *(x.atom for x in (*consts, *carry, *over)))
        made = [replace(one, atom=atom) for one, atom in zip(outs, atoms, strict=True)]
        length = params["length"]
        return [
            *made[:count],
            *(
                replace(one, shape=(length, *one.shape), shards={d + 1: axes for d, axes in one.shards.items()})
                for one in made[count:]
            ),
        ]

    def _slice(self, x: Held) -> Held:
        """What one step of a scan takes of a value."""
        shape = [*x.atom.aval.shape]
        del shape[len(x.lead)]
        return Held(argument(x.atom.aval, shape), x.shape[1:], x.lead, {d - 1: axes for d, axes in x.shards.items()})

    def _carried(self, before: Sequence[Held], after: Sequence[Held]) -> list[Held] | None:
        """The carry of a loop, held so that it can be held alike after each step; None if it is."""
        if all(one.layout == other.layout for one, other in zip(before, after, strict=True)):
            return None
        found = [
            one
            if one.layout == other.layout or set(one.lead) >= one.axes | other.axes
            else self.layouts.everywhere(one, one.axes | other.axes)
            for one, other in zip(before, after, strict=True)
        ]
        return None if all(one is other for one, other in zip(found, before, strict=True)) else found

    def _alike(self, wanted: Sequence[Held], given: Sequence[Held]) -> list[Held]:
        """Values, held like others that are stacked along all their axes, or hold blocks in the same way."""
        return [
            x if x.layout == like.layout else self.layouts.everywhere(x, like.lead)
            for x, like in zip(given, wanted, strict=True)
        ]

    def _while(self, equation: Any, xs: list[Held]) -> list[Held]:
        params = equation.params
        first, last = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        of_condition, of_body, carry = xs[:first], xs[first:last], xs[last:]
        inside = closed_program(params["body_jaxpr"])
        while True:
            body, arguments, outs = self._body(inside, [*of_body, *carry])
            if (wanted := self._carried(carry, outs)) is None:
                break
            carry = wanted
        condition, given, (goes_on,) = self._body(closed_program(params["cond_jaxpr"]), [*of_condition, *carry])
        if goes_on.axes:
            raise UsageError(
                f"JAX's function has a while loop that ends at other steps on other devices along "
                f"{', '.join(sorted(goes_on.axes))}; expected a loop of as many steps on each; jax.lax.scan is one"
            )
        outs = body._alike(carry, outs)
        step = jaxpr_as_fun(body.writer.close(arguments, [one.atom for one in outs], inside.jaxpr))
        on = jaxpr_as_fun(condition.writer.close(given, [goes_on.atom], closed_program(params["cond_jaxpr"]).jaxpr))

        def function(*arrays: Any) -> Any:
            conditioned, held, start = arrays[:first], arrays[first:last], list(arrays[last:])
            return lax.while_loop(lambda s: on(*conditioned, *s)[0], lambda s: step(*held, *s), start)

        atoms = self.writer.call(function, *(x.atom for x in (*of_condition, *of_body, *carry)))
        return [replace(one, atom=atom) for one, atom in zip(outs, atoms, strict=True)]

    def _cond(self, equation: Any, xs: list[Held]) -> list[Held]:
        layouts = self.layouts
        index, *operands = xs
        branches = [closed_program(one) for one in equation.params["branches"]]
        bodies = [self._body(one, operands) for one in branches]
        axes = [frozenset(index.axes).union(*(outs[k].axes for _, _, outs in bodies)) for k in range(len(equation.outvars))]
        runs = []
        outs: list[Held] = []
        for (body, arguments, found), branch in zip(bodies, branches, strict=True):
            outs = [body.layouts.everywhere(one, axes[k]) for k, one in enumerate(found)]
            runs.append(jaxpr_as_fun(body.writer.close(arguments, [one.atom for one in outs], branch.jaxpr)))
        index = layouts.stacked(index, index.axes)

        def function(chosen: Any, *arrays: Any) -> Any:
            if not index.lead:
                return lax.switch(chosen, runs, *arrays)
            results = [run(*arrays) for run in runs]
            return [
                lax.select_n(lax.broadcast_in_dim(chosen, ways[0].shape, _leading(index, one)), *ways)
                for one, *ways in zip(outs, *results, strict=True)
            ]

        atoms = self.writer.call(function, index.atom, *(x.atom for x in operands))
        return [replace(one, atom=atom) for one, atom in zip(outs, atoms, strict=True)]


_CONTROL: dict[str, Callable[[_Rewriting, Any, list[Held]], list[Held]]] = {
    "cond": _Rewriting._cond,
    "scan": _Rewriting._scan,
    "while": _Rewriting._while,
}


def _leading(index: Held, x: Held) -> list[int]:
    return [x.lead.index(one) for one in index.lead]


def _for(function: Callable[[int, frozenset[str]], Held], k: int) -> Callable[[frozenset[str]], Held]:
    return lambda wanted: function(k, wanted)


def _shards(spec: Any, axes: frozenset[str]) -> dict[int, Axes]:
    """The blocks of a specification, along axes of more than one device."""
    names = {d: one if isinstance(one, tuple) else (one,) for d, one in enumerate(spec) if one is not None}
    found = {d: tuple(one for one in of if one in axes) for d, of in names.items()}
    return {d: of for d, of in found.items() if of}
