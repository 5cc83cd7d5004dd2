"""A loop of Python in which devices pass arrays on: its turns are found in the program, and may be more, or fewer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

from crosscheck._shadow.devices.collectives import COLLECTIVES, axes_of
from crosscheck._shadow.devices.layouts import Held, Layouts


class Ring:
    """The turns of such a loop, each of which begins with a ``ppermute`` of what the one before sent."""

    def __init__(self, jaxpr: Jaxpr, layouts: Layouts) -> None:
        self._equations, self._layouts = jaxpr.eqns, layouts
        self._starts = starts(jaxpr) if layouts.sizes else []
        self._length = self._starts[-1] - self._starts[-2] if len(self._starts) > 1 else 0
        while len(self._starts) > 1 and not self._is_whole(self._starts[-1]):
            self._starts.pop()
        self._option = ""
        self._passed: list[Any] = []

    def _is_whole(self, start: int) -> bool:
        """Whether a turn has the same operations as the one before it."""
        turns = [self._equations[begin : begin + self._length] for begin in (start - self._length, start)]
        names = [[equation.primitive.name for equation in turn] for turn in turns]
        return start >= self._length and names[0] == names[1]

    def behind(self, number: int, values: dict[Any, Any]) -> Iterator[JaxprEqn]:
        """Equations to write behind the one of a number; values change that later equations use."""
        if len(self._starts) < 2:
            return
        first = self._equations[self._starts[0]]
        axes = tuple(axis for axis in axes_of(first) if self._layouts.sizes[axis] > 1)
        if not axes:
            return
        if number == self._starts[0]:
            ways = ["more", "fewer"]
            for k, var in enumerate(self._candidates()):
                x = values.get(var)
                if isinstance(x, Held) and not x.axes.isdisjoint(axes):
                    ways.append(f"number {k}" if x.number else f"array {k} {x.shape}")
            self._option = self._layouts.sharing.option(first, "loop", axes, self._layouts.of(axes), ways, own=True)
        if self._option.startswith(("number", "array")) and number in self._starts:
            var = self._candidates()[int(self._option.split()[1])]
            x = self._layouts.settled(values[var])
            values[var] = COLLECTIVES["ppermute"](first.params, x, axes, self._layouts)
        if number != self._starts[-1] + self._length - 1:
            return
        before, last = (
            self._equations[begin : begin + self._length] for begin in (self._starts[-1] - self._length, self._starts[-1])
        )
        later = {old: new for a, b in zip(before, last, strict=True) for old, new in zip(a.outvars, b.outvars, strict=True)}
        if self._option == "more":
            made = list(_again(before, last, later))
            yield from made
            for equation, new in zip(last, made, strict=True):
                values.update(zip(equation.outvars, (values[var] for var in new.outvars), strict=True))
        elif self._option == "fewer":
            values.update({new: values[old] for old, new in later.items()})

    def _candidates(self) -> list[Var]:
        """What more than one turn uses, and none makes."""
        if not self._passed:
            made = {var for equation in self._equations[self._starts[0] :] for var in equation.outvars}
            turns = [self._equations[begin : begin + self._length] for begin in self._starts]
            used = [{v for equation in turn for v in equation.invars if isinstance(v, Var)} for turn in turns]
            every = [v for equation in turns[0] for v in equation.invars if isinstance(v, Var)]
            self._passed = [v for v in dict.fromkeys(every) if v not in made and all(v in variables for variables in used)]
        return self._passed


def starts(jaxpr: Jaxpr) -> list[int]:
    """Where each hop of a chain of ``ppermute`` is first."""
    hops: dict[Any, int] = {}
    places: list[int] = []
    for number, equation in enumerate(jaxpr.eqns):
        if equation.primitive.name == "ppermute" and isinstance(equation.invars[0], Var):
            hop = 1 + hops.get(equation.invars[0], 0)
            hops[equation.outvars[0]] = hop
            if hop == len(places) + 1:
                places.append(number)
    return places


def _again(before: list[JaxprEqn], last: list[JaxprEqn], later: Mapping[Any, Any]) -> Iterator[JaxprEqn]:
    """One more turn: it uses of the last one what that uses of the one before; its numbers go on evenly."""
    made: dict[Any, Any] = {}

    def operand(earlier: Any, now: Any) -> Any:
        if isinstance(now, Literal):
            if isinstance(earlier, Literal) and np.issubdtype(np.asarray(now.val).dtype, np.integer):
                return Literal(np.asarray(2 * np.asarray(now.val) - earlier.val, np.asarray(now.val).dtype)[()], now.aval)
            return now
        return made.get(now, later.get(now, now))

    for a, b in zip(before, last, strict=True):
        outs = [Var(variable.aval) for variable in b.outvars]
        yield b.replace(invars=[operand(*pair) for pair in zip(a.invars, b.invars, strict=True)], outvars=outs)
        made.update(zip(b.outvars, outs, strict=True))
