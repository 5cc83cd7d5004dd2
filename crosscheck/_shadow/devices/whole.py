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
from crosscheck._shadow.devices.applied import Applied
from crosscheck._shadow.devices.collectives import added, axes_of, collective, name_of
from crosscheck._shadow.devices.layouts import Axes, Held, Layouts, Shards
from crosscheck._shadow.devices.loops import Loop
from crosscheck._shadow.devices.otherwise import Otherwise, blocks
from crosscheck._shadow.devices.rings import Ring
from crosscheck._shadow.devices.sharing import SharedPlace, Sharing
from crosscheck._shadow.devices.splicing import Writer, argument
from crosscheck._shadow.jax_equations import closed_program, inner_program, is_exp_of_minus_square, scanned

MOVES = frozenset(["mesh_cast", "reshard", "sharding_constraint"])
"""Operations that only say on which devices a value is."""
APPLIED = frozenset(["custom_linear_solve", "reduce", "reduce_window"])
"""Operations that hold a program and do not just call it."""


def is_shared(jaxpr: Jaxpr) -> bool:
    """Whether a program says how devices share its work."""
    return any(
        equation.primitive.name == "shard_map"
        or equation.primitive.name in MOVES
        or any(not _mesh(atom).empty for atom in equation.outvars)
        or any(map(is_shared, jaxprs_in_params(equation.params)))
        for equation in jaxpr.eqns
    ) or any(not _mesh(atom).empty for atom in jaxpr.invars)


def _mesh(atom: Any) -> Any:
    return getattr(getattr(atom.aval, "sharding", None), "mesh", jax.sharding.AbstractMesh((), ()))


def results_of_all(closed: ClosedJaxpr) -> tuple[ClosedJaxpr, list[SharedPlace]] | None:
    """A program of the results of all devices that should be the same on each, stacked; None if there are none."""
    if not is_shared(closed.jaxpr):
        return None
    sharing = Sharing()
    _, writer, arguments = _rewritten(closed, sharing)
    if not sharing.unlike:
        return None
    sites = [site for site, _ in sharing.unlike]
    return writer.close(arguments, [atom for _, atom in sharing.unlike], closed.jaxpr), sites


def whole(closed: ClosedJaxpr, sharing: Sharing | None = None) -> ClosedJaxpr:
    """The same program on whole arrays, except for the edits in ``sharing``; one without devices as it is."""
    if not is_shared(closed.jaxpr):
        return closed
    results, writer, arguments = _rewritten(closed, sharing or Sharing())
    return writer.close(arguments, results, closed.jaxpr)


def _rewritten(closed: ClosedJaxpr, sharing: Sharing) -> tuple[list[Any], Writer, list[Any]]:
    """The results of the program on whole arrays, what writes it, and its arguments."""
    with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ())):
        rewriting = _Rewriting(Layouts(Writer(), sharing), outside=True)
        arguments = [argument(var.aval) for var in closed.jaxpr.invars]
        held = [Held(variable, variable.aval.shape) for variable in arguments]
        results = rewriting.run(closed, held, None)
        return [rewriting.plain(result).atom for result in results], rewriting.writer, arguments


@dataclass
class _Output:
    """A result of a ``shard_map``: what its devices hold, and how they make one array of it."""

    held: Held
    shards: Shards
    axes: frozenset[str]
    sizes: dict[str, int]
    source: Any
    equation: Any
    var: Any
    made: list[Held] = field(default_factory=list)


class _Rewriting:
    """Writes one program; that outside of all loops is ``outside``."""

    def __init__(self, layouts: Layouts, *, outside: bool = False) -> None:
        self.layouts, self.writer, self._outside = layouts, layouts.writer, outside
        self._applied = Applied(layouts)
        self._otherwise = Otherwise(layouts)

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
                outer = tuple(axis for axis in there if axis not in value.axes)
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
        option = layouts.sharing.option(value.equation, "unlike", axes, layouts.of(axes), ("psum", "pmean"), value.var)
        if not option:
            if self._outside:
                self._note(value, layouts.everywhere(x, axes), axes)
            return layouts.first(x, axes)
        x = added(x, axes, layouts)
        return layouts.divided(x, layouts.of(axes)) if option == "pmean" else x

    def _note(self, value: _Output, x: Held, axes: Axes) -> None:
        """Note the results of all devices, the axes in question first."""
        sharing, order = self.layouts.sharing, [x.lead.index(axis) for axis in axes]
        (atom,) = self.writer.call(lambda a: jnp.moveaxis(a, order, range(len(order))), x.atom)
        sharing.unlike.append((sharing.sites[id(value.var), "unlike"], atom))

    def run(self, closed: ClosedJaxpr, given: Sequence[Any], outer: Any) -> list[Any]:
        """Write the program for these values; ``outer`` is the source of the equation that calls it."""
        jaxpr = closed.jaxpr
        values: dict[Any, Any] = dict(zip(jaxpr.invars, given, strict=True))
        for var, value in zip(jaxpr.constvars, closed.consts, strict=True):
            values[var] = Held(self.writer.constant(value), tuple(value.shape))

        def read(atom: Any) -> Any:
            return Held(atom, atom.aval.shape) if isinstance(atom, Literal) else values[atom]

        def write(equation: Any) -> None:
            source = equation.source_info
            if outer is not None:
                source = source.replace(name_stack=outer.name_stack + source.name_stack)
            self.writer.source = source
            results = self._equation(equation, [read(atom) for atom in equation.invars], source)
            values.update(zip(equation.outvars, results, strict=True))

        ring = Ring(jaxpr, self.layouts)
        for number, equation in enumerate(jaxpr.eqns):
            write(equation)
            for more in ring.behind(number, values):
                write(more)
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, given: list[Any], source: Any) -> Sequence[Any]:
        name = equation.primitive.name
        if name in MOVES or name == "optimization_barrier":
            return given
        if name == "shard_map":
            return self._shard_map(equation, given, source)
        control = _CONTROL.get(name)
        calls = control is None and name not in APPLIED and not is_exp_of_minus_square(equation)
        if calls and (inside := inner_program(equation)) is not None:
            sharing, callers = self.layouts.sharing, self.layouts.sharing.callers
            sharing.callers = (equation, *callers)
            results = self.run(inside, given, source)
            sharing.callers = callers
            return results
        xs = [self.plain(value) for value in given]
        self.writer.source = source
        if control is not None:
            return control(self, equation, [self.layouts.settled(x) for x in xs])
        if name == "psum" and not axes_of(equation):  # what vmap makes of one over its own axis
            axes = tuple(d % len(xs[0].shape) for d in equation.params["axes"])
            equation = equation.replace(primitive=lax.reduce_sum_p, params={"axes": axes, "out_sharding": None})
        if name_of(equation):
            return collective(equation, xs, self.layouts)
        xs = self._otherwise.given(equation, xs)
        return self._otherwise.made(equation, xs, self._applied.apply(equation, xs))

    def _shard_map(self, equation: Any, given: list[Any], source: Any) -> list[Any]:
        params, layouts = equation.params, self.layouts
        axes = frozenset(params["newly_manual_axes"])
        before = dict(layouts.sizes)
        inner = {**before, **{name: size for name, size in params["mesh"].shape.items() if name in axes}}
        here = frozenset(axis for axis in axes if inner[axis] > 1)
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
            inside.append(replace(x, shape=shape, shards={d: names for d, names in both.items() if names}))
            layouts.sizes = before
        layouts.sizes = inner
        for axis, sizes in blocks(inside).items():
            layouts.sharing.blocks.setdefault(axis, set()).update(sizes)
        for k, var in enumerate(closed_program(params["jaxpr"]).jaxpr.invars):
            inside[k] = self._otherwise.entering(equation, inside[k], var)
        results = [self.plain(result) for result in self.run(closed_program(params["jaxpr"]), inside, source)]
        layouts.sizes = before
        specs = params["out_specs"]
        return [
            _Output(x, _shards(spec, here), here, inner, source, equation, var)
            for x, spec, var in zip(results, specs, equation.outvars, strict=True)
        ]

    # Operations with programs inside.

    def _body(self, closed: ClosedJaxpr, like: Sequence[Held]) -> tuple[_Rewriting, list[Any], list[Held]]:
        """The program inside for values that are held like these, not yet closed: it, its arguments, and its results."""
        layouts = Layouts(Writer(), self.layouts.sharing)
        layouts.sizes = dict(self.layouts.sizes)
        rewriting = _Rewriting(layouts)
        arguments = [argument(x.atom.aval) for x in like]
        held = [replace(x, atom=variable) for x, variable in zip(like, arguments, strict=True)]
        outs = [layouts.settled(rewriting.plain(result)) for result in rewriting.run(closed, held, None)]
        return rewriting, arguments, outs

    def _scan(self, equation: Any, xs: list[Held]) -> list[Held]:
        params, layouts = equation.params, self.layouts
        consts, carry, over = scanned(params, xs)
        carry = [replace(x, number=()) for x in carry]
        inside, count = closed_program(params["jaxpr"]), len(carry)
        loop = Loop(equation, inside, consts, over, layouts)
        consts, over = loop.consts, loop.over
        over = [layouts.stacked(x, x.shards.get(0, ())) for x in over]
        slices = [self._slice(x) for x in over]
        while True:
            body, arguments, outs = self._body(inside, [*consts, *carry, *slices])
            if (wanted := self._carried(carry, outs[:count])) is None:
                break
            carry = wanted
        outs = [*body._alike(carry, outs[:count]), *outs[count:]]
        run = jaxpr_as_fun(body.writer.close(arguments, [result.atom for result in outs], inside.jaxpr))
        first, last = len(consts), len(consts) + count

        def function(*arrays: Any) -> Any:
            def step(state: Any, row: Any) -> Any:
                given = loop.constants(arrays[:first], row[len(over) :])
                results = run(*given, *state, *row[: len(over)])
                return results[:count], results[count:]

            moved = [jnp.moveaxis(a, len(x.lead), 0) for a, x in zip(arrays[last:], over, strict=False)]
            runs = [*map(loop.steps, moved), *arrays[last + len(over) :]]
            end, stacks = lax.scan(step, list(arrays[first:last]), runs, loop.length, params["reverse"])
            return [*end, *(jnp.moveaxis(a, 0, len(result.lead)) for a, result in zip(stacks, outs[count:], strict=True))]

        atoms = self.writer.call(function, *(x.atom for x in (*consts, *carry, *over)), *loop.passed)
        made = [replace(result, atom=atom) for result, atom in zip(outs, atoms, strict=True)]
        length = params["length"]
        return [
            *made[:count],
            *(
                replace(result, shape=(length, *result.shape), shards={d + 1: axes for d, axes in result.shards.items()})
                for result in made[count:]
            ),
        ]

    def _slice(self, x: Held) -> Held:
        """What one step of a scan takes of a value."""
        shape = [*x.atom.aval.shape]
        del shape[len(x.lead)]
        return Held(argument(x.atom.aval, shape), x.shape[1:], x.lead, {d - 1: axes for d, axes in x.shards.items()})

    def _carried(self, before: Sequence[Held], after: Sequence[Held]) -> list[Held] | None:
        """The carry of a loop, held so that it can be held alike after each step; None if it is."""
        if all(old.layout == new.layout for old, new in zip(before, after, strict=True)):
            return None
        carry = [
            old
            if old.layout == new.layout or set(old.lead) >= old.axes | new.axes
            else self.layouts.everywhere(old, old.axes | new.axes)
            for old, new in zip(before, after, strict=True)
        ]
        return None if all(new is old for new, old in zip(carry, before, strict=True)) else carry

    def _alike(self, wanted: Sequence[Held], given: Sequence[Held]) -> list[Held]:
        """Values, held like others that are stacked along all their axes, or hold blocks in the same way."""
        return [
            x if x.layout == like.layout else self.layouts.everywhere(x, like.lead)
            for x, like in zip(given, wanted, strict=True)
        ]

    def _while(self, equation: Any, xs: list[Held]) -> list[Held]:
        params = equation.params
        first, last = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        of_condition, of_body, carry = xs[:first], xs[first:last], [replace(x, number=()) for x in xs[last:]]
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
        step = jaxpr_as_fun(body.writer.close(arguments, [result.atom for result in outs], inside.jaxpr))
        on = jaxpr_as_fun(condition.writer.close(given, [goes_on.atom], closed_program(params["cond_jaxpr"]).jaxpr))

        def function(*arrays: Any) -> Any:
            conditioned, held, start = arrays[:first], arrays[first:last], list(arrays[last:])
            return lax.while_loop(lambda s: on(*conditioned, *s)[0], lambda s: step(*held, *s), start)

        atoms = self.writer.call(function, *(x.atom for x in (*of_condition, *of_body, *carry)))
        return [replace(result, atom=atom) for result, atom in zip(outs, atoms, strict=True)]

    def _cond(self, equation: Any, xs: list[Held]) -> list[Held]:
        layouts = self.layouts
        index, *operands = xs
        branches = [closed_program(branch) for branch in equation.params["branches"]]
        bodies = [self._body(branch, operands) for branch in branches]
        axes = [frozenset(index.axes).union(*(outs[k].axes for _, _, outs in bodies)) for k in range(len(equation.outvars))]
        runs = []
        outs: list[Held] = []
        for (body, arguments, body_results), branch in zip(bodies, branches, strict=True):
            outs = [body.layouts.everywhere(result, axes[k]) for k, result in enumerate(body_results)]
            runs.append(jaxpr_as_fun(body.writer.close(arguments, [result.atom for result in outs], branch.jaxpr)))
        index = layouts.stacked(index, index.axes)

        def function(chosen: Any, *arrays: Any) -> Any:
            if not index.lead:
                return lax.switch(chosen, runs, *arrays)
            results = [run(*arrays) for run in runs]
            return [
                lax.select_n(lax.broadcast_in_dim(chosen, ways[0].shape, _leading(index, result)), *ways)
                for result, *ways in zip(outs, *results, strict=True)
            ]

        atoms = self.writer.call(function, index.atom, *(x.atom for x in operands))
        return [replace(result, atom=atom) for result, atom in zip(outs, atoms, strict=True)]


_CONTROL: dict[str, Callable[[_Rewriting, Any, list[Held]], list[Held]]] = {
    "cond": _Rewriting._cond,
    "scan": _Rewriting._scan,
    "while": _Rewriting._while,
}


def _leading(index: Held, x: Held) -> list[int]:
    return [x.lead.index(axis) for axis in index.lead]


def _shards(spec: Any, axes: frozenset[str]) -> dict[int, Axes]:
    """The blocks of a specification, along axes of more than one device."""
    names = {
        d: partition if isinstance(partition, tuple) else (partition,)
        for d, partition in enumerate(spec)
        if partition is not None
    }
    shards = {d: tuple(axis for axis in of if axis in axes) for d, of in names.items()}
    return {d: of for d, of in shards.items() if of}
