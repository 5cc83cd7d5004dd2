"""What a program of JAX computes on the way, in float64."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from crosscheck._shadow.base import Array
from crosscheck._shadow.jax.lift import Interpreter, JaxLifted
from crosscheck._shadow.jax_equations import wide_of


def watched(lifted: JaxLifted, arguments: Sequence[Array]) -> tuple[list[Array], list[float]]:
    """The results of all equations of a clean run that are not inside a loop, and the numbers in the program."""
    interpreter = _Watching(lifted.dtype, lifted.constants, np.uint64(0), np.float64(0), np.float64(0))
    given = [
        np.asarray(argument).astype(wide_of(aval.dtype))
        for argument, aval in zip(arguments, lifted.closed.in_avals, strict=True)
    ]
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        interpreter.run(lifted.closed.jaxpr, lifted.constant_values, given)
        return [np.asarray(result) for result in interpreter.seen], sorted(interpreter.numbers)


class _Watching(Interpreter):
    """Keeps what the equations give.

    Attributes:
        seen: The results so far.
        numbers: The scalars of the program so far.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.seen: list[Any] = []
        self.numbers: set[float] = set()

    def literal(self, atom: Any) -> Any:
        value = super().literal(atom)
        if np.size(value) == 1 and np.asarray(value).dtype.kind in "fiu":
            self.numbers.add(float(np.asarray(value).item()))
        return value

    def run_equation(self, equation: Any, values: list[Any]) -> Sequence[Any]:
        results = super().run_equation(equation, values)
        self.seen += [result for result in results if not isinstance(result, jax.core.Tracer)]
        return results
