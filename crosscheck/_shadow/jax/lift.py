"""A JAX program in float64: its jaxpr, interpreted with every narrower float widened, clean or under noise.

The interpreter runs once, under ``jax.jit``. The size of the noise, its seed and the flushing of subnormals are arguments of
this one compiled program. So a clean run is the noisy program with a unit of zero: it multiplies by exactly one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from crosscheck._shadow.base import Array, Met, Noise, Program, reduction_factor, tracing
from crosscheck._shadow.jax.large_weights import LargeWeight, product
from crosscheck._shadow.jax.noise import QUIET, compiled, disturb, disturb_and_flush, mixed, seed_of
from crosscheck._shadow.jax.operations import BITWISE, EXACT, OPAQUE, ROUNDED
from crosscheck._shadow.jax.traced import exact_constants, traced
from crosscheck._shadow.jax_equations import (
    FORMATS,
    SUMS,
    Constants,
    bind,
    closed_program,
    draws,
    implementation,
    inner_program,
    is_complex,
    is_exp_of_minus_square,
    is_float,
    is_scaling,
    rebuild,
    scanned,
    shape_of,
    wide_of,
    widened,
)
from crosscheck._shadow.jax_numpy import namespace

_COMPILER_OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,  # these take half of the compilation time
}
_UNOPTIMIZED_ELEMENTS = 10_000
"""The mean number of elements per rounding above which slow code costs more, in some 17 runs, than compiling it well."""

_NOISY_TRIPS = 4096
"""Noise stops after this many trips of a ``while``: a loop until nothing changes might never end under noise."""


class JaxLifted:
    """A JAX program in float64; see ``crosscheck._shadow.base.Lifted``."""

    def __init__(self, closed: ClosedJaxpr, dtype: str, constants: Constants) -> None:
        self.closed, self.dtype, self.constants = closed, dtype, constants
        self._narrow: set[str] = set()
        self._opaque: set[str] = set()
        self.constant_values = [constants.get(id(const), widened(const)) for const in closed.consts]
        self._compiled: Callable[..., Any] | None = None

    def run(self, arguments: Sequence[Array], noise: Noise | None = None) -> list[Array]:
        return self._run(arguments, noise or QUIET)

    def run_flushed(self, arguments: Sequence[Array]) -> list[Array]:
        """A clean run in which results below the normal numbers of the dtype become zero, as on some backends."""
        return self._run(arguments, QUIET, flush=1.0)

    @property
    def met(self) -> Met:
        return Met(narrow=frozenset(self._narrow), opaque=frozenset(self._opaque))

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers."""
        return draws(self.closed.jaxpr)

    def _run(self, arguments: Sequence[Array], noise: Noise, flush: float = 0.0, *more: Any) -> list[Array]:
        given = [
            np.asarray(argument).astype(wide_of(aval.dtype))
            for argument, aval in zip(arguments, self.closed.in_avals, strict=True)
        ]
        run_time = (seed_of(noise), np.float64(noise.unit), np.float64(flush), *more)
        with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
            if self._compiled is None:
                self._compiled = self._compile(run_time, self.constant_values, given)
            return [np.asarray(result) for result in self._compiled(run_time, self.constant_values, given)]

    def _interpreter(self, seed: Any, unit: Any, flush: Any) -> "Interpreter":
        return Interpreter(self.dtype, self.constants, seed, unit, flush)

    def _compile(self, *arguments: Any) -> Callable[..., Any]:
        elements = [0, 0]

        def program(run_time: Sequence[Any], consts: Sequence[Any], given: Sequence[Any]) -> list[Any]:
            interpreter = self._interpreter(*run_time)
            results = interpreter.run(self.closed.jaxpr, consts, given)
            self._narrow |= interpreter.narrow
            self._opaque |= interpreter.opaque
            elements[:] = interpreter.elements, interpreter.roundings
            return results

        lowered = jax.jit(program).lower(*arguments)
        if elements[0] <= _UNOPTIMIZED_ELEMENTS * elements[1]:
            with suppress(jax.errors.JaxRuntimeError):  # another version of XLA may lack the options
                return lowered.compile(compiler_options=_COMPILER_OPTIONS)
        return lowered.compile()


def lift(program: Program, arguments: Sequence[Any], dtype: str) -> JaxLifted:
    """Lift ``program``, traced for arguments of these shapes and dtypes; float ones have ``dtype``."""
    with jax.enable_x64(dtype == "float64"), tracing():
        dtypes = [jax.dtypes.canonicalize_dtype(argument.dtype) for argument in arguments]
        shapes = [jax.ShapeDtypeStruct(np.shape(argument), kind) for argument, kind in zip(arguments, dtypes, strict=True)]
        closed = traced(program, shapes)
    return JaxLifted(closed, dtype, exact_constants(program, shapes, closed) if dtype != "float64" else {})


class Interpreter:
    """Runs a jaxpr on widened values."""

    def __init__(self, dtype: str, constants: Constants, seed: Any, unit: Any, flush: Any) -> None:
        self.narrow: set[str] = set()
        self.opaque: set[str] = set()
        self.elements = self.roundings = 0
        self._format = jnp.finfo(dtype)
        self._constants = constants
        self._x64 = dtype == "float64"
        self._seed, self._unit, self._flush = seed, unit, flush
        self._trips = 1
        self._numbered = 0
        self._silent = False

    def seeded(self, noise: Noise) -> "Interpreter":
        """An interpreter of the same program with this noise."""
        interpreter = copy(self)
        interpreter.narrow, interpreter.opaque = set(), set()
        interpreter.elements = interpreter.roundings = interpreter._numbered = 0
        interpreter._silent = False
        interpreter._seed, interpreter._unit = seed_of(noise), np.float64(noise.unit)
        return interpreter

    def run(self, jaxpr: Jaxpr, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
        values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *arguments], strict=True))

        def read(atom: Any) -> Any:
            return self.literal(atom) if isinstance(atom, Literal) else values[atom]

        for equation in jaxpr.eqns:
            with equation.ctx.manager:
                results = self.run_equation(equation, [read(atom) for atom in equation.invars])
            values.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _closed(self, closed: ClosedJaxpr, arguments: Sequence[Any]) -> list[Any]:
        return self.run(closed.jaxpr, [widened(const) for const in closed.consts], arguments)

    def literal(self, atom: Any) -> Any:
        """A constant in an equation."""
        if id(atom) in self._constants:
            return self._constants[id(atom)]
        return widened(np.asarray(atom.val, atom.aval.dtype))

    def run_equation(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        name = equation.primitive.name
        for atom in equation.outvars:
            self._log(getattr(atom.aval, "dtype", None))
        if name == "convert_element_type":
            return self._cast(equation, values)
        if name == "reduce_precision":
            return self._reduce_precision(equation, values)
        if name in _SPECIAL:
            return _SPECIAL[name](self, equation, values)
        if name in EXACT and not (name in ("abs", "sign") and is_complex(values[0])):
            return bind(equation, values)
        if name in ROUNDED or name in ("abs", "sign"):
            return self._finish(equation, bind(equation, values), noisy=not is_scaling(equation))
        if name in SUMS:
            width = reduction_factor(SUMS[name](equation)) * self.share(getattr(equation.invars[0].aval, "dtype", None))
            noisy = [self._noisy(value, width) for value in values]
            by_parts = any(isinstance(value, LargeWeight) for value in noisy)
            results = [product(equation.params, noisy)] if by_parts else rebuild(equation, noisy)
            return self._finish(equation, results, reduction_factor(SUMS[name](equation)))
        if name in OPAQUE:
            # backward stable: their rounding is like a rounding of their operands
            self.opaque.add(name)
            width = reduction_factor(max(shape_of(equation, 0)[-2:], default=1))
            return self._finish(equation, bind(equation, [self._noisy(value, width) for value in values]), width)
        return self._unknown(equation, values)

    def _cast(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        """A cast: one from more digits than the program's dtype has rounds to that dtype."""
        made = bind(equation, values)
        given, own = (getattr(atom.aval, "dtype", None) for atom in (equation.invars[0], equation.outvars[0]))
        rounds = self.share(given) < 1.0 == self.share(own)
        return [self._noisy(value, 1.0) for value in made] if rounds else made

    def share(self, dtype: Any) -> float:
        """The rounding of a dtype, as a share of that of the program's: less than 1 for one that has more digits."""
        if dtype is None or not jnp.issubdtype(dtype, np.inexact):
            return 1.0
        return min(1.0, float(jnp.finfo(dtype).eps) / float(self._format.eps))

    def _log(self, dtype: Any) -> None:
        if dtype is not None and jnp.issubdtype(dtype, np.inexact) and jnp.finfo(dtype).nmant < self._format.nmant:
            self.narrow.add(jnp.finfo(dtype).dtype.name)

    # Noise.

    def _finish(self, equation: Any, results: Sequence[Any], width: float = 1.0, noisy: bool = True) -> list[Any]:
        """Results just after rounding: with noise and, in a flushed run, without subnormals."""
        return [
            self._noisy(
                result, width * self.share(getattr(atom.aval, "dtype", None)) if noisy else 0.0, self._tiny(atom.aval)
            )
            for atom, result in zip(equation.outvars, results, strict=True)
        ]

    def _tiny(self, aval: Any) -> float:
        """The size below which a result is flushed; a wider dtype in the program has its own, smaller limit."""
        dtype = getattr(aval, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, np.inexact):
            return 0.0
        return min(float(jnp.finfo(dtype).tiny), float(self._format.tiny))

    def _noisy(self, value: Any, width: float, tiny: float = 0.0) -> Any:
        if is_complex(value):
            return lax.complex(self._noisy(lax.real(value), width, tiny), self._noisy(lax.imag(value), width, tiny))
        if self._silent or getattr(value, "dtype", None) != np.float64:
            return value
        self._numbered += 1
        self.elements += value.size * self._trips
        self.roundings += 1
        key, unit = self._seed ^ np.uint64(mixed(self._numbered)), self._unit * width
        if isinstance(value, LargeWeight):
            return replace(value, key=key, unit=unit)
        function, limit = (disturb, ()) if tiny == 0 else (disturb_and_flush, (self._flush * tiny,))
        xp, given = namespace((value, key, unit, *limit))
        if xp is np:
            with np.errstate(all="ignore"):  # the hash multiplies integers, which overflow
                return function(np, *given)
        return compiled(function, value.shape)(*given)

    def skip(self, value: Any) -> None:
        """Count noise on a value that gets none: all other noise is as if it had got some."""
        self._numbered += 1 + is_complex(value)

    # Control flow and other equations with programs inside.

    def _scan(self, equation: Any, values: list[Any]) -> list[Any]:
        params = equation.params
        consts, start, inputs = scanned(params, values)
        inside = closed_program(params["jaxpr"])

        def body(carry: list[Any], x: list[Any]) -> tuple[list[Any], list[Any]]:
            results = self._closed(inside, [*consts, *carry, *x])
            return results[: len(carry)], results[len(carry) :]

        trips, self._trips = self._trips, self._trips * params["length"]
        carry, results = lax.scan(body, start, inputs, params["length"], params["reverse"])
        self._trips = trips
        return [*carry, *results]

    def _while(self, equation: Any, values: list[Any]) -> list[Any]:
        params = equation.params
        first, last = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
        cond_consts, body_consts, start = values[:first], values[first:last], values[last:]

        def goes_on(state: list[Any]) -> Any:
            return self._closed(params["cond_jaxpr"], [*cond_consts, *state])[0]

        def body(carried: tuple[Any, Any, list[Any]]) -> tuple[Any, Any, list[Any]]:
            trip, on, state = carried
            with self._noise_until(trip):
                moved = self._closed(params["body_jaxpr"], [*body_consts, *state])
                # Under vmap, each element has its own condition, and stops when that is false.
                state = (
                    [lax.select(_spread(on, new), new, old) for new, old in zip(moved, state, strict=True)]
                    if on.ndim
                    else moved
                )
                return trip + 1, goes_on(state), state

        return list(lax.while_loop(lambda carried: carried[1].any(), body, (jnp.int64(0), goes_on(start), start))[2])

    @contextmanager
    def _noise_until(self, trip: Any) -> Iterator[None]:
        unit = self._unit
        self._unit = jnp.where(trip < _NOISY_TRIPS, unit, 0.0)
        try:
            yield
        finally:
            self._unit = unit

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        silent, self._silent = self._silent, True
        try:
            yield
        finally:
            self._silent = silent

    def _cond(self, equation: Any, values: list[Any]) -> list[Any]:
        def branch(closed: ClosedJaxpr) -> Callable[..., list[Any]]:
            return lambda *operands: self._closed(closed, operands)

        index, *operands = values
        branches = [branch(closed) for closed in equation.params["branches"]]
        return list(lax.switch(lax.convert_element_type(index, np.int32), branches, *operands))

    def _linear_solve(self, equation: Any, values: list[Any]) -> list[Any]:
        """Run only the solver: the product with the matrix is for derivatives, which are traced already."""
        lengths, solve = equation.params["const_lengths"], equation.params["jaxprs"].solve
        start = lengths.matvec + lengths.vecmat
        return self._closed(solve, [*values[start : start + lengths.solve], *values[sum(lengths) :]])

    def _unknown(self, equation: Any, values: list[Any]) -> list[Any]:
        """Run the program inside, from its parameters or its implementation; otherwise opaque, in the original dtypes."""
        inside = inner_program(equation) or implementation(equation, self._x64)
        if is_exp_of_minus_square(equation) and not self._x64:
            return self._finish(equation, [jnp.exp(-values[0] * values[0])])
        if inside is not None:
            return self._closed(inside, values)
        return self._narrowly(equation, values)

    def _narrowly(self, equation: Any, values: list[Any]) -> list[Any]:
        """Run an equation in the dtypes that the program has there."""
        if not equation.outvars:  # it prints
            return []
        if any(is_float(atom.aval) for atom in equation.invars) or equation.effects:
            self.opaque.add(equation.primitive.name)
        narrow = [
            lax.convert_element_type(value, atom.aval.dtype) if is_float(atom.aval) else value
            for value, atom in zip(values, equation.invars, strict=True)
        ]
        results = equation.primitive.bind(*narrow, **equation.params)
        results = results if equation.primitive.multiple_results else [results]
        wide = [lax.convert_element_type(r, wide_of(r.dtype)) if is_float(r) else r for r in results]
        return wide if equation.primitive.name in BITWISE else self._finish(equation, wide)

    def _polynomial(self, equation: Any, values: list[Any]) -> list[Any]:
        """Horner's rule, which rounds at every step."""
        x, *coefficients, total = values
        for coefficient in reversed(coefficients):
            (total,) = self._finish(equation, [total * x + coefficient])
        return [jnp.broadcast_to(total, equation.outvars[0].aval.shape)]

    def _reduce(self, equation: Any, values: list[Any]) -> list[Any]:
        """A reduction by any operation, which noise cannot enter."""
        params, half = equation.params, len(values) // 2
        name, inside = equation.primitive.name, closed_program(params["jaxpr"], params.get("consts", ()))

        def computation(x: tuple[Any, ...], y: tuple[Any, ...]) -> tuple[Any, ...]:
            with self._quiet():
                return tuple(self._closed(inside, [*x, *y]))

        self.opaque.add(name)
        options = {key: value for key, value in params.items() if key not in ("jaxpr", "consts", "computation")}
        results = getattr(lax, name)(tuple(values[:half]), tuple(values[half:]), computation, **options)
        return self._finish(equation, results)

    def _reduce_precision(self, equation: Any, values: list[Any]) -> list[Any]:
        exponent, mantissa = equation.params["exponent_bits"], equation.params["mantissa_bits"]
        if mantissa < self._format.nmant:
            self.narrow.add(FORMATS.get((exponent, mantissa), f"e{exponent}m{mantissa}"))
        return values


_SPECIAL: dict[str, Callable[[Interpreter, Any, list[Any]], Sequence[Any]]] = {
    "bitcast_convert_type": Interpreter._narrowly,
    "cond": Interpreter._cond,
    "custom_linear_solve": Interpreter._linear_solve,
    "nextafter": Interpreter._narrowly,
    "polynomial": Interpreter._polynomial,
    "reduce": Interpreter._reduce,
    "reduce_window": Interpreter._reduce,
    "scan": Interpreter._scan,
    "scatter": lambda _, equation, values: rebuild(equation, values),
    "scatter-max": lambda _, equation, values: rebuild(equation, values),
    "scatter-min": lambda _, equation, values: rebuild(equation, values),
    "while": Interpreter._while,
}


def _spread(condition: Any, like: Any) -> Any:
    return lax.broadcast_in_dim(condition, like.shape, tuple(range(condition.ndim)))
