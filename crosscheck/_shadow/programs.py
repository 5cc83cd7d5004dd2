"""Lift programs of either framework to float64."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from crosscheck._arithmetic.formats import floats_widened
from crosscheck._frameworks import jax_backend
from crosscheck._frameworks.jax_program import JaxProgram, untraceable
from crosscheck._frameworks.programs import Directions
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._shadow.base import Array, Flushing, Lifted, Met, Noise, UntraceableError
from crosscheck._shadow.jax import lift as jax_lift
from crosscheck._shadow.torch.lift import TorchLifted


def lift_torch(program: TorchProgram, order: int) -> Lifted:
    """Lift a program of torch to float64."""
    return TorchLifted(program.flat(order), program.inputs.fmt.name)


def lift_jax(program: JaxProgram, order: int, along: Directions) -> Flushing:
    """Lift a program of JAX to float64; one that cannot be traced is run eagerly."""
    try:
        return jax_lift.lift(program.flat(order), [*program.inputs.leaves, *along.arrays], program.inputs.fmt.name)
    except UntraceableError as error:
        program.untraceable = untraceable(error.__cause__)
        return EagerProgram(program, order)


class EagerProgram:
    """A JAX program whose operations cannot be run one by one, run eagerly in float64: noise moves only its inputs."""

    def __init__(self, program: JaxProgram, order: int) -> None:
        self.program, self.order = program, order

    def run(self, arguments: Sequence[Array], noise: Noise | None = None) -> list[Array]:
        if noise is not None:
            rng = np.random.default_rng(noise.seed)
            moved = [1 + noise.unit * rng.uniform(-1, 1, a.shape) if a.dtype == np.float64 else 1 for a in arguments]
            arguments = [(a * m).astype(a.dtype) for a, m in zip(arguments, moved, strict=True)]
        with jax_backend.scope("float64", self.program.device):
            results = self.program.flat(self.order)(*(jax.device_put(np.asarray(a)) for a in arguments))
            return [floats_widened(np.asarray(result)) for result in results]

    def run_flushed(self, arguments: Sequence[Array]) -> list[Array]:
        return self.run(arguments)

    @property
    def met(self) -> Met:
        return Met(frozenset(), frozenset({"everything: the JAX function cannot be traced"}))
