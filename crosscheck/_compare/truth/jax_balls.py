"""A JAX program in ball arithmetic: its jaxpr, evaluated on Arb's balls until every result can be rounded to float64.

This gives the truth where no wider dtype exists. Floats are object arrays of balls; other values are ordinary arrays.
A comparison that balls cannot decide is None in an array of booleans. A selection by None gives one ball that covers both
values. A NaN ball is an unknown number. Infinities are kept as far as masks need them.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from flint import arb
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._compare.truth.jax_operations import (
    CONVERSIONS,
    MADE_OF_INTEGERS,
    OF_BOOLEANS,
    OPERATIONS,
    SAME,
    SORTS,
    BeyondBallsError,
    balls_of,
    constant,
    decided_scalar,
    each_entry,
    has_balls,
    listed,
    numpy_of,
    where_decided,
)
from crosscheck._shadow.base import Array, Program
from crosscheck._shadow.jax.traced import traced
from crosscheck._shadow.jax_equations import (
    closed_program,
    implementation,
    inner_program,
    is_exp_of_minus_square,
    is_float,
    scanned,
)
from crosscheck._truth.balls import UndecidedError, precision
from crosscheck._truth.decide import decide_many
from crosscheck._truth.elements import (
    COSTS,
    LEVELS,
)

BUDGET = 10**6
"""Microseconds that a program may take at each precision: not measured, since results would then depend on the machine,
but estimated from its operations.
"""
OPERATION, OPENING = 30, 5000
"""Estimated microseconds to begin an operation, and to find the program inside a primitive."""
PRODUCTS = 32
"""The products in a product of matrices that take as long as one element of another operation."""


def enclose(program: Program, arguments: Sequence[Array]) -> list[Array] | None:
    """What ``program`` gives at ``arguments`` in exact arithmetic, rounded to float64; None if it cannot be computed.

    The program is traced for float64. A float in it, or among the arguments, is the number that it holds; a narrower
    float written into the program is its decimal, as in ``_shadow.jax.lift``; a cast to a narrower dtype does nothing. A
    float result is NaN where no number exists, where it depends on an argument that is not finite, and where the
    enclosure stays too wide to round. Other results are exact. None is returned if balls lack an operation of the
    program, if it branches on an undecidable comparison, or if it takes more than ``BUDGET``. An exception in tracing
    passes through.
    """
    if any(map(np.iscomplexobj, arguments)):
        return None
    given = [np.asarray(a, np.float64) if is_float(a) else np.asarray(a) for a in arguments]
    results: list[Array] | None = None
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]), np.errstate(all="ignore"):
        closed = traced(program, [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in given])
        for level, bits in enumerate(LEVELS):
            try:
                with precision(bits):
                    enclosures = _Evaluator(level).program(closed, given)
                    results = [
                        _rounded(enclosure, results[k] if results else None) for k, enclosure in enumerate(enclosures)
                    ]
            except UndecidedError:
                continue
            except BeyondBallsError:
                break
            if not any(np.isnan(result).any() for result in results if is_float(result)):
                break
    return results


def _entered(argument: Array) -> Array:
    return each_entry(lambda x: arb(x) if math.isfinite(x) else arb.nan(), argument) if is_float(argument) else argument


def _rounded(value: Array, before: Array | None) -> Array:
    """One result; numbers that ``before`` already has are kept."""
    if value.dtype != object:
        return value
    if any(ball is None or isinstance(ball, bool) for ball in value.flat):
        raise UndecidedError
    rounded, _, _, decided = decide_many(list(value.flat), FORMATS["float64"])
    result = np.where(decided, rounded, np.nan).reshape(value.shape)
    return result if before is None else np.where(np.isnan(before), result, before)


class _Evaluator:
    """Runs a jaxpr on balls, at flint's current precision."""

    def __init__(self, level: int) -> None:
        self._level, self._left = level, float(BUDGET)

    def program(self, closed: ClosedJaxpr, arguments: Sequence[Array]) -> list[Any]:
        self._spend(sum(argument.size for argument in arguments))
        return self._closed(closed, [_entered(argument) for argument in arguments])

    def _closed(self, closed: ClosedJaxpr, arguments: Sequence[Any]) -> list[Any]:
        self._spend(sum(math.prod(const.shape) for const in closed.consts))
        return self._run(closed.jaxpr, [constant(const) for const in closed.consts], arguments)

    def _run(self, jaxpr: Jaxpr, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        self._spend(sum(map(self._cost, jaxpr.eqns)))
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))

        def read(atom: Any) -> Any:
            return constant(np.asarray(atom.val, atom.aval.dtype)) if isinstance(atom, Literal) else values[atom]

        for equation in jaxpr.eqns:
            with equation.ctx.manager:
                results = self._run_equation(equation, [read(atom) for atom in equation.invars])
            values.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _run_equation(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        name = equation.primitive.name
        if not equation.outvars:  # it prints
            return []
        if name in SAME:
            return values
        if name in _CONTROL:
            return _CONTROL[name](self, equation, values)
        if is_exp_of_minus_square(equation):
            return [each_entry(lambda a: (-a * a).exp(), values[0])]
        inside = inner_program(equation)
        if inside is not None:
            return self._closed(inside, values)
        undecided = any(v.dtype == object and not is_float(a.aval) for v, a in zip(values, equation.invars, strict=True))
        if undecided and name not in OF_BOOLEANS:
            raise UndecidedError
        if name in CONVERSIONS or (has_balls(values) and name in OPERATIONS):
            return listed(OPERATIONS[name](equation, values))
        if not has_balls(values):
            if name not in MADE_OF_INTEGERS and any(is_float(atom.aval) for atom in equation.outvars):
                raise BeyondBallsError(name)
            results = equation.primitive.bind(*values, **equation.params)
            results = results if equation.primitive.multiple_results else [results]
            return [balls_of(r) if is_float(r) else constant(r) for r in results]
        self._spend(OPENING)
        inside = implementation(equation, x64=True)
        if inside is None:
            raise BeyondBallsError(name)
        return self._closed(inside, values)

    def _cost(self, equation: Any) -> float:
        """Estimated microseconds, without those of the programs inside."""
        name = equation.primitive.name
        sizes = [
            sum(math.prod(getattr(a.aval, "shape", ())) for a in atoms) for atoms in (equation.invars, equation.outvars)
        ]
        if name in _CONTROL or inner_program(equation) is not None:
            return OPERATION
        if name == "dot_general":
            (axes, _), _ = equation.params["dimension_numbers"]
            sizes[1] *= max(1, math.prod(equation.invars[0].aval.shape[axis] for axis in axes) // PRODUCTS)
        if name in SORTS:
            sizes[0] *= sizes[0].bit_length()
        return OPERATION + max(sizes) * (COSTS[name][self._level] if name in COSTS else 1)

    def _spend(self, microseconds: float) -> None:
        self._left -= microseconds
        if self._left < 0:
            raise BeyondBallsError("too much")

    def _scan(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        params = equation.params
        consts, carry, inputs = scanned(params, values)
        inside, steps = closed_program(params["jaxpr"]), range(params["length"])
        if not steps:
            raise BeyondBallsError("scan over nothing")
        rows = []
        for i in reversed(steps) if params["reverse"] else steps:
            self._spend(OPERATION)
            results = self._closed(inside, [*consts, *carry, *(x[i, ...] for x in inputs)])
            carry, row = results[: len(carry)], results[len(carry) :]
            rows.append(row)
        return [
            *carry,
            *(numpy_of(column[0]).stack(column) for column in zip(*rows[:: -1 if params["reverse"] else 1], strict=True)),
        ]

    def _while(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        params = equation.params
        first, last = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        state = values[last:]
        while True:
            self._spend(OPERATION)
            (on,) = self._closed(params["cond_jaxpr"], [*values[:first], *state])
            if on.dtype == object:
                raise UndecidedError
            if not on.any():
                return state
            after = self._closed(params["body_jaxpr"], [*values[first:last], *state])
            state = [where_decided(on, *pair) for pair in zip(after, state, strict=True)]

    def _cond(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        branches = equation.params["branches"]
        return self._closed(branches[min(max(decided_scalar(values[0]), 0), len(branches) - 1)], values[1:])


_CONTROL: dict[str, Callable[[_Evaluator, Any, list[Any]], Sequence[Any]]] = {
    "cond": _Evaluator._cond,
    "scan": _Evaluator._scan,
    "while": _Evaluator._while,
}


# Whole arrays.
