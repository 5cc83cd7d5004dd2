"""A JAX program in ball arithmetic: its jaxpr, evaluated on Arb's balls until every result is known to the last bit.

This is the truth where there is no wider dtype to run in. Floats are object arrays of balls, anything else is an ordinary
array. A comparison that balls cannot decide is None among booleans, and what it selects from becomes one ball around all of
it. A NaN ball is a number that nothing is known of. Infinities stand for themselves as far as a mask needs that.
"""

# ruff: noqa: SIM905 - a list would take a line a name

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cmp_to_key
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flint import arb, arb_mat
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._shadow.base import Array, Program
from crosscheck._shadow.jax_lift import (
    closed_program,
    implementation,
    inner_program,
    is_exp_of_minus_square,
    is_float,
    scanned,
    widened,
)
from crosscheck._truth.balls import UndecidedError, precision
from crosscheck._truth.decide import decide_many
from crosscheck._truth.elements import (
    ACCUMULATIONS,
    COSTS,
    FOLDS,
    FUNCTIONS,
    LEVELS,
    SCATTERS,
    WITH_PARAMETERS,
    add,
    equal,
    integer,
    less,
    negation,
)

BUDGET = 10**6
"""Microseconds that a program may take at each level: not measured, which would make results depend on the machine, but by
what its operations take in general.
"""
OPERATION, OPENING = 30, 5000
"""Microseconds that it takes to begin an operation, and to find the program inside a primitive."""
PRODUCTS = 32
"""Products inside a product of matrices that take as long as an element does elsewhere."""


class _BeyondBallsError(Exception):
    """The program has an operation that balls have not, or too many of them."""


def enclose(program: Program, arguments: Sequence[Array]) -> list[Array] | None:
    """What ``program`` gives in exact arithmetic at ``arguments``, correctly rounded to float64; None if it cannot be told.

    The program is traced for float64. A float in it or among the arguments is the number that it holds; a narrower one that
    is written into the program is the decimal, as in ``jax_lift``, and a cast to a narrower dtype does nothing. A float
    result is NaN where no number exists, where it depends on an argument that is not finite, and where the enclosure stays
    too wide to round. Other results are as they are. None is for a program with an operation that has no counterpart in
    balls, that goes on by an undecidable comparison, or that takes more than ``BUDGET``. A failure to trace passes through.
    """
    if any(map(np.iscomplexobj, arguments)):
        return None
    given = [np.asarray(a, np.float64) if is_float(a) else np.asarray(a) for a in arguments]
    found: list[Array] | None = None
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]), np.errstate(all="ignore"):
        closed = jax.make_jaxpr(program)(*[jax.ShapeDtypeStruct(a.shape, a.dtype) for a in given])
        for level, bits in enumerate(LEVELS):
            try:
                with precision(bits):
                    enclosures = _Evaluator(level).program(closed, given)
                    found = [_rounded(one, found[k] if found else None) for k, one in enumerate(enclosures)]
            except UndecidedError:
                continue
            except _BeyondBallsError:
                break
            if not any(np.isnan(one).any() for one in found if is_float(one)):
                break
    return found


def _entered(argument: Array) -> Array:
    return _each(lambda x: arb(x) if math.isfinite(x) else arb.nan(), argument) if is_float(argument) else argument


def _rounded(value: Array, before: Array | None) -> Array:
    """One result; what ``before`` knows already stays."""
    if value.dtype != object:
        return value
    if any(ball is None or isinstance(ball, bool) for ball in value.flat):
        raise UndecidedError
    rounded, _, _, decided = decide_many(list(value.flat), FORMATS["float64"])
    found = np.where(decided, rounded, np.nan).reshape(value.shape)
    return found if before is None else np.where(np.isnan(before), found, before)


class _Evaluator:
    """Runs a jaxpr on balls, at flint's precision of the moment."""

    def __init__(self, level: int) -> None:
        self._level, self._left = level, float(BUDGET)

    def program(self, closed: ClosedJaxpr, arguments: Sequence[Array]) -> list[Any]:
        self._spend(sum(argument.size for argument in arguments))
        return self._closed(closed, [_entered(argument) for argument in arguments])

    def _closed(self, closed: ClosedJaxpr, arguments: Sequence[Any]) -> list[Any]:
        self._spend(sum(math.prod(const.shape) for const in closed.consts))
        return self._run(closed.jaxpr, [_constant(const) for const in closed.consts], arguments)

    def _run(self, jaxpr: Jaxpr, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        self._spend(sum(map(self._cost, jaxpr.eqns)))
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))

        def read(atom: Any) -> Any:
            return _constant(np.asarray(atom.val, atom.aval.dtype)) if isinstance(atom, Literal) else values[atom]

        for equation in jaxpr.eqns:
            with equation.ctx.manager:
                results = self._run_equation(equation, [read(atom) for atom in equation.invars])
            values.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _run_equation(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        name = equation.primitive.name
        if not equation.outvars:  # prints
            return []
        if name in _SAME:
            return values
        if name in _CONTROL:
            return _CONTROL[name](self, equation, values)
        if is_exp_of_minus_square(equation):
            return [_each(lambda a: (-a * a).exp(), values[0])]
        inside = inner_program(equation)
        if inside is not None:
            return self._closed(inside, values)
        undecided = any(v.dtype == object and not is_float(a.aval) for v, a in zip(values, equation.invars, strict=True))
        if undecided and name not in _OF_BOOLEANS:
            raise UndecidedError
        if name in _CONVERSIONS or (_has_balls(values) and name in _OPERATIONS):
            return _listed(_OPERATIONS[name](equation, values))
        if not _has_balls(values):
            if name not in _MADE_OF_INTEGERS and any(is_float(atom.aval) for atom in equation.outvars):
                raise _BeyondBallsError(name)
            results = equation.primitive.bind(*values, **equation.params)
            results = results if equation.primitive.multiple_results else [results]
            return [_exact(r) if is_float(r) else _constant(r) for r in results]
        self._spend(OPENING)
        inside = implementation(equation, x64=True)
        if inside is None:
            raise _BeyondBallsError(name)
        return self._closed(inside, values)

    def _cost(self, equation: Any) -> float:
        """Microseconds, without those of the programs inside."""
        name = equation.primitive.name
        sizes = [
            sum(math.prod(getattr(a.aval, "shape", ())) for a in atoms) for atoms in (equation.invars, equation.outvars)
        ]
        if name in _CONTROL or inner_program(equation) is not None:
            return OPERATION
        if name == "dot_general":
            (axes, _), _ = equation.params["dimension_numbers"]
            sizes[1] *= max(1, math.prod(equation.invars[0].aval.shape[axis] for axis in axes) // PRODUCTS)
        if name in _SORTS:
            sizes[0] *= sizes[0].bit_length()
        return OPERATION + max(sizes) * (COSTS[name][self._level] if name in COSTS else 1)

    def _spend(self, microseconds: float) -> None:
        self._left -= microseconds
        if self._left < 0:
            raise _BeyondBallsError("too much")

    def _scan(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        params = equation.params
        consts, carry, inputs = scanned(params, values)
        inside, steps = closed_program(params["jaxpr"]), range(params["length"])
        if not steps:
            raise _BeyondBallsError("scan over nothing")
        rows = []
        for i in reversed(steps) if params["reverse"] else steps:
            self._spend(OPERATION)
            results = self._closed(inside, [*consts, *carry, *(x[i, ...] for x in inputs)])
            carry, row = results[: len(carry)], results[len(carry) :]
            rows.append(row)
        return [
            *carry,
            *(_numpy(column[0]).stack(column) for column in zip(*rows[:: -1 if params["reverse"] else 1], strict=True)),
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
            state = [_where(on, *pair) for pair in zip(after, state, strict=True)]

    def _cond(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        branches = equation.params["branches"]
        return self._closed(branches[min(max(_decided(values[0]), 0), len(branches) - 1)], values[1:])


_CONTROL: dict[str, Callable[[_Evaluator, Any, list[Any]], Sequence[Any]]] = {
    "cond": _Evaluator._cond,
    "scan": _Evaluator._scan,
    "while": _Evaluator._while,
}

_SAME = frozenset(
    """
    copy copy_p device_put layout_constraint name optimization_barrier pvary reduce_precision reshard sharding_constraint
    stop_gradient
    """.split()
)
_MADE_OF_INTEGERS = frozenset(["bitcast_convert_type", "empty", "empty2", "iota"])
"""What makes floats of no floats, and exactly."""


def _constant(value: Any) -> Any:
    """As a value of the evaluator: a narrow scalar by its decimal."""
    if not is_float(value):
        return value if jnp.issubdtype(value.dtype, jax.dtypes.extended) else np.asarray(value)
    if jnp.issubdtype(value.dtype, np.complexfloating):
        raise _BeyondBallsError("complex")
    return _exact(widened(value))


def _exact(value: Any) -> Array:
    return _each(arb, np.asarray(value, np.float64))


def _has_balls(values: Sequence[Any]) -> bool:
    """Or booleans that are not all decided."""
    return any(value.dtype == object for value in values)


def _listed(result: Any) -> Sequence[Any]:
    return result if isinstance(result, list) else [result]


def _numpy(value: Any) -> Any:
    """The module that arrays such as this are for: keys are JAX's own."""
    return np if isinstance(value, np.ndarray) else jnp


def _where(on: Array, new: Any, old: Any) -> Any:
    """Under ``vmap`` each element of a batch leaves a loop by itself; the axes of ``on`` are the first of the others'."""
    return _numpy(new).where(on.reshape(on.shape + (1,) * (new.ndim - on.ndim)), new, old) if on.ndim else new


def _decided(scalar: Any) -> int:
    if scalar.item() is None:
        raise UndecidedError
    return int(scalar.item())


def _objects(items: Iterable[Any], shape: tuple[int, ...]) -> Array:
    flat = np.empty(math.prod(shape), object)
    flat[:] = list(items)
    return flat.reshape(shape)


def _each(f: Callable[..., Any], *values: Any) -> Array:
    return _array(np.frompyfunc(f, len(values), 1)(*values))


def _array(result: Any) -> Array:
    """numpy makes a plain object of an array without axes."""
    return result if isinstance(result, np.ndarray) else _objects([result], ())


def _typed(result: Array, aval: Any) -> Array:
    """Objects that are not balls, in their own dtype; booleans stay objects where one is undecided."""
    if is_float(aval):
        return result
    if any(one is None for one in result.flat):
        if aval.dtype == bool:
            return result
        raise UndecidedError
    return result.astype(aval.dtype)


# Whole arrays.


def _elementwise(equation: Any, values: list[Any]) -> Array:
    name = equation.primitive.name
    f = FUNCTIONS[name] if name in FUNCTIONS else WITH_PARAMETERS[name](equation.params)
    return _typed(_each(f, *values), equation.outvars[0].aval)


def _convert(equation: Any, values: list[Any]) -> Any:
    (value,), (source,), target = values, equation.invars, equation.outvars[0].aval
    if is_float(target):
        if is_float(source.aval):
            return value
        return _each(lambda x: arb(int(x)) if x is not None else arb(0).union(arb(1)), value)
    if value.dtype != object:
        return np.asarray(lax.convert_element_type(value, target.dtype))
    if not is_float(source.aval):
        return _typed(value, target)
    return _typed(_each((lambda a: negation(equal(a, arb(0)))) if target.dtype.kind == "b" else integer, value), target)


def _fold(equation: Any, values: list[Any]) -> Array:
    f, start = FOLDS[equation.primitive.name]
    axes = equation.params["axes"]
    moved = np.moveaxis(values[0], axes, range(-len(axes), 0))
    rows = moved.reshape(*moved.shape[: moved.ndim - len(axes)], math.prod(moved.shape[moved.ndim - len(axes) :]))
    if not rows.shape[-1]:
        return _each(lambda _: start if isinstance(start, bool) else arb(start), np.empty(rows.shape[:-1]))
    return _typed(_array(np.frompyfunc(f, 2, 1).reduce(rows, axis=-1)), equation.outvars[0].aval)


def _accumulate(equation: Any, values: list[Any]) -> Array:
    axis, reverse, name = equation.params["axis"], equation.params["reverse"], equation.primitive.name
    x = np.flip(values[0], axis) if reverse else values[0]
    if name == "cumlogsumexp":
        sums: Array = np.frompyfunc(add, 2, 1).accumulate(_each(arb.exp, x), axis=axis)
        result = _each(arb.log, sums)
    else:
        result = np.frompyfunc(ACCUMULATIONS[name], 2, 1).accumulate(x, axis=axis)
    return np.flip(result, axis) if reverse else result


def _dot(equation: Any, values: list[Any]) -> Array:
    contracted, batched = equation.params["dimension_numbers"]
    free = [
        [axis for axis in range(value.ndim) if axis not in (*used, *batch)]
        for value, used, batch in zip(values, contracted, batched, strict=True)
    ]
    a = values[0].transpose(*batched[0], *free[0], *contracted[0])
    b = values[1].transpose(*batched[1], *contracted[1], *free[1])
    shape = (*a.shape[: a.ndim - len(contracted[0])], *b.shape[b.ndim - len(free[1]) :])
    count, columns = math.prod(a.shape[: len(batched[0])]), math.prod(b.shape[b.ndim - len(free[1]) :])
    inner = math.prod(a.shape[a.ndim - len(contracted[0]) :])
    rows = math.prod(a.shape[len(batched[0]) : a.ndim - len(contracted[0])])
    entries: list[Any] = []
    for left, right in zip(a.reshape(count, rows * inner), b.reshape(count, inner * columns), strict=True):
        entries += (arb_mat(rows, inner, list(left)) * arb_mat(inner, columns, list(right))).entries()
    return _objects(entries, shape)


def _order(keys: Sequence[Array], *, descending: bool = False) -> Array:
    """The places along the last axis in the order of the keys, the first one first; equal elements stay in order."""
    shape = keys[0].shape
    places = np.empty((math.prod(shape[:-1]), shape[-1]), np.int64)
    for i, rows in enumerate(zip(*(key.reshape(places.shape).tolist() for key in keys), strict=True)):

        def compare(p: int, q: int, rows: Any = rows) -> int:
            for row in rows:
                before, after = less(row[p], row[q]), less(row[q], row[p])
                if before is None or after is None:
                    raise UndecidedError
                if before or after:
                    return -1 if before != descending else 1
            return 0

        places[i] = sorted(range(shape[-1]), key=cmp_to_key(compare))
    return places.reshape(shape)


def _sort(equation: Any, values: list[Any]) -> list[Array]:
    axis = equation.params["dimension"]
    order = _order([np.moveaxis(value, axis, -1) for value in values[: equation.params["num_keys"]]])
    return [np.take_along_axis(value, np.moveaxis(order, -1, axis), axis) for value in values]


def _top_k(equation: Any, values: list[Any]) -> list[Array]:
    axis = equation.params.get("axis", -1)
    order = _order([np.moveaxis(values[0], axis, -1)], descending=True)[..., : equation.params["k"]]
    order = np.moveaxis(order, -1, axis)
    return [np.take_along_axis(values[0], order, axis), order.astype(equation.outvars[1].aval.dtype)]


def _extreme(equation: Any, values: list[Any]) -> Array:
    (axis,) = equation.params["axes"]
    order = _order([np.moveaxis(values[0], axis, -1)], descending=equation.primitive.name == "argmax")
    return order[..., 0].astype(equation.outvars[0].aval.dtype)


def _move(equation: Any, values: list[Any]) -> list[Any]:
    """Whatever only moves data, by moving the places of its elements."""
    params, dtype = dict(equation.params), equation.outvars[0].aval.dtype
    filling = arb.nan()
    if params.get("fill_value") is not None:
        filling = arb(params["fill_value"])
    if "fill_value" in params:
        params["fill_value"] = -1
    operands, elements, start = [], [], 0
    for atom, value in zip(equation.invars, values, strict=True):
        if atom.aval.dtype != dtype:
            operands.append(value)
            continue
        operands.append(np.arange(start, start + value.size).reshape(value.shape))
        elements.append(value.astype(object).ravel())
        start += value.size
    source = np.concatenate([*elements, _objects([filling], (1,))])
    places = equation.primitive.bind(*operands, **params)
    moved = [np.asarray(one) for one in (places if equation.primitive.multiple_results else [places])]
    return [source[one.ravel()].reshape(one.shape) for one in moved]


def _scatter(equation: Any, values: list[Any]) -> Array:
    (operand, indices, updates), numbers = values, equation.params["dimension_numbers"]
    single = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    window = iter(numbers.update_window_dims)
    gathering = lax.GatherDimensionNumbers(
        offset_dims=numbers.update_window_dims,
        collapsed_slice_dims=numbers.inserted_window_dims,
        start_index_map=numbers.scatter_dims_to_operand_dims,
        operand_batching_dims=numbers.operand_batching_dims,
        start_indices_batching_dims=numbers.scatter_indices_batching_dims,
    )
    sizes = [1 if axis in single else updates.shape[next(window)] for axis in range(operand.ndim)]
    places = np.arange(operand.size).reshape(operand.shape)
    mode = equation.params["mode"]
    targets = np.asarray(lax.gather(places, indices, gathering, tuple(sizes), mode=mode, fill_value=-1))
    result, f = operand.ravel().copy(), SCATTERS[equation.primitive.name]
    for target, update in zip(targets.ravel().tolist(), updates.ravel(), strict=True):
        if target >= 0:
            result[target] = f(result[target], update)
    return result.reshape(operand.shape)


def _broadcast(equation: Any, values: list[Any]) -> Array:
    shape, kept = equation.params["shape"], equation.params["broadcast_dimensions"]
    ones = [1] * len(shape)
    for axis, size in zip(kept, values[0].shape, strict=True):
        ones[axis] = size
    return np.broadcast_to(values[0].reshape(ones), shape)


_CONVERSIONS = {"convert_element_type": _convert}
_SORTS = {"argmax": _extreme, "argmin": _extreme, "sort": _sort, "top_k": _top_k}
_MOVES: dict[str, Callable[[Any, list[Any]], Any]] = {
    **dict.fromkeys("dynamic_slice dynamic_update_slice gather pad slice split stack tile unstack".split(), _move),
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda equation, values: np.concatenate(values, equation.params["dimension"]),
    "reshape": lambda equation, values: values[0].reshape(equation.params["new_sizes"]),
    "rev": lambda equation, values: np.flip(values[0], equation.params["dimensions"]),
    "squeeze": lambda equation, values: np.squeeze(values[0], tuple(equation.params["dimensions"])),
    "transpose": lambda equation, values: values[0].transpose(equation.params["permutation"]),
}

_OPERATIONS: dict[str, Callable[[Any, list[Any]], Any]] = {
    **_CONVERSIONS,
    **_MOVES,
    **_SORTS,
    **dict.fromkeys([*FUNCTIONS, *WITH_PARAMETERS], _elementwise),
    **dict.fromkeys(FOLDS, _fold),
    **dict.fromkeys([*ACCUMULATIONS, "cumlogsumexp"], _accumulate),
    **dict.fromkeys(SCATTERS, _scatter),
    "dot_general": _dot,
}
_OF_BOOLEANS = frozenset("and eq ne not or reduce_and reduce_or select_n xor".split()) | _CONVERSIONS.keys() | _MOVES.keys()
"""What is done with booleans of which some are undecided."""
