"""Equations of a jaxpr: how many terms they sum, which constants they hold, how they run on wider types."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxprs_in_params

from crosscheck._shadow.jax_numpy import computed

FORMATS = {(5, 10): "float16", (8, 7): "bfloat16", (8, 23): "float32", (4, 3): "float8_e4m3fn", (5, 2): "float8_e5m2"}


Constants = dict[int, Any]
"""Constants of a jaxpr before they were rounded to its dtypes, by the ``id`` of the object that holds them."""

DRAWS = ("random_bits", "random_gamma", "rng_bit_generator", "rng_uniform", "threefry2x32")


def draws(jaxpr: Jaxpr) -> bool:
    """Whether a program draws random numbers."""
    return any(
        equation.primitive.name in DRAWS or any(map(draws, jaxprs_in_params(equation.params))) for equation in jaxpr.eqns
    )


def scanned(params: Mapping[str, Any], values: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """The operands of a scan: constants, the carry, and the arrays that it runs over."""
    if "num_consts" in params:  # JAX before 0.12
        first, last = params["num_consts"], params["num_consts"] + params["num_carry"]
        return values[:first], values[first:last], values[last:]
    consts, start, inputs = params["ft_in"].update(values).unpack()
    return list(consts), list(start), list(inputs)


def shape_of(equation: Any, operand: int) -> tuple[int, ...]:
    return equation.invars[operand].aval.shape


def _size(shape: Sequence[int]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _reduced(equation: Any) -> int:
    return _size([shape_of(equation, 0)[axis] for axis in equation.params["axes"]])


def _along_axis(equation: Any) -> int:
    return shape_of(equation, 0)[equation.params["axis"]]


def _window(equation: Any) -> int:
    return _size(equation.params["window_dimensions"])


def _contracted(equation: Any) -> int:
    (axes, _), _ = equation.params["dimension_numbers"]
    return _size([shape_of(equation, 0)[axis] for axis in axes])


def _convolved(equation: Any) -> int:
    kernel = equation.params["dimension_numbers"].rhs_spec  # output features, input features, space
    return _size([shape_of(equation, 1)[axis] for axis in kernel[1:]])


def _scattered(equation: Any) -> int:
    """The average number of terms: all of them may meet in one element, but then most elements have one or none."""
    return 1 + _size(shape_of(equation, 2)) // max(1, _size(shape_of(equation, 0)))


SUMS: dict[str, Callable[[Any], int]] = {
    "conv_general_dilated": _convolved,
    "cumlogsumexp": _along_axis,
    "cumprod": _along_axis,
    "cumsum": _along_axis,
    "dot_general": _contracted,
    "ragged_dot_general": lambda equation: shape_of(equation, 0)[-1],
    "reduce_prod": _reduced,
    "reduce_sum": _reduced,
    "reduce_window_sum": _window,
    "scatter-add": _scattered,
    "scatter-mul": _scattered,
    "scatter-sub": _scattered,
    "select_and_scatter_add": _window,
}
"""Operations that round at every step, and the number of elements of which one result is made."""


def is_float(typed: Any) -> bool:
    """Whether a value is a float; complex numbers count as floats."""
    dtype = getattr(typed, "dtype", None)
    return dtype is not None and bool(jnp.issubdtype(dtype, np.inexact))


def is_complex(value: Any) -> bool:
    return is_float(value) and bool(jnp.issubdtype(value.dtype, np.complexfloating))


def wide_of(dtype: Any) -> Any:
    if jnp.issubdtype(dtype, np.complexfloating):
        return np.dtype(np.complex128)
    return np.dtype(np.float64) if jnp.issubdtype(dtype, np.floating) else dtype


def widened(constant: Any) -> Any:
    """A constant in float64: for a scalar, the decimal that was most probably written; an array unchanged.

    JAX rounds the 0.1 of ``0.1 * x`` to the dtype of x. In float64, the program has 0.1 itself, and so has the program with
    which it is compared.
    """
    if not is_float(constant):
        return constant
    wide = np.asarray(constant).astype(wide_of(constant.dtype))
    if wide.ndim or is_complex(wide) or not np.isfinite(wide):
        return wide
    return np.float64(_as_written(float(wide), constant.dtype))


def _as_written(value: float, dtype: Any) -> float:
    """The shortest decimal that the dtype rounds to ``value``.

    It is ``value`` itself if that has few bits, such as 2^-23, or is the largest number of the dtype, or the least.
    """
    fraction, _ = np.frexp(value)
    few = float(fraction * 2.0 ** (jnp.finfo(dtype).nmant // 2 + 1)).is_integer()
    if few or abs(value) == float(jnp.finfo(dtype).max):
        return value
    decimals = (float(f"{value:.{digits}g}") for digits in range(1, 17))
    with np.errstate(over="ignore"):  # the decimal of a large number may be above the largest one
        return next((decimal for decimal in decimals if float(np.asarray(decimal).astype(dtype)) == value), value)


def is_scaling(equation: Any) -> bool:
    """Whether this multiplies or divides by a power of two."""
    name, atoms = equation.primitive.name, equation.invars
    factors = atoms if name == "mul" else atoms[1:] if name == "div" else ()
    return any(
        isinstance(atom, Literal) and abs(np.frexp(np.float64(np.real(atom.val)))[0]) in (0.5, 0.0) for atom in factors
    )


def bind(equation: Any, values: Sequence[Any]) -> Sequence[Any]:
    """Run the same operation on wide values."""
    result = computed(equation, values)
    if result is not None:
        return [np.asarray(result, wide_of(equation.outvars[0].aval.dtype))]
    results = equation.primitive.bind(*values, **_wide_parameters(equation.params))
    return results if equation.primitive.multiple_results else [results]


def _wide_parameters(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _wide_parameter(name, value) for name, value in params.items()}


def _wide_parameter(name: str, value: Any) -> Any:
    if name in ("precision", "accuracy"):  # they select how a narrower result is computed
        return None
    is_dtype = isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic))
    return wide_of(np.dtype(value)) if is_dtype else value


def rebuild(equation: Any, values: Sequence[Any]) -> Sequence[Any]:
    """As ``bind``; a scatter is made again, since its parameters hold a program for two narrow numbers.

    A convolution along one axis is made one along two: in float64, XLA has a fast one for a CPU along two axes alone.
    """
    name, params = equation.primitive.name, equation.params
    if name == "conv_general_dilated" and len(params["window_strides"]) == 1:
        padding, numbers = (*params["padding"], (0, 0)), [(*axes, 3) for axes in params["dimension_numbers"]]
        along_two = {key: (*params[key], 1) for key in ("window_strides", "lhs_dilation", "rhs_dilation")}
        along_two |= {"padding": padding, "dimension_numbers": lax.ConvDimensionNumbers(*numbers)}
        values = [jnp.expand_dims(value, 3) for value in values]
        return [jnp.squeeze(lax.conv_general_dilated_p.bind(*values, **_wide_parameters(params | along_two)), 3)]
    if not name.startswith("scatter"):
        return bind(equation, values)
    options = {key: params[key] for key in ("indices_are_sorted", "unique_indices", "mode")}
    return [getattr(lax, name.replace("-", "_"))(*values, params["dimension_numbers"], **options)]


def closed_program(program: Any, consts: Sequence[Any] = ()) -> ClosedJaxpr:
    return program if isinstance(program, ClosedJaxpr) else ClosedJaxpr(program, consts)


def inner_program(equation: Any) -> ClosedJaxpr | None:
    """The program that an equation calls with its own operands, as in ``jit``, ``checkpoint`` and custom derivatives."""
    for value in equation.params.values():
        if isinstance(value, ClosedJaxpr | Jaxpr):
            jaxpr = value.jaxpr if isinstance(value, ClosedJaxpr) else value
            if _shapes(jaxpr.invars) == _shapes(equation.invars) and _shapes(jaxpr.outvars) == _shapes(equation.outvars):
                return closed_program(value)
    return None


def is_exp_of_minus_square(equation: Any) -> bool:
    """Whether an equation calls exp(-x^2) as JAX has it since 0.12.

    That program splits the bits of a float of one dtype; wider floats and balls do not have these bits.
    """
    if equation.primitive.name != "custom_jvp_call":
        return False
    info = closed_program(equation.params["call_jaxpr"]).jaxpr.debug_info
    return info.func_name == "exp_neg_sq" and Path(info.func_filename or "").parts[-4:] == ("jax", "_src", "lax", "erf.py")


def implementation(equation: Any, x64: bool) -> ClosedJaxpr | None:
    """The program that implements a primitive by other primitives; None if there is none."""
    primitive = equation.primitive
    shapes = [jax.ShapeDtypeStruct(atom.aval.shape, atom.aval.dtype) for atom in equation.invars]
    try:
        with jax.enable_x64(x64):
            closed = jax.make_jaxpr(lambda *arrays: primitive.impl(*arrays, **equation.params))(*shapes)
    except Exception:  # the implementation may raise anything when it is traced
        return None
    return None if _contains(closed.jaxpr, primitive) else closed


def _shapes(atoms: Sequence[Any]) -> list[Any]:
    return [getattr(atom.aval, "shape", None) for atom in atoms]


def _contains(jaxpr: Any, primitive: Any) -> bool:
    return any(
        equation.primitive is primitive or any(_contains(inside, primitive) for inside in jaxprs_in_params(equation.params))
        for equation in jaxpr.eqns
    )
