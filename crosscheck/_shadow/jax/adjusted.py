"""A JAX program in float64 with another constant, or with a factor or summand for the result of one operation.

Everything that can be adjusted is an argument of one compiled program, so many cheap runs can fit a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, Literal, jaxprs_in_params

from crosscheck._shadow.base import Array, Noise
from crosscheck._shadow.jax.lift import Interpreter, JaxLifted
from crosscheck._shadow.jax.noise import QUIET
from crosscheck._shadow.jax_equations import widened

_MOVES = frozenset(
    ["broadcast_in_dim", "convert_element_type", "copy", "neg", "reshape", "squeeze", "stop_gradient", "transpose"]
)
"""Operations for which an adjustment before is the same as one after."""


CONSTANTS, TIMES, PLUS = range(3)


class JaxAdjusted(JaxLifted):
    """The adjustable program of a lifted one.

    Attributes:
        constants_inside: The numbers in the program, one for each place.
        operations: The operations whose results may get a factor or a summand.
    """

    def __init__(self, lifted: JaxLifted) -> None:
        super().__init__(lifted.closed, lifted.dtype, lifted.constants)
        self._places: tuple[dict[int, int], dict[int, int]] = {}, {}
        self.constants_inside: list[float] = []
        self.operations: list[str] = []
        for jaxpr in _jaxprs(self.closed.jaxpr):
            for equation in jaxpr.eqns:
                for atom in equation.invars:
                    if isinstance(atom, Literal) and _is_number(atom.aval):
                        self._places[0][id(atom)] = len(self.constants_inside)
                        value = self.constants.get(id(atom), widened(np.asarray(atom.val, atom.aval.dtype)))
                        self.constants_inside.append(float(value))
                inside = any(True for _ in jaxprs_in_params(equation.params))
                if not inside and equation.primitive.name not in _MOVES and any(map(_is_float, _avals(equation))):
                    self._places[1][id(equation)] = len(self.operations)
                    self.operations.append(equation.primitive.name)
        count = len(self.operations)
        self._start = [np.array(self.constants_inside), np.ones(count), np.zeros(count)]

    def adjusted(
        self, kind: int, values: Mapping[int, float], arguments: Sequence[Array], noise: Noise | None = None
    ) -> list[Array]:
        """The results with other constants, factors or summands at some places."""
        settings = [one.copy() for one in self._start]
        for place, value in values.items():
            settings[kind][place] = value
        return self._run(arguments, noise or QUIET, 0.0, *settings)

    def _interpreter(self, seed: Any, unit: Any, flush: Any, *settings: Any) -> Interpreter:
        interpreter = _Adjusting(self.dtype, self.constants, seed, unit, flush)
        interpreter.places, interpreter.settings = self._places, settings
        return interpreter


class _Adjusting(Interpreter):
    """Takes constants, factors and summands from arrays."""

    places: tuple[dict[int, int], dict[int, int]]
    """The places of literals and of equations, by their ``id``."""
    settings: Sequence[Any]

    def literal(self, atom: Any) -> Any:
        place = self.places[0].get(id(atom))
        return super().literal(atom) if place is None else self.settings[CONSTANTS][place]

    def run_equation(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        results = super().run_equation(equation, values)
        place = self.places[1].get(id(equation))
        if place is None:
            return results
        factor, more = self.settings[TIMES][place], self.settings[PLUS][place]
        return [result * factor + more if result.dtype == np.float64 else result for result in results]


def _jaxprs(jaxpr: Jaxpr) -> Iterator[Jaxpr]:
    yield jaxpr
    for equation in jaxpr.eqns:
        for inside in jaxprs_in_params(equation.params):
            yield from _jaxprs(inside)


def _avals(equation: Any) -> list[Any]:
    return [atom.aval for atom in equation.outvars]


def _is_float(aval: Any) -> bool:
    return jnp.issubdtype(getattr(aval, "dtype", np.int32), np.floating)


def _is_number(aval: Any) -> bool:
    return _is_float(aval) and not aval.shape
