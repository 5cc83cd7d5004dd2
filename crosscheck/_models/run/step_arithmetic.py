"""How one step of a JAX program is computed: in float64 or in the dtype of the model, clean or under noise."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from crosscheck._arithmetic.formats import BoolArray
from crosscheck._frameworks.programs import Array
from crosscheck._models.record.jax_recording import Rounded, Step
from crosscheck._models.values.uses import CONSTANT, MOVES
from crosscheck._shadow.base import BLOCK
from crosscheck._shadow.jax.large_weights import LargeWeight, product
from crosscheck._shadow.jax.lift import Interpreter
from crosscheck._shadow.jax_equations import Constants, is_float, widened
from crosscheck._shadow.jax_numpy import computed_alike, namespace, where

FLOAT32 = float(np.finfo(np.float32).eps)
_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
}


class Arithmetic:
    """Computes the steps of one run, which numbers its noise by the order in which it is asked for."""

    def __init__(
        self,
        interpreter: Interpreter,
        exact: Constants,
        *,
        wide: bool,
        noisy: bool = False,
        constants_only: bool = False,
        rounded: Rounded = Rounded.SCALARS,
    ) -> None:
        """``exact`` are the constants before they were rounded; with ``constants_only``, operations get no noise.

        If torch does not hold scalars ``rounded`` to a dtype with fewer digits than float32, it computes with those in the
        source, in float32.
        """
        self.wide, self._rounded_in_torch = wide, rounded
        self._interpreter, self._exact = interpreter, exact
        self._noisy, self._constants_only = noisy, constants_only

    def disturbed(self, constant: Any, dtype: Any = None) -> Any:
        """A constant with noise on it, as large as the rounding of its dtype, or of the program's."""
        if not self._noisy or not is_float(constant):
            return constant
        self._interpreter._silent = False
        width = self._interpreter.share(dtype)
        if np.ndim(constant) == 0:
            in_source = min(1.0, FLOAT32 / float(self._interpreter._format.eps))
            width = 1.0 if self._rounded_in_torch >= Rounded.SCALARS else in_source
        return self._interpreter._noisy(constant, width)

    def constant(self, value: Any, owner: Any) -> Any:
        """A constant in the run's dtype: in float64, with noise if the dtype does not hold the number in the source.

        The number in the source is known for scalars of Python; an array may have been rounded before JAX received it, even
        one of float64, and so may a scalar of NumPy. The owner is the object of the program that holds the constant.
        """
        if not self.wide or not is_float(value):
            return value
        exact = self._exact.get(id(owner))
        likely = widened(value)
        if exact is None or (np.array_equal(exact, value) and (np.ndim(exact) > 0 or exact != likely)):
            return self.doubtful(likely, value.dtype)
        return self._rounded(exact, value.dtype)

    def doubtful(self, wide: Any, dtype: Any) -> Any:
        """A number or an array that may have been rounded, with noise: none if few digits show that it was not.

        Of many rounded numbers, some have few digits by chance.
        """
        if not self._noisy or not is_float(wide):
            return wide
        exact = has_few_digits(wide, dtype)
        if self._is_of_a_table(wide):
            exact &= _is_whole(wide)
        return where(exact, wide, self.disturbed(wide, dtype))

    def _is_of_a_table(self, wide: Any) -> bool:
        """Whether torch may hold what it computed of these numbers, rounded."""
        return self._rounded_in_torch is Rounded.TABLES and np.ndim(wide) > 0

    def literal(self, atom: Any) -> Any:
        """A constant in an equation."""
        return self.constant(np.asarray(atom.val, atom.aval.dtype), atom)

    def _rounded(self, wide: Any, dtype: Any) -> Any:
        """The value with noise as large as rounding to a dtype: none on numbers that the dtype holds."""
        if not self._noisy or not is_float(wide):
            return wide
        if self._is_of_a_table(wide):
            return where(_is_whole(wide), wide, self.disturbed(wide, dtype))
        if not isinstance(wide, jax.core.Tracer):
            held = _held(dtype, np.asarray(wide))
            if held.all():
                self._interpreter.skip(wide)
                return wide
            if not held.any():  # the usual case of a scalar
                return self.disturbed(wide, dtype)
        return where(wide.astype(dtype).astype(wide.dtype) == wide, wide, self.disturbed(wide, dtype))

    def _whole(self, weight: LargeWeight) -> Any:
        return weight.whole() if self.wide else weight.held()

    def results(self, step: Step, given: list[Any]) -> Sequence[Any]:
        """The results of a step for its operands, which may be `LargeWeight` weights."""
        if step.operation.name == "gather" and isinstance(given[0], LargeWeight):  # only the rows that it picks are widened
            picked = as_it_is(step, [given[0].held(), *given[1:]])
            return [lax.convert_element_type(result, np.float64) for result in picked] if self.wide else picked
        if step.operation.name != "dot_general" or step.equation is None:
            given = [self._whole(value) if isinstance(value, LargeWeight) else value for value in given]
        if not self.wide or step.equation is None:
            return as_it_is(step, given)
        constant = step.operation.kind == CONSTANT
        self._interpreter._silent = not self._noisy or constant or self._constants_only
        results = self._interpreter.run_equation(step.equation, given)
        if not self._interpreter._silent and step.operation.name in _ARITHMETIC and is_float(results[0]):
            # A result that is one of its operands was not rounded. It may be the fill of a mask: noise on each of many
            # equal fills would choose one of them.
            _, (left, right) = namespace(given)
            with np.errstate(all="ignore"):
                exact = _ARITHMETIC[step.operation.name](left, right)
            return [where((exact == left) | (exact == right), exact, *results)]
        if not constant or step.operation.name in MOVES - {"convert_element_type"}:
            return results
        atoms = step.equation.outvars
        return [self._rounded(result, atom.aval.dtype) for result, atom in zip(results, atoms, strict=True)]


def _held(dtype: Any, wide: Array) -> BoolArray:
    """Which of these numbers a dtype holds."""
    with np.errstate(over="ignore"):
        return np.asarray(wide.astype(dtype).astype(wide.dtype) == wide)


def _is_whole(wide: Any) -> Any:
    """Which numbers are integers, as positions and masks are: both sides have the same."""
    xp, (wide,) = namespace([wide])
    return wide == xp.round(wide)


def has_few_digits(wide: Any, dtype: Any) -> Any:
    """Whether all of these numbers need at most half of a dtype's digits; of a complex number, both parts.

    The largest number of the dtype, which a mask may be filled with, counts as such a number.
    """
    _, (wide,) = namespace([wide])
    parts = (wide.real, wide.imag) if jnp.iscomplexobj(wide) else (wide,)
    if not isinstance(wide, np.ndarray):
        return jnp.all(jnp.stack([_have_few_digits(jnp, part, dtype) for part in parts]))
    blocks = (part[k : k + BLOCK] for part in map(np.ravel, parts) for k in range(0, part.size, BLOCK))
    few = (_have_few_digits(np, block.astype(np.float64), dtype) for block in blocks)  # mostly, the first block has not
    return np.bool_(all(few))


def _have_few_digits(xp: Any, numbers: Any, dtype: Any) -> Any:
    digits = 2.0 ** ((jnp.finfo(dtype).nmant + 1) // 2)
    fractions = xp.where(xp.abs(numbers) == float(jnp.finfo(dtype).max), 0.5, xp.frexp(numbers)[0]) * digits
    return xp.all(fractions == xp.round(fractions))


def as_it_is(step: Step, given: Sequence[Any]) -> Sequence[Any]:
    """The results of a step for its operands in their own dtypes."""
    if step.equation is None:
        assert step.function is not None
        return [step.function(*given)]
    primitive, params = step.equation.primitive, step.equation.params
    if isinstance(params.get("precision"), lax.DotAlgorithm | lax.DotAlgorithmPreset):
        params = params | {"precision": None}  # a CPU ignores the algorithm of a product, but refuses some of them
    if any(isinstance(value, LargeWeight) for value in given):
        return [product(params, given, wide=False)]
    if (result := computed_alike(step.equation, given)) is not None:
        return [result]
    results = primitive.bind(*given, **primitive.get_bind_params(params))
    return results if primitive.multiple_results else [results]
