"""Equations of a jaxpr on small arrays, computed by NumPy: in float64, or in another dtype where it gives the same bits.

JAX compiles each operation for each shape, which takes far longer than the arithmetic on small arrays.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

_SMALL = 2**16
"""The number of elements from which what JAX compiles is so much faster than NumPy that compiling it pays."""

_ELEMENTWISE: Mapping[str, Callable[..., Any]] = {
    "abs": np.abs,
    "add": np.add,
    "add_any": np.add,
    "and": np.bitwise_and,
    "atan2": np.arctan2,
    "ceil": np.ceil,
    "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
    "cos": np.cos,
    "eq": np.equal,
    "erf": special.erf,
    "erf_inv": special.erfinv,
    "erfc": special.erfc,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "floor": np.floor,
    "ge": np.greater_equal,
    "gt": np.greater,
    "is_finite": np.isfinite,
    "le": np.less_equal,
    "log": np.log,
    "log1p": np.log1p,
    "logistic": special.expit,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "not": np.invert,
    "or": np.bitwise_or,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sign": np.sign,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "square": np.square,
    "sub": np.subtract,
    "tanh": np.tanh,
}

_REDUCTIONS: Mapping[str, Callable[..., Any]] = {
    "reduce_and": np.bitwise_and.reduce,
    "reduce_max": np.max,
    "reduce_min": np.min,
    "reduce_or": np.bitwise_or.reduce,
    "reduce_prod": np.prod,
    "reduce_sum": np.sum,
}


def _broadcast(x: Any, *, shape: Sequence[int], broadcast_dimensions: Sequence[int], **_: Any) -> Any:
    there = np.ones(len(shape), int)
    there[list(broadcast_dimensions)] = x.shape
    return np.broadcast_to(x.reshape(there), shape)


def _converted(x: Any, *, new_dtype: Any, **_: Any) -> Any:
    """None for a float that becomes an integer: NumPy leaves open what NaN and large numbers become."""
    kind = np.dtype(new_dtype).kind
    if kind in "fV":
        return x.astype(np.float64)
    return x.astype(new_dtype) if kind == "b" or x.dtype.kind != "f" else None


def _dot_general(x: Any, y: Any, *, dimension_numbers: Any, **_: Any) -> Any:
    """The product with the batch dimensions first, then those of x and of y that are not summed."""
    (x_summed, y_summed), (x_batch, y_batch) = dimension_numbers
    x_free, y_free = (
        [axis for axis in range(array.ndim) if axis not in (*summed, *batch)]
        for array, summed, batch in ((x, x_summed, x_batch), (y, y_summed, y_batch))
    )
    batch, rows, columns = ([array.shape[a] for a in axes] for array, axes in ((x, x_batch), (x, x_free), (y, y_free)))
    left = x.transpose(*x_batch, *x_free, *x_summed).reshape(*batch, int(np.prod(rows)), -1)
    right = y.transpose(*y_batch, *y_summed, *y_free).reshape(*batch, -1, int(np.prod(columns)))
    return (left @ right).reshape((*batch, *rows, *columns))


def _pad(x: Any, value: Any, *, padding_config: Sequence[tuple[int, int, int]], **_: Any) -> Any:
    if any(low < 0 or high < 0 or inside for low, high, inside in padding_config):
        return None
    return np.pad(x, [pair[:2] for pair in padding_config], constant_values=value)


def _select(which: Any, *cases: Any, **_: Any) -> Any:
    return np.where(which, cases[1], cases[0]) if which.dtype == bool and len(cases) == 2 else None


def _slice(x: Any, *, start_indices: Any, limit_indices: Any, strides: Any, **_: Any) -> Any:
    strides = strides or (1,) * x.ndim
    return x[tuple(map(slice, start_indices, limit_indices, strides))]


_OTHERS: Mapping[str, Callable[..., Any]] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda *several, dimension, **_: np.concatenate(several, dimension),
    "convert_element_type": _converted,
    "copy": lambda x, **_: x,
    "div": lambda x, y, **_: x / y if x.dtype == np.float64 else None,
    "dot_general": _dot_general,
    "integer_pow": lambda x, *, y, **_: x**y if x.dtype == np.float64 else None,
    "pad": _pad,
    "pow": lambda x, y, **_: x**y if x.dtype == y.dtype == np.float64 else None,
    "reshape": lambda x, *, new_sizes, dimensions, **_: x.reshape(new_sizes) if dimensions is None else None,
    "rev": lambda x, *, dimensions, **_: np.flip(x, tuple(dimensions)),
    "select_n": _select,
    "slice": _slice,
    "squeeze": lambda x, *, dimensions, **_: np.squeeze(x, tuple(dimensions)),
    "transpose": lambda x, *, permutation, **_: x.transpose(permutation),
}
"""Operations that need their parameters. None where JAX does something else than NumPy."""


def _converted_once(x: Any, *, new_dtype: Any, **_: Any) -> Any:
    """None where JAX may round twice, by way of float32, and for a float that becomes an integer."""
    is_float = x.dtype.kind in "fV"
    once = np.float32 in (x.dtype, new_dtype) if is_float else new_dtype == np.float32
    return x.astype(new_dtype) if once and np.dtype(new_dtype).kind in "fV" else None


def _divided(x: Any, y: Any, **_: Any) -> Any:
    """None for a divisor that is broadcast: XLA multiplies by its reciprocal instead."""
    return x / y if np.broadcast_shapes(x.shape, y.shape) == y.shape else None


def _without_parameters(compute: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arrays, **_: compute(*arrays)


def _reduction(compute: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, *, axes, **_: compute(x, axis=tuple(axes))


_ONE_ROUNDING = "abs add add_any and ceil eq floor ge gt is_finite le lt max min mul ne neg not or sqrt square sub"
_OF_ONE_ROUNDING: Mapping[str, Callable[..., Any]] = {
    **{name: _without_parameters(_ELEMENTWISE[name]) for name in _ONE_ROUNDING.split()},
    **{name: _reduction(_REDUCTIONS[name]) for name in ("reduce_and", "reduce_max", "reduce_min", "reduce_or")},
    **{name: compute for name, compute in _OTHERS.items() if name not in ("dot_general", "pow")},
    "convert_element_type": _converted_once,
    "div": _divided,
    "integer_pow": lambda x, *, y, **_: x * x if y == 2 else None,
}
"""Operations that round once at most, so that IEEE 754 says each bit of the result."""


def namespace(values: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    """What computes with these values, numpy or jax.numpy, and the values for it.

    NumPy computes with small real arrays of float64, integers or booleans that JAX does not trace. So ask with all values
    that take part: one that JAX traces, such as noise in a program that is compiled, is enough to need JAX.
    """
    return (np, [np.asarray(value) for value in values]) if _are_small(values, "float64") else (jnp, values)


def _are_small(values: Sequence[Any], *floats: str) -> bool:
    """Whether all are small arrays that JAX does not trace, of these dtypes, integers or booleans."""
    for value in values:
        kind = getattr(value, "dtype", None)
        known = isinstance(kind, np.dtype) and (kind.kind in "biu" or kind.name in floats)
        if not known or isinstance(value, jax.core.Tracer) or not 0 < value.size <= _SMALL:
            return False
    return True


def where(condition: Any, first: Any, second: Any) -> Any:
    """One value where a condition is true, and the other value elsewhere."""
    xp, values = namespace([condition, first, second])
    return xp.where(*values)


def moved(equation: Any, arrays: Sequence[Any]) -> Any:
    """The one result of an equation that only moves numbers, of any dtype and number: a view where NumPy has one.

    None if JAX has to compute it.
    """
    compute = _OTHERS.get(equation.primitive.name)
    return None if compute is None else compute(*arrays, **equation.params)


def computed(equation: Any, values: Sequence[Any]) -> Any:
    """The one result of an equation, perhaps of a narrower dtype than JAX gives it; None if JAX has to compute it."""
    name, params = equation.primitive.name, equation.params
    if not (name in _ELEMENTWISE or name in _REDUCTIONS or name in _OTHERS):
        return None
    xp, arrays = namespace(values)
    if xp is not np or not 0 < equation.outvars[0].aval.size <= _SMALL:
        return None
    with np.errstate(all="ignore"):
        if name in _ELEMENTWISE:
            return _ELEMENTWISE[name](*arrays)
        if name in _REDUCTIONS:
            return _reduction(_REDUCTIONS[name])(arrays[0], **params)
        return _OTHERS[name](*arrays, **params)


def computed_alike(equation: Any, values: Sequence[Any]) -> Any:
    """The one result of an equation in its own dtype, with the bits that JAX gives it; None if JAX has to compute it.

    JAX computes with subnormals, which it may flush to zero.
    """
    compute = _OF_ONE_ROUNDING.get(equation.primitive.name)
    if compute is None or not _are_small(values, "float64", "float32", "float16", "bfloat16"):
        return None
    arrays, wanted = [np.asarray(value) for value in values], equation.outvars[0].aval
    with np.errstate(all="ignore"):
        result = compute(*arrays, **equation.params)
    if result is None or not 0 < result.size <= _SMALL or result.dtype != wanted.dtype:
        return None
    return None if any(map(_has_subnormals, (*arrays, result))) else np.asarray(result)


def _has_subnormals(array: Any) -> bool:
    if array.dtype.kind not in "fV":
        return False
    return bool(((array != 0) & (np.abs(array) < jnp.finfo(array.dtype).tiny)).any())
