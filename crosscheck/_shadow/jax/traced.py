"""Trace programs of JAX to jaxprs on whole arrays, and find the constants in them before they were rounded."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxprs_in_params

from crosscheck._shadow.base import Program
from crosscheck._shadow.devices.whole import whole
from crosscheck._shadow.jax_equations import Constants, is_float, wide_of


def traced(program: Program, shapes: Sequence[Any]) -> ClosedJaxpr:
    """The program for arguments of these shapes and dtypes; one that several devices share is one on whole arrays."""
    return whole(jax.make_jaxpr(program)(*shapes))


def exact_constants(program: Program, shapes: Sequence[Any], narrow: ClosedJaxpr) -> Constants:
    """The constants of ``narrow`` before rounding, as far as the program traced in float64 shows them.

    That program may differ there, or raise, so a constant counts only if it is in the same place and rounds to the one in
    ``narrow``.
    """
    try:
        with jax.enable_x64(True), warnings.catch_warnings(action="ignore"):
            wide = traced(program, [jax.ShapeDtypeStruct(shape.shape, wide_of(shape.dtype)) for shape in shapes])
    except Exception:  # the program may raise anything at another dtype
        return {}
    constants: Constants = {}

    def compare(owner: Any, constant: Any, exact: Any) -> None:
        if is_float(constant) and is_float(exact) and exact.dtype == wide_of(constant.dtype):
            constant, exact = np.asarray(constant), np.asarray(exact)
            if constant.shape == exact.shape and np.array_equal(exact.astype(constant.dtype), constant):
                constants[id(owner)] = exact

    def walk(narrow: Jaxpr, wide: Jaxpr) -> None:
        # A cast to float32 is visible only in float64.
        pair = [[e for e in jaxpr.eqns if e.primitive.name != "convert_element_type"] for jaxpr in (narrow, wide)]
        for narrow_equation, wide_equation in zip(*pair, strict=False):
            if narrow_equation.primitive is not wide_equation.primitive:
                return
            for atom, other in zip(narrow_equation.invars, wide_equation.invars, strict=False):
                if isinstance(atom, Literal) and isinstance(other, Literal):
                    compare(atom, np.asarray(atom.val, atom.aval.dtype), np.asarray(other.val, other.aval.dtype))
            for inside, other in zip(
                jaxprs_in_params(narrow_equation.params), jaxprs_in_params(wide_equation.params), strict=False
            ):
                walk(inside, other)

    with np.errstate(all="ignore"):
        for constant, exact in zip(narrow.consts, wide.consts, strict=False):
            compare(constant, constant, exact)
        walk(narrow.jaxpr, wide.jaxpr)
    return constants
