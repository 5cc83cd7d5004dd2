"""What running a function costs, known before it runs at that size: its operations, and the elements of their results."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import torch
from jax.extend.core import Jaxpr, jaxprs_in_params

from crosscheck._frameworks.jax_program import JaxProgram
from crosscheck._frameworks.programs import Directions, Inputs
from crosscheck._frameworks.torch_mode import Mode
from crosscheck._frameworks.torch_program import TorchProgram

FEW = (32, 64)
"""The numbers of elements at which it is measured how a function's work grows."""
MORE = 1.25
"""Operations and elements may grow by this factor more than the number of elements, as rounding to blocks makes them."""


@dataclass(frozen=True)
class Work:
    """The operations of a program, and the elements of all their results."""

    operations: int
    elements: int

    def __add__(self, other: Work) -> Work:
        return Work(self.operations + other.operations, self.elements + other.elements)


def of_torch(program: TorchProgram, order: int = 0, along: Directions | None = None) -> Work:
    """The work of a program of PyTorch, which is run."""
    arguments = [*program.inputs.leaves, *(along or Directions()).arrays]
    with _Counting() as counting:
        program.flat(order)(*program.tensors(arguments))
    return Work(counting.operations, counting.elements)


def of_jax(program: JaxProgram, order: int = 0, along: Directions | None = None) -> Work | None:
    """The work of a program of JAX, which is traced only; None if it cannot be traced."""
    arguments = [*program.inputs.leaves, *(along or Directions()).arrays]
    with program.scope():
        try:
            closed = jax.make_jaxpr(program.flat(order))(*arguments)
        except Exception as error:
            if program.refuses_tracing(error):
                return None
            raise
    return _of_jaxpr(closed.jaxpr)


def _of_jaxpr(jaxpr: Jaxpr) -> Work:
    total = Work(0, 0)
    for equation in jaxpr.eqns:
        inner = list(jaxprs_in_params(equation.params))
        trips = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        for work in map(_of_jaxpr, inner):
            total += Work(work.operations, work.elements * trips)
        if not inner:
            total += Work(1, sum(math.prod(out.aval.shape) for out in equation.outvars))
    return total


class _Counting(Mode):
    """Counts what a program of PyTorch runs."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = self.elements = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        self.operations += 1
        outputs = result if isinstance(result, tuple | list) else (result,)
        self.elements += sum(output.numel() for output in outputs if isinstance(output, torch.Tensor))
        return result


def at_any_number(measure: Callable[[Inputs], Work | None], inputs: Inputs, at: int, count: int) -> Work | None:
    """The work of a function at an array of this many elements, from that at few; None if it does not grow evenly.

    An elementwise function runs the same operations at any number of elements, on as many more elements. A loop of Python
    over the elements does not, nor does a function of all pairs of elements: these may run for a moment at few elements, and
    for hours at very many.
    """
    flat = inputs.leaves[at].ravel()
    try:
        works = [measure(inputs.with_leaf(at, flat.take(range(few), mode="wrap"))) for few in FEW]
    except Exception:  # the user's function may raise anything at other sizes
        return None
    few, more = works
    if few is None or more is None or more.operations > MORE * few.operations:
        return None
    if more.elements > MORE * FEW[1] / FEW[0] * few.elements:
        return None
    return Work(more.operations, more.elements * -(-count // FEW[1]))


def measures(
    torch_fn: Callable[..., Any], jax_fn: Callable[..., Any], device: str
) -> tuple[Callable[[Inputs], Work | None], Callable[[Inputs], Work | None]]:
    """What measures the work of either function at other inputs."""

    def torch_at(inputs: Inputs) -> Work:
        return of_torch(TorchProgram(torch_fn, inputs, device))

    def jax_at(inputs: Inputs) -> Work | None:
        return of_jax(JaxProgram(jax_fn, inputs, device, ("jit",)))

    return torch_at, jax_at
