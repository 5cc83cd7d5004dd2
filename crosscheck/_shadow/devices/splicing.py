"""Write a jaxpr: single equations, and what functions of JAX compute. Each gets the source of the equation it replaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, new_jaxpr_eqn

Atom = Any
"""A variable of a jaxpr, or a literal."""


class Writer:
    """A jaxpr that is being written; its variables have no sharding.

    Attributes:
        equations: The equations so far.
        source: The source of the equation that is being replaced, which all new equations get.
    """

    def __init__(self) -> None:
        self.equations: list[JaxprEqn] = []
        self.constants: list[tuple[Var, Any]] = []
        self.source: Any = None
        self._makers: dict[Any, JaxprEqn] = {}

    def maker(self, atom: Atom) -> JaxprEqn | None:
        """The equation that computes a variable, if one does."""
        return None if isinstance(atom, Literal) else self._makers.get(atom)

    def _write(self, equation: JaxprEqn) -> None:
        self.equations.append(equation)
        self._makers.update(dict.fromkeys(equation.outvars, equation))

    def constant(self, value: Any) -> Var:
        """A variable for an array that the program holds; a sharded one is held as a whole."""
        if isinstance(value, jax.Array) and len(value.devices()) > 1:
            value = np.asarray(value)
        var = Var(_aval(value.shape, value.dtype))
        self.constants.append((var, value))
        return var

    def equation(
        self, primitive: Any, operands: Sequence[Atom], params: Mapping[str, Any], results: Sequence[Any]
    ) -> list[Var]:
        """Write one equation; ``results`` are the shapes and dtypes of its results."""
        made = [Var(_aval(result.shape, result.dtype, getattr(result, "weak_type", False))) for result in results]
        effects = frozenset[Any]()
        self._write(new_jaxpr_eqn(list(operands), made, primitive, dict(params), effects, self.source))
        return made

    def call(self, function: Callable[..., Any], *operands: Atom) -> list[Atom]:
        """Write what a function of arrays computes, and return its results."""
        given = [operand for operand in operands if not isinstance(operand, Literal)]

        def of_variables(*arrays: Any) -> Any:
            left = iter(arrays)
            return function(*(_value(operand) if isinstance(operand, Literal) else next(left) for operand in operands))

        closed = jax.make_jaxpr(of_variables)(
            *(
                jax.ShapeDtypeStruct(operand.aval.shape, operand.aval.dtype, weak_type=operand.aval.weak_type)
                for operand in given
            )
        )
        return self.splice(closed, given)

    def splice(self, closed: ClosedJaxpr, operands: Sequence[Atom]) -> list[Atom]:
        """Write a program's equations, and return its results."""
        jaxpr = closed.jaxpr
        known: dict[Any, Atom] = dict(zip(jaxpr.constvars, map(self.constant, closed.consts), strict=True))
        known.update(zip(jaxpr.invars, operands, strict=True))

        def read(atom: Atom) -> Atom:
            return atom if isinstance(atom, Literal) else known[atom]

        for equation in jaxpr.eqns:
            made = [Var(variable.aval) for variable in equation.outvars]
            known.update(zip(equation.outvars, made, strict=True))
            source = self.source or equation.source_info
            self._write(equation.replace(invars=list(map(read, equation.invars)), outvars=made, source_info=source))
        return [read(atom) for atom in jaxpr.outvars]

    def close(self, arguments: Sequence[Var], results: Sequence[Atom], like: Jaxpr) -> ClosedJaxpr:
        """The program, without equations that no result needs; arguments and results have the names of those of ``like``."""
        needed = {atom for atom in results if not isinstance(atom, Literal)}
        kept: list[JaxprEqn] = []
        for equation in reversed(self.equations):
            if equation.effects or not needed.isdisjoint(equation.outvars):
                needed.update(atom for atom in equation.invars if not isinstance(atom, Literal))
                kept.append(equation)
        constants = [(var, value) for var, value in self.constants if var in needed]
        effects = frozenset[Any]().union(*(equation.effects for equation in kept))
        constvars = [var for var, _ in constants]
        jaxpr = Jaxpr(constvars, list(arguments), list(results), kept[::-1], effects, like.debug_info)
        return ClosedJaxpr(jaxpr, [value for _, value in constants])


def argument(like: Any, shape: Sequence[int] | None = None) -> Var:
    """A variable of the dtype of another one, without its sharding."""
    return Var(_aval(like.shape if shape is None else tuple(shape), like.dtype, getattr(like, "weak_type", False)))


def _aval(shape: Sequence[int], dtype: Any, weak_type: bool = False) -> Any:
    return jax.core.ShapedArray(tuple(shape), dtype, weak_type)


def _value(literal: Literal) -> Any:
    return np.asarray(literal.val, literal.aval.dtype)
