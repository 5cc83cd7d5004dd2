"""A ``jax.lax.scan`` in which devices pass arrays on, and what else it could do: more steps, or pass on other arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxprs_in_params

from crosscheck._shadow.devices.collectives import COLLECTIVES, axes_of
from crosscheck._shadow.devices.layouts import Axes, Held, Layouts


@dataclass
class Loop:
    """The constants and the arrays of a scan, unless its devices do something else.

    Attributes:
        equation: The scan.
        inside: The program of a step.
        consts: What each step has alike.
        over: The arrays that it runs over.
        layouts: Where it is written.
        length: The number of its steps.
        passed: Arrays of what one constant is in each step.
    """

    equation: Any
    inside: ClosedJaxpr
    consts: list[Held]
    over: list[Held]
    layouts: Layouts
    length: int = 0
    passed: list[Any] = field(default_factory=list)
    _place: int = -1

    def __post_init__(self) -> None:
        self.length = self.equation.params["length"]
        sent = sends(self.inside.jaxpr)
        axes = tuple(axis for axis in axes_of(sent) if self.layouts.sizes[axis] > 1) if sent is not None else ()
        if not axes:
            return
        count = self.layouts.of(axes)
        ways = self._other_lengths() + self._stay(axes)
        option = self.layouts.sharing.option(self.equation, "loop", axes, count, ways, own=True)
        if option in ("more", "fewer"):
            self.length += 1 if option == "more" else -1
        elif option:
            self._pass_on(int(option.split()[1]), sent.params["perm"], axes)

    def _other_lengths(self) -> list[str]:
        """A step more or fewer, if no step has a result of its own, and one more of the arrays to run over is known."""
        carried = len(self.equation.outvars) == len(self.inside.jaxpr.outvars) == self._carried()
        if not carried or self.equation.params["reverse"] or self.length < 2:
            return []
        known = all(jnp.issubdtype(x.atom.aval.dtype, jnp.integer) and len(x.shape) == 1 for x in self.over)
        return ["more", "fewer"] if known else ["fewer"]

    def _carried(self) -> int:
        return len(self.inside.jaxpr.invars) - len(self.consts) - len(self.over)

    def _stay(self, axes: Axes) -> list[str]:
        """The constants that devices hold unlike."""
        unlike = [(k, x) for k, x in enumerate(self.consts) if not x.axes.isdisjoint(axes)]
        return [f"number {k}" if x.number else f"array {k} {x.shape}" for k, x in unlike]

    def _pass_on(self, place: int, perm: Any, axes: Axes) -> None:
        """Make a constant one that is passed on after each step."""
        layouts = self.layouts
        x = layouts.everywhere(layouts.settled(self.consts[place]), axes)
        held = [x]
        for _ in range(self.length - 1):
            held.append(COLLECTIVES["ppermute"]({"perm": perm}, held[-1], axes, layouts))
        self.passed = layouts.writer.call(lambda *arrays: jnp.stack(arrays), *(array.atom for array in held))
        self.consts = [x if k == place else constant for k, constant in enumerate(self.consts)]
        self._place = place

    def constants(self, arrays: Sequence[Any], passed: Sequence[Any]) -> list[Any]:
        """What a step has, from the constants and from its own of ``passed``."""
        return [passed[0] if passed and k == self._place else array for k, array in enumerate(arrays)]

    def steps(self, array: Any) -> Any:
        """An array to run over for the number of steps; one more continues it evenly."""
        if self.length <= len(array):
            return array[: self.length]
        return jnp.concatenate([array, array[-1:] + (array[-1:] - array[-2:-1])])


def sends(jaxpr: Jaxpr) -> Any:
    """The first ``ppermute`` in a program, in programs inside of it too; None if there is none."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "ppermute":
            return equation
        for inside in jaxprs_in_params(equation.params):
            if (sent := sends(inside)) is not None:
                return sent
    return None
